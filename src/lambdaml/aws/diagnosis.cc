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
  const std::string profile = fmt::format("the profile '{}'", printable(read_profile().name));
  struct Source {
    std::optional<TimedCredentials> (*look)();
    std::string name;
  };
  for (const Source& source : {Source{credentials_from_environment, "the environment"},
                               Source{credentials_from_profile, profile},
                               Source{credentials_from_container, "the container's service"},
                               Source{credentials_from_instance, "the instance's role"}}) {
    const std::optional<TimedCredentials> found = source.look();
    if (!found) continue;
    CredentialsFound out{.source = source.name, .expires_in_s = {}};
    if (found->expires)
      out.expires_in_s = std::chrono::duration<double>(*found->expires - wall_now()).count();
    return out;
  }
  return {};
}

std::int64_t observed_clock_offset_s() { return g_clock_offset_s; }
void note_clock_offset(std::int64_t seconds) { g_clock_offset_s = seconds; }

}  // namespace lambdaml::aws
