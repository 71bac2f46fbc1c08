#include "lambdaml/predict/quality.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/names.h"

namespace lambdaml::predict {
namespace {

constexpr std::size_t kMostClassesInText = 20;

/// The fixed part of to_bytes(), before the tally.
struct Head {
  std::uint64_t rows = 0;
  std::uint64_t has_totals = 0;
  std::uint64_t has_tally = 0;
  model::Totals totals = {};
};
static_assert(std::is_trivially_copyable_v<Head>);

struct Value {
  std::string name;
  double value = 0;
};

/// The values over all rows, in the order in which the model declares them.
std::vector<Value> values_of(const Quality& quality, const model::Plugin& plugin) {
  std::vector<Value> out;
  if (quality.tally && quality.tally->rows() > 0)
    for (const model::Measure& measure : plugin.measures)
      if (const std::optional<double> value = measure.of(*quality.tally))
        out.push_back({measure.name, *value});
  if (quality.totals && quality.totals->rows > 0)
    for (const model::Metric& metric : plugin.metrics)
      if (const std::optional<double> value = metric.of(*quality.totals))
        out.push_back({metric.name, *value});
  return out;
}

/// A table for people: the first column to the left, the others to the right.
std::vector<std::string> aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<std::string> lines;
  for (const auto& row : rows) {
    std::string line = fmt::format("{:<{}}", row[0], widths[0]);
    for (std::size_t i = 1; i < row.size(); ++i) line += fmt::format("  {:>{}}", row[i], widths[i]);
    lines.push_back(std::move(line));
  }
  return lines;
}

void add_tables(const model::Tally& tally, const model::Plugin& plugin, const model::Shape& shape,
                std::vector<std::string>& lines) {
  std::vector<std::vector<std::string>> of_classes{{"label", "rows"}};
  std::vector<std::vector<std::string>> confusion{{"label \\ predicted"}};
  for (const model::Measure& measure : plugin.measures)
    if (measure.of_class) of_classes[0].push_back(measure.name);
  for (std::size_t c = 0; c < tally.classes(); ++c) {
    const std::string label = model::label_text(shape, c);
    std::vector<std::string>& row = of_classes.emplace_back();
    row = {label, human_count(tally.rows_of(c))};
    for (const model::Measure& measure : plugin.measures)
      if (measure.of_class) row.push_back(fmt::format("{:.4f}", measure.of_class(tally, c)));
    confusion[0].push_back(label);
    std::vector<std::string>& counts = confusion.emplace_back();
    counts = {label};
    for (std::size_t other = 0; other < tally.classes(); ++other)
      counts.push_back(human_count(tally.count(c, other)));
  }
  for (const auto& table : {of_classes, confusion})
    for (std::string& line : aligned(table)) lines.push_back(std::move(line));
}

}  // namespace

void Quality::add(const Quality& other) {
  rows += other.rows;
  if (tally.has_value() != other.tally.has_value() ||
      totals.has_value() != other.totals.has_value())
    fail(Code::data_corrupt,
         "some parts of the data have labels and some have none; --ignore-labels measures nothing");
  if (tally) tally->add(*other.tally);
  if (totals) *totals += *other.totals;
}

Buffer Quality::to_bytes() const {
  Head head{.rows = rows, .has_totals = totals.has_value(), .has_tally = tally.has_value()};
  if (totals) head.totals = *totals;
  const Buffer rest = tally ? tally->to_bytes() : Buffer();
  Buffer out(sizeof(head) + rest.size());
  std::memcpy(out.data(), &head, sizeof(head));
  if (!rest.empty()) std::memcpy(out.data() + sizeof(head), rest.data(), rest.size());
  return out;
}

Quality Quality::from_bytes(Bytes bytes, const std::string& what) {
  Head head;
  if (bytes.size() < sizeof(head)) fail(Code::data_corrupt, "{}: it is cut off", what);
  std::memcpy(&head, bytes.data(), sizeof(head));
  Quality out;
  out.rows = head.rows;
  if (head.has_totals != 0) out.totals = head.totals;
  if (head.has_tally != 0) out.tally = model::Tally::from_bytes(bytes.subspan(sizeof(head)), what);
  return out;
}

nlohmann::ordered_json classes_of(const model::Shape& shape) {
  if (!model::has_label_texts(shape)) return shape.labels;
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (std::size_t c = 0; c < shape.classes(); ++c) out.push_back(model::label_text(shape, c));
  return out;
}

nlohmann::ordered_json json_of(const Quality& quality, const model::Plugin& plugin,
                               const model::Shape& shape) {
  nlohmann::ordered_json out{{"rows", quality.rows}};
  for (const auto& [name, value] : values_of(quality, plugin)) out[name] = value;
  if (!quality.tally || quality.tally->rows() == 0) return out;
  const model::Tally& tally = *quality.tally;
  out["classes"] = classes_of(shape);
  nlohmann::ordered_json per_class = nlohmann::ordered_json::object();
  nlohmann::ordered_json confusion = nlohmann::ordered_json::array();
  for (std::size_t c = 0; c < tally.classes(); ++c) {
    nlohmann::ordered_json own{{"rows", tally.rows_of(c)}};
    for (const model::Measure& measure : plugin.measures)
      if (measure.of_class) own[measure.name] = measure.of_class(tally, c);
    per_class[model::label_text(shape, c)] = std::move(own);
    nlohmann::ordered_json counts = nlohmann::ordered_json::array();
    for (std::size_t other = 0; other < tally.classes(); ++other)
      counts.push_back(tally.count(c, other));
    confusion.push_back(std::move(counts));
  }
  out["per_class"] = std::move(per_class);
  out["confusion"] = std::move(confusion);
  return out;
}

std::vector<std::string> lines_of(const Quality& quality, const model::Plugin& plugin,
                                  const model::Shape& shape) {
  std::vector<std::string> lines{fmt::format("{} rows", human_count(quality.rows))};
  for (const auto& [name, value] : values_of(quality, plugin))
    lines[0] += fmt::format(", {} {:.6g}", name, value);
  if (!quality.tally || quality.tally->rows() == 0) return lines;
  if (quality.tally->classes() <= kMostClassesInText)
    add_tables(*quality.tally, plugin, shape, lines);
  else
    lines.push_back(
        fmt::format("--json gives the values of each of the {} classes", quality.tally->classes()));
  return lines;
}

}  // namespace lambdaml::predict
