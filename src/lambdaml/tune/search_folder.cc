#include "lambdaml/tune/search_folder.h"

#include <cerrno>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/checked_json.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::tune {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kPointer = "search.json";
constexpr const char* kRecords = "records";

/// What the search's pointer in that folder says.
std::string records_of_folder(const fs::path& path) {
  const std::optional<Buffer> text = read_file(path / kPointer);
  if (!text)
    fail(Code::not_found,
         "search {}: no {} there; give the folder of a search, or the URI of its "
         "records",
         path.string(), kPointer);
  json pointer = parse_json(text->text());
  if (!pointer.is_object() || take_checksum(pointer) == Checked::damaged ||
      !pointer.contains(kRecords) || !pointer[kRecords].is_string())
    fail(Code::data_corrupt, "search {}: its {} is damaged", path.string(), kPointer);
  // The records in the folder are its own, also after it was moved or copied.
  const fs::path own = fs::absolute(path) / kRecords;
  return fs::is_directory(own) ? Uri::parse(own.string()).text()
                               : pointer[kRecords].get<std::string>();
}

}  // namespace

SearchFolder::SearchFolder(fs::path path, std::string records_uri)
    : path_(std::move(path)), records_uri_(std::move(records_uri)) {}

void SearchFolder::lock() {
  lock_ = FileDescriptor(::open((path_ / kPointer).c_str(), O_RDONLY | O_CLOEXEC));
  if (!lock_) fail_errno(errno, "opening " + (path_ / kPointer).string());
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
    fail(Code::unavailable, "search {}: it is still running; stop it first", path_.string());
}

SearchFolder SearchFolder::create(const fs::path& path, const std::string& search_id,
                                  const std::string& records_uri) {
  control::RunFolder::require_new(path);
  SearchFolder folder(fs::absolute(path), records_uri);
  make_new_folder(folder.path_);
  try {
    const std::string kept = without_passwords(Uri::parse(records_uri).text());
    write_file(
        folder.path_ / kPointer,
        as_bytes(checked_json_text(json{{"search_id", search_id}, {kRecords, kept}}) + "\n"));
    folder.lock();
  } catch (...) {
    folder.discard();
    throw;
  }
  return folder;
}

SearchFolder SearchFolder::open(const fs::path& path) {
  require_own_folder(path);
  SearchFolder folder(fs::absolute(path), records_of_folder(path));
  folder.lock();
  return folder;
}

bool is_search_folder(const std::string& where) {
  const std::optional<fs::path> folder = storage::local_file(Uri::parse(where));
  if (!folder) return false;
  // The records in a folder have a file of the same name, with other contents.
  const std::optional<Buffer> text = read_file(*folder / kPointer);
  if (!text) return false;
  const json pointer = parse_json(text->text());
  if (!pointer.is_object())
    fail(Code::data_corrupt, "search {}: its {} is damaged", utf8_path(where), kPointer);
  return pointer.contains(kRecords);
}

bool is_left(const std::string& where) {
  if (!is_search_folder(where)) return false;
  const fs::path folder = path_of_file_uri(Uri::parse(where).text());
  if (!fs::is_directory(folder / kRecords)) return false;
  const FileDescriptor file(::open((folder / kPointer).c_str(), O_RDONLY | O_CLOEXEC));
  return file && ::flock(file.get(), LOCK_SH | LOCK_NB) == 0;
}

std::string records_uri_of(const std::string& where) {
  const std::string uri = Uri::parse(where).text();
  return is_search_folder(where) ? records_of_folder(path_of_file_uri(uri)) : uri;
}

void SearchFolder::take_results(Records& records, const std::string& summary) {
  const auto copy = [&](const char* key, const char* name) {
    if (const std::optional<Buffer> bytes = records.store().load(key))
      write_file(path_ / name, *bytes);
  };
  copy("trials.csv", "trials.csv");
  copy("best.yaml", "best.yaml");
  if (std::optional<Buffer> best = records.store().load("best.safetensors")) {
    const auto model = std::make_shared<const Buffer>(std::move(*best));
    job::require_whole_model(model, records.store().describe() + "/best.safetensors");
    write_file(path_ / "model.safetensors", *model);
  }
  if (!summary.empty())
    write_file(path_ / "summary.json", as_bytes(summary + "\n"), {.durable = true});
}

void SearchFolder::discard() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  // Also removes the default parent if it is empty; rmdir fails otherwise.
  if (path_.parent_path().filename() == "runs") ::rmdir(path_.parent_path().c_str());
}

}  // namespace lambdaml::tune
