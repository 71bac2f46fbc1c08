#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/output.h"
#include "apps/cli/terminal.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::cli {
namespace {

Buffer read_input(const std::string& path) {
  std::optional<Buffer> bytes = read_file(path == "-" ? "/dev/stdin" : path);
  if (bytes) return std::move(*bytes);
  if (path.find("://") != std::string::npos)
    fail(Code::invalid_argument,
         "'{}' is a URI, and the last argument is a file of this machine; storage get brings it "
         "here",
         without_secrets(path));
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    fail(Code::invalid_argument, "{}: it is a folder; give a file", printable(path));
  fail(Code::not_found, "{}: no such file", printable(path));
}

struct StorageArguments {
  std::string uri;
  std::string key;
  std::optional<std::string> file;  ///< "-": standard input or output
};

/// Refuses what is no key: with an argument too few or in another order, a URI or a file would be
/// taken for one.
void require_key(const StorageArguments& arguments) {
  const std::string& key = arguments.key;
  constexpr const char* kOrder = "the arguments are the store's URI and the key in it";
  if (key == "-" || key.find("://") != std::string::npos)
    fail(Code::invalid_argument, "'{}' is no key; {}", without_secrets(key), kOrder);
  if (key.empty() || key.starts_with('/') || key.ends_with('/'))
    fail(Code::invalid_argument, "'{}' is no key: it is empty, or begins or ends with a /; {}",
         printable(key), kOrder);
}

/// What `put` saves. Without FILE, standard input is meant, unless the key names a file or there is
/// nothing to save: then an argument is missing.
Buffer read_value(const StorageArguments& arguments) {
  if (arguments.file) return read_input(*arguments.file);
  std::error_code ignored;
  if (std::filesystem::is_regular_file(arguments.key, ignored))
    fail(Code::invalid_argument,
         "'{}' is a file of this machine: give the key and then the file, or - after the key to "
         "save standard input",
         printable(arguments.key));
  // URI KEY FILE without the key: the value would be saved below a "folder" of the file's name.
  const auto name_of = [](std::string_view path) { return path.substr(path.rfind('/') + 1); };
  if (const std::string name(name_of(arguments.key));
      name.find('.') != std::string::npos && name_of(arguments.uri) == name)
    fail(Code::invalid_argument,
         "both the store {} and the key '{}' end in {}: give the store without it, then the key "
         "and the file, or - after the key to save standard input",
         without_secrets(arguments.uri), printable(arguments.key), printable(name));
  Buffer value = read_input("-");
  if (value.size() == 0)
    fail(Code::invalid_argument,
         "saving '{}': standard input is empty; give a file after the key, or - to save an empty "
         "value",
         printable(arguments.key));
  return value;
}

CLI::App* add_verb(CLI::App& parent, Globals& globals, const std::string& name,
                   const std::string& help, const std::shared_ptr<StorageArguments>& arguments) {
  CLI::App* verb = add_command(parent, globals, name, help);
  verb->add_option("URI", arguments->uri, "the store: a URI, a folder, or a bare store name")
      ->required();
  return verb;
}

void add_ls(CLI::App& group, Globals& globals, const std::shared_ptr<StorageArguments>& arguments) {
  CLI::App* ls = add_verb(group, globals, "ls", "list keys and sizes", arguments);
  ls->add_option("PREFIX", arguments->key, "only keys that begin with this");
  ls->callback([arguments, &globals] {
    const auto entries = storage::open(arguments->uri)->list(arguments->key);
    std::uint64_t bytes = 0;
    nlohmann::json keys = nlohmann::json::array();
    for (const storage::Entry& entry : entries) {
      bytes += entry.bytes;
      if (globals.json && !is_utf8(entry.key))
        log::warning("the key '{}' is not UTF-8, and JSON does not hold it as it is",
                     printable(entry.key));
      if (globals.json)
        keys.push_back({{"key", entry.key}, {"bytes", entry.bytes}});
      else
        print_line(fmt::format("{:>12}  {}", entry.bytes, entry.key));
    }
    if (globals.json) print_json(json_text(nlohmann::json{{"keys", keys}, {"bytes", bytes}}));
  });
}

void add_get(CLI::App& group, Globals& globals,
             const std::shared_ptr<StorageArguments>& arguments) {
  CLI::App* get =
      add_verb(group, globals, "get", "write a value to a file or standard output", arguments);
  get->add_option("KEY", arguments->key)->required();
  get->add_option("FILE,-o,--out", arguments->file, "file, or - [standard output]");
  get->callback([arguments, &globals] {
    require_key(*arguments);
    const std::string file = arguments->file.value_or("-");
    const auto store = storage::open(arguments->uri);
    const std::optional<Buffer> value = store->load(arguments->key);
    if (!value)
      fail(Code::not_found, "{}: there is no key '{}'", store->describe(), arguments->key);
    write_output(file, *value);
    if (globals.json && file != "-")
      print_json(json_text(nlohmann::json{{"key", arguments->key}, {"bytes", value->size()}}));
  });
}

void add_put(CLI::App& group, Globals& globals,
             const std::shared_ptr<StorageArguments>& arguments) {
  CLI::App* put =
      add_verb(group, globals, "put", "save a file or standard input under a key", arguments);
  put->add_option("KEY", arguments->key)->required();
  put->add_option("FILE", arguments->file, "file, or - [standard input]");
  put->callback([arguments, &globals] {
    require_key(*arguments);
    const Buffer value = read_value(*arguments);
    storage::open(arguments->uri)->save(arguments->key, value);
    if (globals.json)
      print_json(json_text(nlohmann::json{{"key", arguments->key}, {"bytes", value.size()}}));
  });
}

void add_rm(CLI::App& group, Globals& globals, const std::shared_ptr<StorageArguments>& arguments) {
  CLI::App* rm = add_verb(group, globals, "rm", "remove a key", arguments);
  rm->add_option("KEY", arguments->key)->required();
  rm->callback([arguments, &globals] {
    require_key(*arguments);
    storage::open(arguments->uri)->remove(arguments->key);
    if (globals.json) print_json(json_text(nlohmann::json{{"removed", arguments->key}}));
  });
}

void add_clear(CLI::App& group, Globals& globals,
               const std::shared_ptr<StorageArguments>& arguments) {
  CLI::App* clear =
      add_verb(group, globals, "clear", "remove every key, or those with a prefix", arguments);
  clear->add_option("PREFIX", arguments->key, "only keys that begin with this");
  const auto sure = std::make_shared<bool>(false);
  clear->add_flag("-y,--yes", *sure, "do not ask, as on a terminal");
  clear->callback([arguments, sure, &globals] {
    const auto store = storage::open(arguments->uri);
    const std::size_t count = store->list(arguments->key).size();
    if (count > 0 && !*sure && can_ask() &&
        !agrees(fmt::format("remove {} keys of {}?", human_count(count),
                            without_secrets(arguments->uri))))
      return print_line("nothing was removed");
    store->clear(arguments->key);
    if (globals.json)
      print_json(json_text(nlohmann::json{{"removed", count}}));
    else if (!globals.quiet)
      print_line(fmt::format("removed {} keys", count));
  });
}

}  // namespace

void add_storage_command(CLI::App& app, Globals& globals) {
  CLI::App* group = app.add_subcommand("storage", "the storage layer by hand, any store");
  group->require_subcommand(1);
  const auto arguments = std::make_shared<StorageArguments>();
  for (const auto add : {add_ls, add_get, add_put, add_rm, add_clear})
    add(*group, globals, arguments);
}

}  // namespace lambdaml::cli
