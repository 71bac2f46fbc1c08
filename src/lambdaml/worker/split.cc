#include "lambdaml/worker/split.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

namespace lambdaml::worker {
namespace {

void merge_all(comm::Communicator& communicator, std::span<double> sums) {
  const std::size_t merged = communicator.merge({{}, sums}, comm::Meaning::state);
  if (merged != communicator.workers())
    fail(Code::internal, "the split got {} of {} workers' counts: its merges must wait for all",
         merged, communicator.workers());
}

/// Below them lies that share of the rows of each class.
data::HoldOutBounds bounds_of(double share, const SplitRule& rule, const model::Rows& own,
                              comm::Communicator& communicator) {
  const data::RowsToHoldOut rows = rows_of(rule, own);
  const std::uint64_t all =
      std::accumulate(rule.part_rows.begin(), rule.part_rows.end(), std::uint64_t{0});
  data::HoldOutSearch search(rule.classes, share, all);
  std::vector<double> sums;
  while (!search.found()) {
    sums.assign(search.sums_count(), 0.0);
    search.count(rows, sums);
    merge_all(communicator, sums);
    search.learn(sums);
  }
  return search.bounds();
}

}  // namespace

SplitRule split_rule(const job::TrainEvent& event, bool supervised, bool by_class,
                     data::OrderVersion version) {
  if (event.data.tensors.target) by_class = false;  // rows have no class
  return {.worker = event.worker,
          .part_rows = event.data.part_rows,
          .weights = event.data.weights,
          .in_order = event.data.in_order,
          .classes = by_class ? event.data.labels.size() : 1,
          .by_class = by_class,
          .ratio = supervised ? event.options.real("valid_ratio") : 0.0,
          .folds = supervised ? static_cast<std::uint64_t>(event.options.integer("folds")) : 0,
          .fold = static_cast<std::uint64_t>(event.options.integer("fold")),
          .seed = static_cast<std::uint64_t>(event.options.integer("seed")),
          .shuffles = supervised && event.options.flag("shuffle"),
          .version = version};
}

data::RowsToHoldOut rows_of(const SplitRule& rule, const model::Rows& own) {
  return {.rows = own.size(),
          .numbers = data::row_numbers(rule.part_rows, rule.worker, rule.in_order),
          .classes = rule.by_class ? std::span(own.targets) : std::span<const float>(),
          .seed = rule.seed};
}

std::string Split::to_json() const {
  nlohmann::json out{{"training_rows", training_rows}, {"bounds", nlohmann::json::array()}};
  for (const std::uint64_t bound : bounds) out["bounds"].push_back(checksum_text(bound));
  for (const std::uint64_t bound : from) out["from"].push_back(checksum_text(bound));
  if (weights > 0) out["weights"] = weights;
  return json_text(out);
}

Split Split::from_json(const std::string& text, std::size_t workers, std::size_t classes) {
  Split split;
  try {
    const nlohmann::json in = parse_json(text);
    for (const nlohmann::json& rows : in.at("training_rows"))
      split.training_rows.push_back(whole_number(rows));
    for (const nlohmann::json& bound : in.at("bounds"))
      split.bounds.push_back(checksum_from(bound.get_ref<const std::string&>()).value());
    for (const nlohmann::json& bound : in.value("from", nlohmann::json::array()))
      split.from.push_back(checksum_from(bound.get_ref<const std::string&>()).value());
    split.weights = in.value("weights", 0.0);
  } catch (const std::exception& error) {
    fail(Code::data_corrupt, "the split in a checkpoint: {}", error.what());
  }
  if (split.training_rows.size() != workers || split.bounds.size() != classes ||
      (!split.from.empty() && split.from.size() != classes))
    fail(Code::data_corrupt,
         "the split in a checkpoint is of {} workers and {} classes, not of {} and {}",
         split.training_rows.size(), split.bounds.size(), workers, classes);
  return split;
}

Split agree_on_split(const SplitRule& rule, const model::Rows& own,
                     comm::Communicator& communicator) {
  if (rule.version < data::OrderVersion::reshuffled)
    return {data::training_rows(rule.part_rows, rule.ratio), {}};
  if (!rule.needs_merges())
    return {.training_rows = rule.part_rows, .bounds = {}, .weights = rule.weights};
  Split split;
  if (rule.folds == 0) {
    split.bounds = bounds_of(rule.ratio, rule, own, communicator);
  } else {
    const auto end = [&](std::uint64_t fold) {  // of the first and the last one: no bound
      return fold == 0 || fold == rule.folds
                 ? data::HoldOutBounds(rule.classes)
                 : bounds_of(static_cast<double>(fold) / static_cast<double>(rule.folds), rule, own,
                             communicator);
    };
    split.from = end(rule.fold);
    split.bounds = end(rule.fold + 1);
  }
  const data::Arrangement arrangement =
      data::arrange(rows_of(rule, own), data::HoldOutRange{split.from, split.bounds});
  std::vector<double> sums(communicator.workers());
  sums[communicator.worker()] = static_cast<double>(arrangement.training_rows);
  if (rule.weights > 0) {
    double weights = 0;
    for (std::uint64_t i = 0; i < arrangement.training_rows && !own.data.weights.empty(); ++i)
      weights += own.data.weights[arrangement.order[i]];
    sums.push_back(weights);
  }
  merge_all(communicator, sums);
  if (rule.weights > 0) {
    split.weights = sums.back();
    sums.pop_back();
  }
  split.training_rows.assign(sums.begin(), sums.end());
  return split;
}

model::Rows arranged(model::Rows own, const SplitRule& rule, const Split& split) {
  std::vector<std::uint32_t> order;
  if (rule.version < data::OrderVersion::reshuffled) {
    if (!rule.shuffles) return own;
    order = data::visiting_order(rule.part_rows, rule.worker, rule.seed, rule.version);
  } else {
    if (split.bounds.empty()) return own;
    data::Arrangement arrangement =
        data::arrange(rows_of(rule, own), data::HoldOutRange{split.from, split.bounds});
    if (arrangement.training_rows != split.training_rows[rule.worker])
      fail(Code::data_corrupt,
           "worker {}: {} of its rows are for training where the job's split has {}", rule.worker,
           arrangement.training_rows, split.training_rows[rule.worker]);
    if (arrangement.training_rows == own.size()) return own;
    order = std::move(arrangement.order);
  }
  model::Rows out;
  out.targets.reserve(own.targets.size());
  if (!own.targets.empty())
    for (const std::uint32_t row : order) out.targets.push_back(own.targets[row]);
  out.data = data::take_rows(own.data, order);
  return out;
}

model::Batch ShuffledBatches::of(std::uint64_t epoch, std::uint64_t pass, std::uint64_t step,
                                 data::RowRange range) {
  const Place place{epoch, pass, step};
  Taken& taken = taken_[step % 2];
  if (taken.place == place) return taken.batch;
  const Place begin{epoch, pass, 0};
  if (pass_ != begin) {
    order_ = data::pass_order(training_rows_, worker_, seed_, epoch, pass);
    pass_ = begin;
  }
  taken.batch =
      taken.buffer.take(rows_.all(), std::span(order_).subspan(range.begin, range.size()));
  taken.place = place;
  return taken.batch;
}

}  // namespace lambdaml::worker
