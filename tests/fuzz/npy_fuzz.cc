#include "format_check.h"

/// An array, or a zip of arrays.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  check_format("npy", bytes, size);
  return 0;
}
