#include "lambdaml/report/model_part.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/data/places.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/model/names.h"
#include "lambdaml/predict/predict.h"

namespace lambdaml::report {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostCoefficients = 40;
constexpr std::size_t kMostClasses = 40;  ///< in the confusion matrix
constexpr std::size_t kMostCurves = 12;
constexpr std::size_t kPointsOfCurve = 200;

void add_coefficients(const job::TrainedModel& trained, ordered_json& out) {
  const auto all = trained.model->coefficients(trained.parameters);
  if (!all) return;
  struct Place {
    std::size_t c, j;
  };
  std::vector<Place> places;
  // Two classes have opposite coefficients: those of the second say everything.
  for (std::size_t c = all->weights.size() == 2 ? 1 : 0; c < all->weights.size(); ++c)
    for (std::size_t j = 0; j < all->weights[c].size(); ++j)
      if (all->weights[c][j] != 0) places.push_back({c, j});
  const std::size_t shown = std::min(places.size(), kMostCoefficients);
  std::ranges::partial_sort(
      places, places.begin() + static_cast<std::ptrdiff_t>(shown), [&](Place a, Place b) {
        return std::abs(all->weights[a.c][a.j]) > std::abs(all->weights[b.c][b.j]);
      });
  out["coefficients_not_zero"] = places.size();
  ordered_json rows = ordered_json::array();
  for (std::size_t i = 0; i < shown; ++i) {
    const auto [c, j] = places[i];
    ordered_json row{{"feature", model::feature_text(trained.shape, j)},
                     {"value", all->weights[c][j]}};
    if (!trained.shape.labels.empty()) row["class"] = model::label_text(trained.shape, c);
    rows.push_back(std::move(row));
  }
  out["coefficients"] = std::move(rows);
}

/// Points (share of negatives above, share of positives above) at thresholds from high to low.
ordered_json roc_curve(model::Tally::Ranking ranking) {
  std::ranges::sort(ranking.positives, std::greater<>());
  std::ranges::sort(ranking.negatives, std::greater<>());
  const auto p = static_cast<double>(ranking.positives.size());
  const auto n = static_cast<double>(ranking.negatives.size());
  std::vector<double> x{0}, y{0};
  double area = 0;
  std::size_t i = 0, j = 0;
  double last_x = 0, last_y = 0;
  const double step = 2.0 / kPointsOfCurve;
  while (i < ranking.positives.size() || j < ranking.negatives.size()) {
    const float at = std::max(i < ranking.positives.size() ? ranking.positives[i] : -HUGE_VALF,
                              j < ranking.negatives.size() ? ranking.negatives[j] : -HUGE_VALF);
    while (i < ranking.positives.size() && ranking.positives[i] >= at) ++i;
    while (j < ranking.negatives.size() && ranking.negatives[j] >= at) ++j;
    const double now_x = static_cast<double>(j) / n, now_y = static_cast<double>(i) / p;
    area += (now_x - last_x) * (now_y + last_y) / 2;
    last_x = now_x;
    last_y = now_y;
    if (now_x - x.back() + now_y - y.back() >= step || (now_x == 1 && now_y == 1)) {
      x.push_back(now_x);
      y.push_back(now_y);
    }
  }
  return {{"x", x}, {"y", y}, {"auc", area}};
}

void add_confusion(const model::Tally& tally, const model::Shape& shape, ordered_json& out) {
  std::vector<std::size_t> classes(tally.classes());
  for (std::size_t c = 0; c < classes.size(); ++c) classes[c] = c;
  if (classes.size() > kMostClasses) {
    std::ranges::stable_sort(classes, std::greater<>(),
                             [&](std::size_t c) { return tally.rows_of(c); });
    classes.resize(kMostClasses);
    std::ranges::sort(classes);
  }
  ordered_json labels = ordered_json::array(), counts = ordered_json::array();
  for (const std::size_t target : classes) {
    labels.push_back(model::label_text(shape, target));
    ordered_json row = ordered_json::array();
    for (const std::size_t predicted : classes) row.push_back(tally.count(target, predicted));
    counts.push_back(std::move(row));
  }
  out["confusion"] = {
      {"labels", labels}, {"counts", counts}, {"classes", tally.classes()}, {"rows", tally.rows()}};
}

void add_curves(const model::Tally& tally, const model::Shape& shape, ordered_json& out) {
  ordered_json curves = ordered_json::array();
  const auto rankings = tally.rankings();
  for (std::size_t k = 0; k < std::min(rankings.size(), kMostCurves); ++k) {
    if (rankings[k].positives.empty() || rankings[k].negatives.empty()) continue;
    ordered_json curve = roc_curve(rankings[k]);
    curve["label"] = model::label_text(shape, rankings.size() == 1 ? 1 : k);
    curves.push_back(std::move(curve));
  }
  if (!curves.empty()) out["roc"] = std::move(curves);
}

void add_quality(job::TrainedModel& trained, const std::string& data, const Options* options,
                 ordered_json& out) {
  std::string format = "auto";
  Options of_formats = data::format_options();
  if (options != nullptr) {
    format = options->text("format");
    const Options declared = data::format_options();
    for (const Option& option : declared.declared())
      if (options->find(option.name) != nullptr && options->is_set(option.name))
        of_formats.set(option.name, options->value(option.name), option.name);
  }
  const data::Places places = data::Places::parse(data);
  const predict::Predictions result = predict::predict(trained, places, format, of_formats, {});
  out["measured_on"] = places.display();
  const model::Plugin& plugin = model::registry().get(trained.name);
  ordered_json measures = json_of(result.quality, plugin, trained.shape);
  measures.erase("confusion");
  measures.erase("per_class");
  measures.erase("classes");
  out["measures"] = std::move(measures);
  if (!result.quality.tally || result.quality.tally->rows() == 0) return;
  add_confusion(*result.quality.tally, trained.shape, out);
  add_curves(*result.quality.tally, trained.shape, out);
}

}  // namespace

ordered_json model_json(const Source& source, const std::string& data, bool is_asked,
                        const Options* options, ordered_json& notes) {
  std::optional<Buffer> bytes;
  try {
    bytes = source.read("model.safetensors");
  } catch (const Error& error) {
    notes.push_back(fmt::format("The model cannot be read: {}", error.what()));
  }
  if (!bytes) {
    if (is_asked) notes.push_back("There is no model to measure with --data.");
    return {};
  }
  std::optional<Error> refused;
  try {
    job::TrainedModel trained = job::model_from_bytes(
        std::make_shared<const Buffer>(std::move(*bytes)), source.display() + "/model.safetensors");
    ordered_json out{{"model", trained.name},
                     {"features", trained.shape.features},
                     {"parameters", trained.parameters.size()}};
    add_coefficients(trained, out);
    if (data.empty()) return out;
    try {
      add_quality(trained, data, options, out);
    } catch (const Error& error) {
      if (is_asked)
        refused = error;
      else
        notes.push_back(fmt::format("The model could not be measured: {}", error.what()));
    }
    if (!refused) return out;
  } catch (const Error& error) {
    notes.push_back(fmt::format("The model cannot be read: {}", error.what()));
    return {};
  }
  throw Error(*refused);
}

}  // namespace lambdaml::report
