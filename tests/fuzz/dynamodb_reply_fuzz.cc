#include <cstddef>
#include <cstdint>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"
#include "lambdaml/storage/dynamodb/reply.h"

namespace {

using namespace lambdaml;
namespace dynamodb = lambdaml::storage::dynamodb;

/// All that a reply says, or that it is refused, as one text.
std::string meaning_of(std::string_view text) {
  std::string out;
  try {
    dynamodb::Reply reply = dynamodb::parse_reply(text, "key");
    for (dynamodb::ReplyItem& item : reply.items) {
      out += item.key + "\n";
      try {
        out += item.take_value().text();
      } catch (const Error& error) {
        if (error.code() != Code::data_corrupt) __builtin_trap();
      }
      out += '\n';
    }
    for (const std::string& key : reply.unprocessed) out += key + "\n";
    out += reply.next + std::to_string(reply.units.value_or(-1));
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt && error.code() != Code::unavailable) __builtin_trap();
    return "refused";
  }
  return out;
}

}  // namespace

/// A reply is refused with data_corrupt (or unavailable, when it is no JSON object), or means the
/// same whether its bytes are taken out before it is parsed ("B":"…") or not ("B": "…"). Bytes that
/// were taken out and that nobody wants are not even looked at.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Buffer bytes(Bytes(reinterpret_cast<const std::byte*>(data), size));
  std::string spaced(bytes.text());
  for (std::size_t at = 0; (at = spaced.find(R"("B":")", at)) != std::string::npos; at += 5)
    spaced.insert(at + 4, " ");
  const std::string meaning = meaning_of(spaced);
  if (meaning != "refused" && meaning != meaning_of(bytes.text())) __builtin_trap();
  try {
    static_cast<void>(dynamodb::parse_table(bytes.text()));
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt && error.code() != Code::unavailable) __builtin_trap();
  }
  static_cast<void>(dynamodb::parse_problem(bytes.text()));
  return 0;
}
