#include "lambdaml/tune/history.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::tune {
namespace {

constexpr const char* kBestModel = "best.safetensors";
/// How often a segment may use all of a tuner's time without completing an epoch.
constexpr std::uint64_t kMostStalls = 3;

}  // namespace

std::filesystem::path model_path_in(const nlohmann::ordered_json& summary) {
  return path_of_file_uri(text_at(summary, "model_path"));
}

History::History(const Search& search, const Strategy& strategy, Records& records)
    : search_(search),
      strategy_(strategy),
      records_(records),
      segments_(records.segments()),
      restored_(segments_.size()) {
  for (const Segment& segment : segments_)
    is_goal_reached_ = is_goal_reached_ || is_at_goal(segment);
}

double History::cost_usd() const {
  double sum = 0;
  for (const Segment& segment : segments_) sum += segment.cost_usd;
  return sum;
}

std::size_t History::begin(std::uint64_t trial, std::uint64_t epochs) {
  segments_.push_back({.trial = trial, .epochs = epochs});
  save(segments_.size() - 1);
  return segments_.size() - 1;
}

void History::end(std::size_t index, std::shared_ptr<const nlohmann::ordered_json> summary) {
  Segment& segment = segments_[index];
  if (const double cost = number_in(*summary, "cost_usd"); std::isfinite(cost))
    segment.cost_usd += cost;
  segment.epoch = count_at(*summary, "epochs", segment.epochs);
  const std::string& metric = search_.settings.text("metric");
  const bool at_goal = text_at(*summary, "ended_by") == "until";
  const double value = number_in(*summary, metric);
  if (metric == "cost_usd") {
    if (!at_goal && segment.epoch >= segment.epochs)
      return fail(index, fmt::format("it did not reach {}", search_.job.text("until")));
    double cost = 0;
    for (const Segment& other : segments_)
      if (other.trial == segment.trial) cost += other.cost_usd;
    segment.value = cost;
  } else if (std::isfinite(value)) {
    segment.value = value;
  } else {
    return fail(index, fmt::format("its job has no {}", metric));
  }
  segment.summary = std::move(summary);
  segment.state = Segment::State::done;
  keep_model_if_best(index);
  save(index);
  is_goal_reached_ = is_goal_reached_ || is_at_goal(segment);
}

void History::fail(std::size_t index, const std::string& reason) {
  Segment& segment = segments_[index];
  segment.state = Segment::State::failed;
  segment.reason = printable(reason, 400);
  save(index);
}

void History::interrupt(std::size_t index, std::uint64_t epoch, bool used_all_time) {
  Segment& segment = segments_[index];
  if (epoch > segment.epoch)
    segment.stalls = 0;
  else if (used_all_time)
    ++segment.stalls;
  segment.epoch = std::max(segment.epoch, epoch);
  if (segment.stalls >= kMostStalls)
    return fail(index, "an epoch takes longer than the tuner's function may run");
  save(index);
}

/// Saves its model in the records before the segment: a segment that is done may be the best.
void History::keep_model_if_best(std::size_t index) {
  const std::vector<TrialView> all = trials();
  const TrialView* best = best_of(search_, all);
  if (best == nullptr || best->trial != segments_[index].trial) return;
  if (const std::optional<Buffer> model = read_file(model_path_in(*segments_[index].summary)))
    records_.store().save(kBestModel, *model);
}

bool History::is_at_goal(const Segment& segment) const {
  return segment.state == Segment::State::done && search_.settings.text("metric") != "cost_usd" &&
         segment.summary && text_at(*segment.summary, "ended_by") == "until";
}

}  // namespace lambdaml::tune
