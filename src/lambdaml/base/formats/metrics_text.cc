#include "lambdaml/base/formats/metrics_text.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lambdaml/base/text.h"

namespace lambdaml {
namespace {

constexpr std::string_view kTotal = "_total";

/// Of a label's value. Bytes that are not UTF-8 are written as \xNN.
std::string escaped_label(std::string_view value) {
  std::string out;
  for (const char c : is_utf8(value) ? std::string(value) : printable(value, value.size() * 4)) {
    if (c == '\n')
      out += "\\n";
    else if (c == '\\' || c == '"')
      (out += '\\') += c;
    else
      out += c;
  }
  return out;
}

std::string text_of(const MetricsText::Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels)
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "{" : ",", name, escaped_label(value));
  return out.empty() ? out : out + "}";
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

}  // namespace

MetricsText::Format MetricsText::format_for(std::string_view accept) {
  return accept.find("application/openmetrics-text") != std::string_view::npos
             ? Format::open_metrics
             : Format::prometheus;
}

const char* MetricsText::content_type(Format format) {
  return format == Format::open_metrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

MetricsText::Family& MetricsText::family(std::string_view name, std::string_view help,
                                         const char* type) {
  const auto found = std::ranges::find(families_, name, &Family::name);
  if (found != families_.end()) return *found;
  return families_.emplace_back(Family{std::string(name), std::string(help), type, {}});
}

void MetricsText::gauge(std::string_view name, std::string_view help, double value, Labels labels) {
  family(name, help, "gauge").samples.push_back({"", text_of(labels), number_text(value)});
}

void MetricsText::counter(std::string_view name, std::string_view help, std::uint64_t value,
                          Labels labels) {
  if (name.ends_with(kTotal)) name.remove_suffix(kTotal.size());
  family(name, help, "counter")
      .samples.push_back({std::string(kTotal), text_of(labels), fmt::format("{}", value)});
}

void MetricsText::summary(std::string_view name, std::string_view help, std::uint64_t count,
                          std::uint64_t ns) {
  Family& to = family(name, help, "summary");
  to.samples.push_back({"_count", "", fmt::format("{}", count)});
  to.samples.push_back({"_sum", "", fmt::format("{:.9g}", static_cast<double>(ns) / 1e9)});
}

std::string MetricsText::text(Format format) const {
  std::string out;
  for (const Family& family : families_) {
    // The older format knows a counter by its whole name.
    const bool has_suffix =
        format == Format::prometheus && std::string_view(family.type) == "counter";
    const std::string name = family.name + (has_suffix ? std::string(kTotal) : "");
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.help, name, family.type);
    for (const Sample& sample : family.samples)
      out += fmt::format("{}{}{} {}\n", family.name, sample.suffix, sample.labels, sample.value);
  }
  return format == Format::open_metrics ? out + "# EOF\n" : out;
}

}  // namespace lambdaml
