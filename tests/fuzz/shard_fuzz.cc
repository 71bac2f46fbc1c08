#include <cstdint>
#include <cstdlib>
#include <memory>

#include "dataset_check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/data/registry.h"

using namespace lambdaml;

/// A shard is refused with an Error or gives rows; the rows written and read again are the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const data::Plugin& shard = data::registry().get("shard");
  const auto read = [&](Bytes content) {
    return shard.read(std::make_shared<const Buffer>(content), {"FILE", data::Form::automatic, 1});
  };
  try {
    const data::Dataset rows = read({reinterpret_cast<const std::byte*>(bytes), size});
    check_dataset(rows);
    const Buffer written = shard.write(rows);
    if (shard.write(read(written)).text() != written.text()) std::abort();
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt) std::abort();
  }
  return 0;
}
