#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "dataset_check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/data/registry.h"

/// Ends the process, which the fuzzer reports, unless a file of that format is refused as bad input
/// or gives rows.
inline void check_format(const char* format, const std::uint8_t* bytes, std::size_t size) {
  using namespace lambdaml;
  const data::Plugin& plugin = data::registry().get(format);
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
}
