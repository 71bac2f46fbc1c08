#include <cstddef>
#include <cstdint>

#include "lambdaml/aws/credentials.h"
#include "lambdaml/aws/profile.h"
#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"

/// Any text is a config file, and what a credential process says is read or refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdaml;
  const std::string_view text = as_text(Bytes(reinterpret_cast<const std::byte*>(data), size));
  aws::parse_profiles(text);
  try {
    if (aws::parse_credentials(text, "fuzz").credentials.access_key.empty()) __builtin_trap();
  } catch (const Error& error) {
    if (error.code() != Code::permission_denied) __builtin_trap();
  }
  return 0;
}
