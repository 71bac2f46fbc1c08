#include "lambdaml/deploy/own_service.h"

#include <array>
#include <string_view>
#include <utility>

#include <fmt/core.h>
#include <unistd.h>

#include "lambdaml/aws/credentials.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::deploy {
namespace {

/// `n` random characters that cannot be guessed: five bits each.
std::string random_text(std::size_t n) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::array<unsigned char, 64> bytes{};
  if (n > bytes.size() || getentropy(bytes.data(), n) != 0)
    fail(Code::internal, "the system gives no random numbers");
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += kAlphabet[bytes[i] % kAlphabet.size()];
  return out;
}

/// Reports which key requests must be signed with and which one functions sign with. Returns the
/// generated key, if any.
///
/// Functions inherit this process's AWS_… variables and HOME, and through them their access to
/// other services, such as S3 with the user's own keys. An environment variable takes precedence
/// over all other sources, so functions get the generated key only if they would find none. Keys in
/// the profile they find by themselves.
std::optional<aws::Credentials> set_keys(faas::EmulatorSettings& settings) {
  if (const auto own = aws::credentials_from_environment()) {
    settings.keys = {own->credentials};
    return std::nullopt;
  }
  const aws::Credentials made{"LAMBDAML" + random_text(12), random_text(40), ""};
  settings.keys = {made};
  if (const auto profile = aws::keys_in_profile())
    settings.keys.push_back(*profile);
  else if (!aws::names_other_source())
    settings.function_keys = made;
  return made;
}

std::string code_in_bucket(const std::string& bucket, const std::string& key) {
  const std::optional<Buffer> zip = storage::open(Uri::parse("s3://" + bucket))->load(key);
  if (!zip) fail(Code::not_found, "s3://{} has no {}", bucket, key);
  return std::string(zip->text());
}

}  // namespace

OwnService start_own_service(faas::EmulatorSettings settings, bool auth) {
  if (!settings.log_folder.empty()) make_own_folder(settings.log_folder);
  settings.fetch_code = code_in_bucket;
  OwnService out;
  if (auth) out.made = set_keys(settings);
  out.emulator = faas::registry().get("local").emulate(settings);
  out.endpoint = fmt::format("http://127.0.0.1:{}", out.emulator->port());
  return out;
}

}  // namespace lambdaml::deploy
