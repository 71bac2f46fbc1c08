#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lambdaml {

/// Numbers in the text formats that Prometheus and its like read:
/// https://prometheus.io/docs/instrumenting/exposition_formats/ and
/// https://prometheus.io/docs/specs/om/open_metrics_spec/
class MetricsText {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;
  enum class Format { prometheus, open_metrics };

  /// The form that a client's header Accept asks for.
  static Format format_for(std::string_view accept);
  static const char* content_type(Format format);

  /// Names are of letters, digits and `_`; a counter's ends with `_total`. Values of one name with
  /// different labels may be added in any order. Labels may hold any text.
  void gauge(std::string_view name, std::string_view help, double value, Labels labels = {});
  void counter(std::string_view name, std::string_view help, std::uint64_t value,
               Labels labels = {});
  /// How often something happened, and how many nanoseconds it took in all; the name ends with
  /// `_seconds`.
  void summary(std::string_view name, std::string_view help, std::uint64_t count, std::uint64_t ns);

  std::string text(Format format) const;

 private:
  struct Sample {
    std::string suffix, labels, value;
  };
  struct Family {
    std::string name, help;
    const char* type;
    std::vector<Sample> samples;
  };
  Family& family(std::string_view name, std::string_view help, const char* type);

  std::vector<Family> families_;
};

}  // namespace lambdaml
