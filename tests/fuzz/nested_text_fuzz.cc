// Texts that nest: a few bytes said again and again, so that a small input becomes a deep one. What
// a parser, a copy or a destructor does by recursion ends here.
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "input.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/yaml.h"
#include "lambdaml/base/json.h"
#include "lambdaml/storage/s3/answers.h"

namespace {

using namespace lambdaml;
using fuzz::Input;
using fuzz::require;
using fuzz::require_code;

constexpr std::size_t kMostBytes = 1 << 20;

std::string expanded(Input& input) {
  std::string out;
  while (!input.empty()) {
    const std::size_t times = input.length() * (input.flag() ? 1 : 8);
    const std::string piece = input.text();
    for (std::size_t i = 0; i < times && out.size() + piece.size() <= kMostBytes; ++i) out += piece;
  }
  return out;
}

template <class Json>
void check(const Json& value) {
  if (value.is_discarded()) return;
  const Json copy = value;
  require(copy == value || json_text(copy) == json_text(value));
  require(!parse_json(json_text(value)).is_discarded());
}

template <class Read>
void attempt(Read&& read) {
  try {
    read();
  } catch (const Error& error) {
    require_code(error, {Code::invalid_argument, Code::data_corrupt, Code::unavailable});
  }
}

}  // namespace

/// JSON is read whole or not at all, and so are YAML and XML, however deep they are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t format = input.byte();
  const std::string text = expanded(input);
  if (format % 3 == 0) {
    check(parse_json(text));
    check(parse_ordered_json(text));
  } else if (format % 3 == 1) {
    attempt([&] {
      const YAML::Node node = load_yaml(text, "FILE");
      if (node.IsMap())
        for (const auto& pair : node) require(pair.first.IsDefined());
    });
  } else {
    attempt([&] { storage::s3::parse_fault(text); });
    attempt([&] { storage::s3::parse_page(text); });
    attempt([&] { storage::s3::parse_not_deleted(text); });
  }
  return 0;
}
