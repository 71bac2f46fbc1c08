#include <cstdint>
#include <cstdlib>

#include "lambdaml/base/error.h"
#include "lambdaml/data/source.h"

using namespace lambdaml;

/// A manifest is refused with an Error or survives its own text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  try {
    const auto manifest =
        data::Manifest::from_json({reinterpret_cast<const char*>(bytes), size}, "MANIFEST");
    const std::string text = manifest.to_json();
    if (data::Manifest::from_json(text, "MANIFEST").to_json() != text) std::abort();
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt) std::abort();
  }
  return 0;
}
