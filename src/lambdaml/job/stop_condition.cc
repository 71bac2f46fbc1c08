#include "lambdaml/job/stop_condition.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/reporting.h"

namespace lambdaml::job {

StopCondition StopCondition::parse(std::string_view text) {
  std::vector<std::string> known;
  for (const model::ReportedMetric& reported : model::epoch_metrics())
    known.push_back(reported.name);
  const std::size_t at = text.find_first_of("<>=");
  const std::size_t end = text.find_first_not_of("<>=", at);
  if (at == std::string_view::npos || end == std::string_view::npos)
    fail(Code::invalid_argument, "until '{}': write a condition as valid_loss<=0.66",
         printable(text));
  StopCondition out;
  out.metric_ = trim(text.substr(0, at));
  out.comparison_ = text.substr(at, end - at);
  const auto bound = to_real(trim(text.substr(end)));
  const std::string& c = out.comparison_;
  if (!bound || (c != "<" && c != ">" && c != "<=" && c != ">="))
    fail(Code::invalid_argument, "until '{}': write a condition as valid_loss<=0.66",
         printable(text));
  if (std::find(known.begin(), known.end(), out.metric_) == known.end())
    fail(Code::invalid_argument, "until '{}': unknown metric '{}'{}", printable(text),
         printable(out.metric_), did_you_mean(out.metric_, known));
  out.bound_ = *bound;
  return out;
}

bool StopCondition::holds(const std::map<std::string, double>& metrics) const {
  const auto it = metrics.find(metric_);
  if (it == metrics.end()) return false;
  if (comparison_ == "<") return it->second < bound_;
  if (comparison_ == ">") return it->second > bound_;
  if (comparison_ == "<=") return it->second <= bound_;
  return it->second >= bound_;
}

}  // namespace lambdaml::job
