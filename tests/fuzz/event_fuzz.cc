#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/job/event.h"

using namespace lambdaml;

/// An event is refused as bad input or read whole.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const std::string task = job::task_of(text);
    if (task == "train")
      job::train_event_from_json(text);
    else if (task == "predict")
      job::predict_event_from_json(text);
    else
      job::bench_comm_event_from_json(text);
  } catch (const Error& error) {
    if (error.code() != Code::invalid_argument && error.code() != Code::data_corrupt) std::abort();
  }
  return 0;
}
