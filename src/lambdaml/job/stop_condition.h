#pragma once

#include <map>
#include <string>
#include <string_view>

namespace lambdaml::job {

/// A condition on an epoch's metrics that ends a job early: NAME<=NUMBER, NAME>=NUMBER (also < and
/// >). The names are those of the registered models' metrics.
class StopCondition {
 public:
  /// Throws invalid_argument for any other text, or an unknown metric (naming the known ones).
  static StopCondition parse(std::string_view text);
  /// Whether it holds; false if `metrics` lacks the metric.
  bool holds(const std::map<std::string, double>& metrics) const;
  const std::string& metric() const { return metric_; }

 private:
  std::string metric_;
  std::string comparison_;
  double bound_ = 0;
};

}  // namespace lambdaml::job
