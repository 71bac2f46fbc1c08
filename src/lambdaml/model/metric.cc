#include "lambdaml/model/metric.h"

#include <fmt/format.h>

namespace lambdaml::model {

std::string shown(double value, Notation notation, int digits) {
  switch (notation) {
    case Notation::fixed:
      return fmt::format("{:.{}f}", value, digits);
    case Notation::significant:
      return fmt::format("{:.{}g}", value, digits);
    case Notation::percent:
      break;
  }
  return fmt::format("{:.{}f} %", 100 * value, digits);
}

}  // namespace lambdaml::model
