#include "format_check.h"

/// Named tensors.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  check_format("safetensors", bytes, size);
  return 0;
}
