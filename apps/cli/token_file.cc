#include "apps/cli/token_file.h"

#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"

namespace lambdaml::cli {

std::string read_token(const std::string& path) {
  const std::optional<Buffer> bytes = read_file(path);
  if (!bytes) fail(Code::not_found, "token file {}: no such file", path);
  const std::string token(trim(bytes->text().substr(0, bytes->text().find('\n'))));
  if (token.empty()) fail(Code::invalid_argument, "token file {}: its first line is empty", path);
  return token;
}

}  // namespace lambdaml::cli
