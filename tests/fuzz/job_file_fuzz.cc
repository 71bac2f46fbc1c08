#include <cstdint>
#include <cstdlib>

#include "lambdaml/base/error.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"

using namespace lambdaml;

/// A job file is refused with invalid_argument, or what it sets can be written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Options declared = job::job_options();
  Options options = declared;
  try {
    job::read_job_text({reinterpret_cast<const char*>(data), size}, "FILE", options);
  } catch (const Error& error) {
    if (error.code() != Code::invalid_argument) std::abort();
    return 0;
  }
  Options again = declared;
  job::read_job_text(job::to_yaml(options), "AGAIN", again);
  if (job::to_yaml(again) != job::to_yaml(options)) std::abort();
  return 0;
}
