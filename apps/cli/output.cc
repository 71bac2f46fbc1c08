#include "apps/cli/output.h"

#include <filesystem>
#include <optional>

#include "apps/cli/terminal.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::cli {

namespace fs = std::filesystem;

void write_output(const std::string& place, Bytes bytes) {
  if (place == "-") return write_out({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const Uri uri = Uri::parse(place);
  const std::optional<fs::path> path = storage::local_file(uri);
  if (!path) {
    if (uri.name().empty())
      fail(Code::invalid_argument,
           "writing {}: it is a store: give what is written a name, as {}/NAME", uri.display(),
           uri.display());
    const storage::Object object = storage::open_object(uri);
    return object.store->save(object.key, bytes);
  }
  std::error_code error;
  const fs::file_status status = fs::status(*path, error);
  if (fs::is_directory(status))
    fail(Code::invalid_argument, "writing {}: it is a folder", path->string());
  if (fs::exists(status) && !fs::is_regular_file(status))
    return append_to_file(*path, bytes, Access::umask);
  const fs::path target = follow_links(*path);
  make_folder(target.parent_path(), Access::umask);
  write_file(target, bytes, {.access = Access::umask});
}

}  // namespace lambdaml::cli
