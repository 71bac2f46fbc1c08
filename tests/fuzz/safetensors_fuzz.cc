#include <cstdint>
#include <cstdlib>
#include <memory>

#include "lambdaml/tensor/safetensors.h"

using namespace lambdaml;

/// A file is refused with data_corrupt, or its tensors lie within its bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const tensor::SafetensorsFile file(std::make_shared<const Buffer>(bytes), "FILE");
    unsigned sum = 0;
    for (const tensor::Tensor& tensor : file.tensors())
      for (const std::byte byte : tensor.bytes) sum += std::to_integer<unsigned>(byte);
    volatile unsigned used = sum;
    static_cast<void>(used);
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt) std::abort();
  }
  return 0;
}
