#include <cstdint>
#include <cstdlib>

#include "lambdaml/base/error.h"
#include "lambdaml/train/job_options.h"
#include "lambdaml/train/options_text.h"

using namespace lambdaml;

/// A job file is refused with invalid_argument, or what it sets can be written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Options declared = train::job_options();
  Options options = declared;
  try {
    train::read_job_text({reinterpret_cast<const char*>(data), size}, "FILE", options);
  } catch (const Error& error) {
    if (error.code() != Code::invalid_argument) std::abort();
    return 0;
  }
  Options again = declared;
  train::read_job_text(train::to_yaml(options), "AGAIN", again);
  if (train::to_yaml(again) != train::to_yaml(options)) std::abort();
  return 0;
}
