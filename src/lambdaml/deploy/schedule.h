#pragma once

#include <string_view>

namespace lambdaml::deploy {

/// Checks a schedule by the rules of Amazon EventBridge (docs.aws.amazon.com/eventbridge/latest/
/// userguide/eb-cron-expressions.html): `rate(5 minutes)`, or `cron(MINUTES HOURS DAY-OF-MONTH
/// MONTH DAY-OF-WEEK YEAR)` with a `?` for one of the two days, in UTC. Throws invalid_argument,
/// saying what AWS would refuse.
void check_schedule(std::string_view text);

}  // namespace lambdaml::deploy
