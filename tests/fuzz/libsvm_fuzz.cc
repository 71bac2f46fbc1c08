#include <cstdint>
#include <cstdlib>
#include <memory>

#include "dataset_check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/data/registry.h"

using namespace lambdaml;

/// Text is refused with an Error or gives rows, and the rows written and read again give the same
/// text again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const data::Plugin& libsvm = data::registry().get("libsvm");
  const auto read = [&](Bytes text) {
    return libsvm.read(std::make_shared<const Buffer>(text), {"FILE", data::Form::sparse, 1});
  };
  try {
    const data::Dataset rows = read({reinterpret_cast<const std::byte*>(bytes), size});
    check_dataset(rows);
    const Buffer text = libsvm.write(rows);
    const data::Dataset again = read(text);
    check_dataset(again);
    if (again.rows() != rows.rows() || again.cols() != rows.cols()) std::abort();
    if (libsvm.write(again).text() != text.text()) std::abort();
    if (rows.rows() * rows.cols() < 1'000'000) check_dataset(in_form(rows, data::Form::dense));
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt) std::abort();
  }
  return 0;
}
