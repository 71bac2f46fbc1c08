#include "lambdaml/storage/dynamodb/reply.h"

#include <cstring>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/dynamodb/item.h"

namespace lambdaml::storage::dynamodb {
namespace {

using Json = nlohmann::json;

[[noreturn]] void fail_reply(std::string_view why) {
  fail(Code::data_corrupt, "the reply makes no sense: {}", why);
}

/// A JSON text with its byte strings ("B":"base64…") taken out and replaced by their index. They
/// are most of a long reply, and a general JSON parser would take five times as long on them as all
/// other steps together.
struct Lifted {
  std::string text;
  std::vector<std::string_view> bytes;
};

Lifted lift_bytes(std::string_view text) {
  // Within a string the quotes would be escaped, so this is unambiguous.
  constexpr std::string_view kBegin = R"("B":")";
  Lifted out;
  std::size_t done = 0;
  while (true) {
    const std::size_t found = text.find(kBegin, done);
    if (found == std::string_view::npos) break;
    const std::size_t begin = found + kBegin.size();
    const std::size_t end = text.find('"', begin);
    if (end == std::string_view::npos) break;
    const std::string_view bytes = text.substr(begin, end - begin);
    out.text += text.substr(done, begin - done);
    if (bytes.find('\\') == std::string_view::npos) {
      out.text += '@' + std::to_string(out.bytes.size());
      out.bytes.push_back(bytes);
    } else {
      out.text += bytes;
    }
    done = end;
  }
  out.text += text.substr(done);
  return out;
}

/// A text that is not a JSON object was cut off or comes from elsewhere: throws unavailable, so
/// that the request is retried.
Json parse(std::string_view text) {
  Json json = parse_json(text);
  if (!json.is_object()) fail(Code::unavailable, "the reply is no JSON object");
  return json;
}

/// The member of an object; null if there is none or it is not an object.
const Json& member(const Json& json, std::string_view name) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto at = json.find(name);
  return at == json.end() ? kNull : *at;
}

/// A string, or empty.
std::string_view text_of(const Json& json) {
  return json.is_string() ? std::string_view(json.get_ref<const std::string&>())
                          : std::string_view();
}

/// The only member of an object, named by the table.
const Json& of_the_table(const Json& json) {
  if (!json.is_object() || json.size() != 1) fail_reply("not about one table");
  return json.front();
}

const Json& array_of(const Json& json) {
  if (!json.is_array()) fail_reply("a list of items is not an array");
  return json;
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view key_attribute)
      : key_attribute_(key_attribute), lifted_(lift_bytes(text)), json_(parse(lifted_.text)) {}

  Reply reply() const {
    Reply out;
    if (const Json& one = member(json_, "Item"); !one.is_null()) out.items.push_back(item(one));
    if (const Json& page = member(json_, "Items"); !page.is_null())
      for (const Json& one : array_of(page)) out.items.push_back(item(one));
    if (const Json& tables = member(json_, "Responses"); !tables.empty())
      for (const Json& one : array_of(of_the_table(tables))) out.items.push_back(item(one));
    if (const Json& tables = member(json_, "UnprocessedKeys"); !tables.empty())
      for (const Json& one : array_of(member(of_the_table(tables), "Keys")))
        out.unprocessed.push_back(key(one));
    if (const Json& tables = member(json_, "UnprocessedItems"); !tables.empty())
      for (const Json& one : array_of(of_the_table(tables))) {
        const Json& put = member(member(one, "PutRequest"), "Item");
        out.unprocessed.push_back(
            key(put.is_null() ? member(member(one, "DeleteRequest"), "Key") : put));
      }
    if (const Json& next = member(json_, "LastEvaluatedKey"); !next.is_null()) {
      const std::string last = key(next);
      append_key(out.next, key_attribute_, last);
    }
    out.units = units(member(json_, "ConsumedCapacity"));
    return out;
  }

 private:
  std::string key(const Json& attributes) const {
    const Json& text = member(member(attributes, key_attribute_), "S");
    if (!text.is_string()) fail_reply("an item without a key");
    return text.get<std::string>();
  }

  ReplyItem item(const Json& attributes) const {
    ReplyItem out;
    out.key = key(attributes);
    const auto bytes = to_integer(text_of(member(member(attributes, kBytesAttribute), "N")));
    if (bytes && *bytes >= 0) out.bytes = static_cast<std::uint64_t>(*bytes);
    if (const Json& value = member(member(attributes, kValueAttribute), "B"); value.is_string()) {
      std::string_view digits = text_of(value);
      if (digits.starts_with('@')) {
        const auto number = to_integer(digits.substr(1));
        if (!number || *number < 0 || static_cast<std::size_t>(*number) >= lifted_.bytes.size())
          fail_reply("bytes that are no base64");
        digits = lifted_.bytes[static_cast<std::size_t>(*number)];
      }
      out.value = decode_base64(digits);
      if (!out.value) fail_reply("bytes that are no base64");
    }
    return out;
  }

  /// An object for one table, or a list of them.
  static std::optional<double> units(const Json& consumed) {
    if (consumed.is_array()) {
      double sum = 0;
      for (const Json& one : consumed) sum += units(one).value_or(0);
      return consumed.empty() ? std::nullopt : std::optional(sum);
    }
    const Json& number = member(consumed, "CapacityUnits");
    if (!number.is_number()) return {};
    const auto value = number.get<double>();
    return value >= 0 && value < 1e9 ? std::optional(value) : std::nullopt;
  }

  std::string key_attribute_;
  Lifted lifted_;
  Json json_;
};

}  // namespace

Buffer ReplyItem::take_value() {
  if (!bytes)
    fail(Code::data_corrupt, "the item was not written by this program: it has no attribute '{}'",
         kBytesAttribute);
  Buffer out = value ? std::move(*value) : Buffer();
  value.reset();
  if (out.size() != *bytes)
    fail(Code::data_corrupt, "the item has {} bytes and says {}", out.size(), *bytes);
  return out;
}

Reply parse_reply(std::string_view text, std::string_view key_attribute) {
  return Parser(text, key_attribute).reply();
}

TableState parse_table(std::string_view text) {
  const Json json = parse(text);
  const Json& described = member(json, "Table");
  const Json& table = described.is_null() ? member(json, "TableDescription") : described;
  TableState out;
  out.status = printable(text_of(member(table, "TableStatus")));
  if (out.status.empty()) fail_reply("a table without a status");
  const Json& schema = member(table, "KeySchema");
  if (!schema.is_array() || schema.size() != 1) return out;
  const std::string_view name = text_of(member(schema.front(), "AttributeName"));
  const Json& attributes = member(table, "AttributeDefinitions");
  if (!attributes.is_array() || name == kValueAttribute || name == kBytesAttribute) return out;
  for (const Json& attribute : attributes)
    if (text_of(member(attribute, "AttributeName")) == name &&
        text_of(member(attribute, "AttributeType")) == "S")
      out.key_attribute = name;
  return out;
}

Problem parse_problem(std::string_view text) {
  const Json json = parse_json(text);
  Problem out;
  const std::string_view type = text_of(member(json, "__type"));
  out.type = printable(type.substr(type.find('#') + 1));
  const Json& message = member(json, "message");
  out.message = printable(text_of(message.is_null() ? member(json, "Message") : message), 300);
  return out;
}

}  // namespace lambdaml::storage::dynamodb
