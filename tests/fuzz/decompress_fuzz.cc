#include <cstdint>
#include <cstdlib>
#include <memory>

#include "lambdaml/base/error.h"
#include "lambdaml/data/compression/compression.h"

using namespace lambdaml;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  constexpr std::uint64_t kLimit = 1 << 20;
  const auto zipped =
      std::make_shared<const Buffer>(Bytes(reinterpret_cast<const std::byte*>(bytes), size));
  try {
    const auto content = data::decompress(zipped, "FILE", kLimit);
    if (content != zipped && content->size() > kLimit) std::abort();
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt && error.code() != Code::resource_exhausted)
      std::abort();
  }
  return 0;
}
