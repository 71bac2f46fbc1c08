#include "lambdaml/predict/description.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/model/names.h"
#include "lambdaml/model/reporting.h"
#include "lambdaml/predict/quality.h"

namespace lambdaml::predict {
namespace {

using nlohmann::ordered_json;
using Coefficients = model::Model::Coefficients;

constexpr std::size_t kMostInText = 20;

/// The metrics that the job reported at its end.
ordered_json metrics_of(const model::Plugin& plugin, storage::Storage* folder) {
  ordered_json out = ordered_json::object();
  if (folder == nullptr) return out;
  const std::optional<Buffer> text = folder->load("summary.json");
  if (!text) return out;
  const nlohmann::json summary = parse_json(text->text());
  if (!summary.is_object())
    fail(Code::data_corrupt, "{}/summary.json: it is no summary of a job", folder->describe());
  for (const model::ReportedMetric& reported : model::reported_metrics(plugin))
    if (summary.contains(reported.name))
      out[reported.name] = number_at(summary, reported.name.c_str());
  return out;
}

/// Options of this model that are not the default.
std::string options_text(const Options& options) {
  std::vector<std::string> parts;
  for (const Option& option : options.declared())
    if (is_changed(options, option.name))
      parts.push_back(fmt::format("{} {}", option.name, to_text(options.value(option.name))));
  return join(parts, ", ");
}

std::string shape_text(const job::TrainedModel& model) {
  std::string text = fmt::format("{}: ", model.name);
  if (!model.shape.labels.empty()) {
    std::vector<std::string> labels;
    for (std::size_t c = 0; c < std::min(model.shape.classes(), kMostInText); ++c)
      labels.push_back(model::label_text(model.shape, c));
    text += fmt::format("{} classes ({}{}), ", human_count(model.shape.classes()),
                        join(labels, ", "), labels.size() < model.shape.classes() ? ", …" : "");
  }
  return text + fmt::format("{} features", human_count(model.shape.features));
}

/// Two classes have opposite coefficients: those of the second say everything.
std::size_t first_class_shown(const Coefficients& coefficients) {
  return coefficients.weights.size() == 2 ? 1 : 0;
}

void add_coefficients(const job::TrainedModel& model, const Coefficients& coefficients, bool all,
                      std::vector<std::string>& lines) {
  struct Place {
    std::size_t c, j;
  };
  std::vector<Place> places;
  for (std::size_t c = first_class_shown(coefficients); c < coefficients.weights.size(); ++c)
    for (std::size_t j = 0; j < coefficients.weights[c].size(); ++j) places.push_back({c, j});
  const std::size_t shown = all ? places.size() : std::min(places.size(), kMostInText);
  const auto size = [&](const Place& place) {
    return std::abs(coefficients.weights[place.c][place.j]);
  };
  std::partial_sort(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(shown),
                    places.end(), [&](const Place& a, const Place& b) {
                      return std::pair(-size(a), std::pair(a.c, a.j)) <
                             std::pair(-size(b), std::pair(b.c, b.j));
                    });
  lines.push_back(shown == places.size()
                      ? "coefficients by feature, largest first"
                      : fmt::format("the {} largest of {} coefficients by feature; --all shows all",
                                    shown, human_count(places.size())));
  const auto class_text = [&](std::size_t c) {
    return model.shape.labels.empty()
               ? std::string()
               : fmt::format("  class {}", model::label_text(model.shape, c));
  };
  for (std::size_t i = 0; i < shown; ++i) {
    const auto [c, j] = places[i];
    lines.push_back(fmt::format("  {:>14.6g}  {}{}", coefficients.weights[c][j],
                                model::feature_text(model.shape, j), class_text(c)));
  }
  for (std::size_t c = first_class_shown(coefficients); c < coefficients.intercepts.size(); ++c)
    lines.push_back(
        fmt::format("  {:>14.6g}  intercept{}", coefficients.intercepts[c], class_text(c)));
}

}  // namespace

ordered_json describe(const job::TrainedModel& trained, storage::Storage* folder) {
  ordered_json out{{"model", trained.name}, {"classes", classes_of(trained.shape)}};
  ordered_json features = ordered_json::array();
  for (std::size_t j = 0; j < trained.shape.features; ++j)
    features.push_back(model::feature_text(trained.shape, j));
  out["features"] = std::move(features);
  const std::optional<Coefficients> coefficients = trained.model->coefficients(trained.parameters);
  out["coefficients"] = coefficients ? ordered_json(coefficients->weights) : ordered_json();
  out["intercept"] = coefficients ? ordered_json(coefficients->intercepts) : ordered_json();
  out["options"] = job::to_json(trained.options, job::Values::given);
  out["metrics"] = metrics_of(trained.plugin(), folder);
  return out;
}

std::vector<std::string> lines_of(const job::TrainedModel& trained, storage::Storage* folder,
                                  bool all) {
  const model::Plugin& plugin = trained.plugin();
  std::vector<std::string> lines{shape_text(trained)};
  if (const std::string options = options_text(trained.options); !options.empty())
    lines.push_back("options   " + options);
  const ordered_json metrics = metrics_of(plugin, folder);
  for (const model::ReportedMetric& reported : model::reported_metrics(plugin))
    if (metrics.contains(reported.name))
      lines.push_back(fmt::format("{} {}", reported.name,
                                  reported.metric.shown(metrics[reported.name].get<double>())));
  if (const auto coefficients = trained.model->coefficients(trained.parameters)) {
    add_coefficients(trained, *coefficients, all, lines);
  } else {
    for (const model::Model::Piece& piece : trained.model->pieces())
      lines.push_back(fmt::format("tensor    {} [{}]", piece.name, fmt::join(piece.shape, ", ")));
  }
  return lines;
}

}  // namespace lambdaml::predict
