#include "lambdaml/storage/dynamodb/address.h"

#include <algorithm>

#include "lambdaml/base/error.h"

namespace lambdaml::storage::dynamodb {

std::vector<Option> address_options() {
  return {
      {.name = "region",
       .default_value = std::string(),
       .help = "the table's region; by default from the AWS variables and files"},
      {.name = "endpoint",
       .default_value = std::string(),
       .help = "the server, as http://host:port; by default from the AWS variables and files"},
      {.name = "create", .default_value = false, .help = "create the table if it does not exist"}};
}

Address address_of(const Uri& uri, const Options& options) {
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
  return {.table = table,
          .region = options.text("region"),
          .endpoint = options.text("endpoint"),
          .create = options.flag("create")};
}

}  // namespace lambdaml::storage::dynamodb
