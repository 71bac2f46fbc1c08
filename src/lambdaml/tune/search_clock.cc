#include "lambdaml/tune/search_clock.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/text.h"

namespace lambdaml::tune {
namespace {

constexpr const char* kWall = "tuner/wall_s";
/// How often a tuner says how long the search has taken, where a request costs nothing, and where
/// it does.
constexpr double kWallPause_s = 5, kExpensiveWallPause_s = 60;

}  // namespace

double search_seconds(Records& records) {
  const std::optional<Buffer> text = records.store().load(kWall);
  return text ? std::max(0.0, to_real(text->text()).value_or(0)) : 0;
}

void SearchClock::keep() {
  if (!earlier_s_) return;
  since_kept_ = Stopwatch();
  records_.store().save(kWall, as_bytes(fmt::format("{:.3f}", all_s())));
}

void SearchClock::keep_now_and_then() {
  const bool is_expensive = records_.store().capabilities().polling_is_expensive;
  if (since_kept_.seconds() >= (is_expensive ? kExpensiveWallPause_s : kWallPause_s)) keep();
}

}  // namespace lambdaml::tune
