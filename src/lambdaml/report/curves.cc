#include "lambdaml/report/curves.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/reporting.h"

namespace lambdaml::report {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

void add_line(std::string_view line, Curves& curves, std::uint64_t lines_for) {
  const json object = parse_json(line);
  if (!object.is_object() || count_at(object, "epoch") == 0) {
    ++curves.damaged_lines;
    return;
  }
  const std::uint64_t epoch = count_at(object, "epoch");
  const std::size_t before = curves.epoch.size();
  curves.epoch.push_back(epoch);
  curves.epochs = std::max(curves.epochs, epoch);
  double spent_s = 0;
  for (const auto& [name, value] : object.items()) {
    if (name == "epoch") continue;
    const double number = value.is_number() ? value.get<double>() : kUnknown;
    if (!std::isfinite(number)) curves.not_finite.try_emplace(name, epoch);
    if (name == "compute_s" || name == "comm_s") spent_s += std::isfinite(number) ? number : 0;
    std::vector<double>& column = curves.columns[name];
    column.resize(before, kUnknown);
    column.push_back(number);
  }
  const double last_s = curves.seconds.empty() ? 0 : curves.seconds.back();
  curves.seconds.push_back(last_s + spent_s * static_cast<double>(lines_for));
}

}  // namespace

Curves read_curves(std::string_view text, std::size_t most_rows) {
  Curves curves;
  const auto lines = static_cast<std::uint64_t>(std::ranges::count(text, '\n')) + 1;
  curves.every = std::max<std::uint64_t>(1, (lines + most_rows - 1) / most_rows);
  std::uint64_t number = 0;
  std::uint64_t skipped = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const bool is_kept = number == 0 || number % curves.every == 0 || text.empty();
    ++number;
    if (is_kept)
      add_line(line, curves, std::exchange(skipped, 0) + 1);
    else
      ++skipped;
  }
  for (auto& [name, column] : curves.columns) column.resize(curves.epoch.size(), kUnknown);
  return curves;
}

ordered_json Curves::to_json() const {
  return {{"epochs", epochs},   {"every", every},     {"epoch", epoch},
          {"columns", columns}, {"seconds", seconds}, {"not_finite", not_finite}};
}

ordered_json metrics_json(const std::string& model) {
  const model::Plugin* plugin = model::registry().find(model);
  ordered_json out = ordered_json::array();
  for (const model::ReportedMetric& metric :
       plugin != nullptr ? model::reported_metrics(*plugin) : model::epoch_metrics()) {
    out.push_back({{"name", metric.name},
                   {"rows", model::name_of(metric.rows)},
                   {"metric", metric.metric.name},
                   {"help", metric.metric.help},
                   {"higher_is_better", metric.metric.higher_is_better},
                   {"first", metric.is_first},
                   {"percent", metric.metric.notation == model::Notation::percent}});
  }
  return out;
}

}  // namespace lambdaml::report
