#include "lambdaml/storage/dynamodb/address.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::storage::dynamodb {

Address address_of(const Uri& uri) {
  const std::string& table = uri.host;
  const bool is_name =
      table.size() >= 3 && table.size() <= 255 && std::ranges::all_of(table, [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.';
      });
  if (!is_name || uri.port)
    fail(Code::invalid_argument,
         "{}: a table's name has 3 to 255 letters, digits, '_', '-' and '.': "
         "dynamodb://table[/prefix]",
         uri.display());
  Address address;
  address.table = table;
  for (const auto& [name, value] : uri.query) {
    if (name == "region") {
      address.region = value;
    } else if (name == "endpoint") {
      address.endpoint = value;
    } else if (name == "create" && (value == "true" || value == "false")) {
      address.create = value == "true";
    } else if (name == "create") {
      fail(Code::invalid_argument, "{}: create is true or false", uri.display());
    } else {
      fail(Code::invalid_argument, "{}: no option '{}'{}", uri.display(), printable(name),
           did_you_mean(name, {"region", "endpoint", "create"}));
    }
  }
  return address;
}

}  // namespace lambdaml::storage::dynamodb
