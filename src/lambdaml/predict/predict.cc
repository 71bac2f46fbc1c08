#include "lambdaml/predict/predict.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "lambdaml/base/error.h"
#include "lambdaml/base/held_warnings.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/source.h"
#include "lambdaml/model/names.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/rows.h"

namespace lambdaml::predict {
namespace {

using Prediction = model::Model::Prediction;
using Wanted = model::Model::Wanted;

constexpr std::size_t kBlock = 65'536;

std::string some_of(const std::vector<std::string>& labels) {
  static constexpr std::size_t kMostListed = 10;
  const std::size_t listed = std::min(labels.size(), kMostListed);
  return join({labels.begin(), labels.begin() + static_cast<std::ptrdiff_t>(listed)}, ", ") +
         (listed < labels.size() ? " …" : "");
}

/// The labels of a set in the model's numbers. Labels that are texts have others if the model has
/// no names.
data::Dataset with_labels_of(const model::Shape& shape, data::Dataset data,
                             const std::string& what) {
  if (shape.labels.empty()) return data;
  if (!data.targets.empty()) {
    const auto fraction = std::ranges::find_if(
        data.targets, [](float target) { return target != std::floor(target); });
    const float example = fraction == data.targets.end() ? data.targets.front() : *fraction;
    fail(Code::invalid_argument,
         "{}: its labels are numbers such as {}, and the model knows classes: give them the "
         "model's coding, or --ignore-labels if they are no labels",
         what, example);
  }
  if (data.labels.empty()) return data;
  std::map<std::string, std::int32_t> known;
  std::vector<std::string> texts;
  for (std::size_t c = 0; c < shape.classes(); ++c) {
    texts.push_back(model::label_text(shape, c));
    known[texts.back()] = shape.labels[c];
  }
  std::map<std::int32_t, std::int32_t> numbers;  // of the model, by those of the set
  std::vector<std::string> unknown;
  bool is_same = true;
  for (const std::int32_t label : data::distinct_labels(data.labels)) {
    const bool has_text = data.names && !data.names->labels.empty();
    const std::string text =
        has_text ? data.names->labels.at(static_cast<std::size_t>(label)) : std::to_string(label);
    const auto at = known.find(text);
    if (at == known.end()) {
      unknown.push_back(printable(text, 40));
      continue;
    }
    numbers[label] = at->second;
    is_same &= label == at->second;
  }
  if (!unknown.empty()) {
    const auto rows = std::ranges::count_if(
        data.labels, [&](std::int32_t label) { return !numbers.contains(label); });
    fail(Code::invalid_argument,
         "{}: {} of its {} rows have labels that the model does not know ({}; it knows {}): give "
         "them the model's coding, or --ignore-labels if they are no labels",
         what, rows, data.rows(), some_of(unknown), some_of(texts));
  }
  if (is_same) return data;
  struct Owner {
    std::shared_ptr<const void> rows;
    std::vector<std::int32_t> labels;
  };
  const auto owner = std::make_shared<Owner>(Owner{data.owner, {}});
  owner->labels.reserve(data.labels.size());
  for (const std::int32_t label : data.labels) owner->labels.push_back(numbers.at(label));
  data.labels = owner->labels;
  data.owner = owner;
  return data;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

/// Whether the quality of predictions of these rows can be measured.
bool can_be_judged(const model::Plugin& plugin, const model::Rows& rows) {
  return !plugin.needs_labels || !rows.targets.empty() || rows.data.target_tensor;
}

}  // namespace

data::Learned learned_by(const model::Shape& shape, const Request& request) {
  return {.features = shape.features,
          .names = shape.names,
          .ignore_labels = request.ignore_labels,
          .tensors = shape.inputs};
}

void require_possible(const job::TrainedModel& model, const Request& request,
                      const std::string& what) {
  if (request.shown.class_scores && model.plugin().predicts_numbers)
    fail(Code::invalid_argument, "{}: a model of the kind {} predicts numbers; leave --scores out",
         what, model.name);
  if (request.shown.probabilities && !model.model->has_probabilities())
    fail(Code::invalid_argument,
         "{}: a model of the kind {} gives no probabilities; leave --proba out", what, model.name);
}

Predictions predict(job::TrainedModel& trained, const data::Dataset& data, const std::string& what,
                    const Request& request, const std::function<void()>& between) {
  require_possible(trained, request, "model");
  const model::Plugin& plugin = trained.plugin();
  data::Dataset dataset = data::align(data, learned_by(trained.shape, request), what);
  dataset = with_labels_of(trained.shape, std::move(dataset), what);
  const model::Rows rows = plugin.predicts_numbers
                               ? model::with_numbers(dataset)
                               : model::with_targets(dataset, trained.shape.labels);
  const bool is_judged = can_be_judged(plugin, rows);
  const bool is_tallied = is_judged && !plugin.measures.empty() && !rows.targets.empty();

  Predictions out;
  out.quality.rows = rows.size();
  if (is_tallied)
    out.quality.tally.emplace(trained.shape.classes());
  else if (is_judged)
    out.quality.totals.emplace();
  Wanted wanted = request.shown;
  if (is_tallied) {
    const Wanted more = model::Tally::wanted(*trained.model, trained.shape.classes());
    wanted.class_scores |= more.class_scores;
    wanted.probabilities |= more.probabilities;
  }
  Prediction all;
  for (std::size_t begin = 0; begin < rows.size(); begin += kBlock) {
    if (between) between();
    const model::Batch batch = rows.batch(begin, std::min(begin + kBlock, rows.size()));
    const Prediction block = trained.model->predict(batch, trained.parameters, wanted);
    if (out.quality.tally) out.quality.tally->add(block, batch.targets);
    if (out.quality.totals)
      *out.quality.totals += trained.model->evaluate(batch, trained.parameters);
    append(all.classes, block.classes);
    append(all.scores, block.scores);
    append(all.outputs, block.outputs);
    if (request.shown.class_scores) append(all.class_scores, block.class_scores);
    if (request.shown.probabilities) append(all.probabilities, block.probabilities);
  }
  out.table = plugin.tabulate(std::move(all), trained.shape, request.shown);
  return out;
}

Predictions predict(job::TrainedModel& trained, const data::Places& places,
                    const std::string& format, const Options& format_options,
                    const Request& request) {
  return log::warn_unless_refused([&] {
    const data::Dataset rows = data::read_for(learned_by(trained.shape, request), places, format,
                                              processors(), nullptr, format_options);
    return predict(trained, rows, places.display(), request);
  });
}

}  // namespace lambdaml::predict
