#include <cstdint>
#include <cstdlib>
#include <memory>

#include "dataset_check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/data/registry.h"

using namespace lambdaml;

/// An array, or a zip of arrays is refused with an Error or gives rows.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const data::Plugin& plugin = data::registry().get("npy");
  try {
    const Bytes file(reinterpret_cast<const std::byte*>(bytes), size);
    plugin.recognizes(file);
    check_dataset(data::read_with(plugin, std::make_shared<const Buffer>(file), {.what = "FILE"},
                                  data::format_options()));
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt && error.code() != Code::invalid_argument &&
        error.code() != Code::resource_exhausted)
      std::abort();
  }
  return 0;
}
