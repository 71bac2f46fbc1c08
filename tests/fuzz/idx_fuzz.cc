#include "format_check.h"

/// A file of MNIST's kind.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  check_format("idx", bytes, size);
  return 0;
}
