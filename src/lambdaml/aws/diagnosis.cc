#include "lambdaml/aws/diagnosis.h"

#include <atomic>
#include <chrono>
#include <functional>

#include <fmt/format.h>

#include "lambdaml/aws/credentials.h"
#include "lambdaml/aws/profile.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/text.h"

namespace lambdaml::aws {
namespace {

std::atomic<std::int64_t> g_clock_offset_s{0};

}  // namespace

std::optional<CredentialsFound> find_credentials() {
  for (const CredentialsPlace& place : credentials_places()) {
    const std::optional<TimedCredentials> found = place.look();
    if (!found) continue;
    CredentialsFound out{.source = place.name, .expires_in_s = {}};
    if (out.source == "the profile")
      out.source += fmt::format(" '{}'", printable(read_profile().name));
    if (found->expires)
      out.expires_in_s = std::chrono::duration<double>(*found->expires - wall_now()).count();
    return out;
  }
  return {};
}

std::int64_t observed_clock_offset_s() { return g_clock_offset_s; }
void note_clock_offset(std::int64_t seconds) { g_clock_offset_s = seconds; }

}  // namespace lambdaml::aws
