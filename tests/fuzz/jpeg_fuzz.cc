#include "format_check.h"

/// A JPEG: the corpus begins with such.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  check_format("images", bytes, size);
  return 0;
}
