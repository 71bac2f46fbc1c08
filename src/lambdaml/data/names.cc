#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

bool same_names(const std::shared_ptr<const Names>& a, const std::shared_ptr<const Names>& b) {
  return a == b || (a && b && *a == *b);
}

std::shared_ptr<const Names> names_of_cols(const std::shared_ptr<const Names>& names,
                                           std::size_t cols) {
  if (!names || names->features.empty() || names->features.size() == cols) return names;
  Names out = *names;
  const std::size_t kept = out.features.size() < cols ? 0 : cols;
  out.features.resize(kept);
  if (!out.fills.empty()) out.fills.resize(kept);
  return out == Names() ? nullptr : std::make_shared<const Names>(std::move(out));
}

std::string names_text(const Names& names) {
  nlohmann::json json = nlohmann::json::object();
  if (!names.features.empty()) json["features"] = names.features;
  if (!names.labels.empty()) json["labels"] = names.labels;
  if (!names.label.empty()) json["label"] = names.label;
  if (!names.weight.empty()) json["weight"] = names.weight;
  if (!names.fills.empty()) json["fills"] = names.fills;
  return json_text(json);
}

std::shared_ptr<const Names> names_from(std::string_view text, std::size_t cols,
                                        std::string_view what) {
  if (text.empty()) return nullptr;
  auto names = std::make_shared<Names>();
  try {
    const nlohmann::json json = parse_json(text);
    if (!json.is_object()) fail(Code::data_corrupt, "{}: its names are no JSON object", what);
    names->features = json.value("features", names->features);
    names->labels = json.value("labels", names->labels);
    names->label = json.value("label", names->label);
    names->weight = json.value("weight", names->weight);
    names->fills = json.value("fills", names->fills);
  } catch (const nlohmann::json::exception&) {
    fail(Code::data_corrupt, "{}: its names are of another form than this program writes", what);
  }
  const std::vector<std::string>& labels = names->labels;
  if (!names->features.empty() && names->features.size() != cols)
    fail(Code::data_corrupt, "{}: it names {} features and has {}", what, names->features.size(),
         cols);
  if (!names->fills.empty() &&
      (names->fills.size() != names->features.size() ||
       !std::ranges::all_of(names->fills, [](float fill) { return std::isfinite(fill); })))
    fail(Code::data_corrupt, "{}: the values for missing ones are not one number per feature",
         what);
  if (!std::ranges::is_sorted(labels) || std::ranges::adjacent_find(labels) != labels.end())
    fail(Code::data_corrupt, "{}: the names of its labels do not ascend", what);
  return names;
}

}  // namespace lambdaml::data
