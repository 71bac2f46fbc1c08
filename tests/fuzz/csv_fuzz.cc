#include <cstdint>
#include <cstdlib>
#include <memory>

#include "dataset_check.h"
#include "input.h"
#include "lambdaml/base/error.h"
#include "lambdaml/data/registry.h"

using namespace lambdaml;

/// Text is refused with an Error or gives rows, in each form and with each option. Rows that are
/// written and read again are the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  fuzz::be_quiet();
  static const data::Plugin& csv = data::registry().get("csv");
  if (size == 0) return 0;
  Options options = data::format_options();
  if ((bytes[0] & 1U) != 0) options.parse("missing", "mean", "fuzz");
  if ((bytes[0] & 2U) != 0) options.parse("label", "-1", "fuzz");
  if ((bytes[0] & 4U) != 0) options.parse("header", "no", "fuzz");
  const auto form = (bytes[0] & 8U) != 0 ? data::Form::sparse : data::Form::automatic;
  const auto read = [&](Bytes text, const Options& given) {
    return data::read_with(csv, std::make_shared<const Buffer>(text),
                           {.what = "FILE", .form = form}, given);
  };
  try {
    const Bytes text(reinterpret_cast<const std::byte*>(bytes + 1), size - 1);
    csv.recognizes(text);
    const data::Dataset rows = read(text, options);
    check_dataset(rows);
    if (rows.rows() == 0 || rows.cols() == 0 || !rows.labelled()) return 0;
    const Buffer written = csv.write(rows);
    Options back = data::format_options();
    back.parse("header", "yes", "fuzz");
    back.parse("label", "0", "fuzz");
    const data::Dataset again = read(written, back);
    check_dataset(again);
    if (again.rows() != rows.rows() || again.cols() != rows.cols()) std::abort();
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt && error.code() != Code::invalid_argument) std::abort();
  }
  return 0;
}
