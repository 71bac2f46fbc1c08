#include <cstddef>
#include <cstdint>
#include <functional>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"
#include "lambdaml/storage/s3/answers.h"

/// What S3 answers is refused with data_corrupt, or with unavailable when it is no such document,
/// or is read; a list names keys with sizes, and goes on only with a token.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lambdaml;
  using namespace lambdaml::storage::s3;
  const std::string_view xml = as_text(Bytes(reinterpret_cast<const std::byte*>(data), size));
  const auto attempt = [](const std::function<void()>& parse) {
    try {
      parse();
    } catch (const Error& error) {
      if (error.code() != Code::data_corrupt && error.code() != Code::unavailable) __builtin_trap();
    }
  };
  attempt([&] { parse_fault(xml); });
  attempt([&] { parse_page(xml); });
  attempt([&] { parse_not_deleted(xml); });
  attempt([&] {
    if (parse_upload_id(xml).empty()) __builtin_trap();
  });
  if (const auto key = decode_key(xml); key && key->size() > size) __builtin_trap();
  return 0;
}
