#include "format_check.h"

/// A text of Matrix Market.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  check_format("mtx", bytes, size);
  return 0;
}
