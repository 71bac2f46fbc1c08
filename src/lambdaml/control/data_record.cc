#include "lambdaml/control/data_record.h"

#include <map>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/checked_json.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"

namespace lambdaml::control {
namespace {

using nlohmann::json;

std::string record_text(const std::vector<data::SourceFile>& files) {
  json list = json::array();
  for (const data::SourceFile& file : files)
    list.push_back({{"name", file.name},
                    {"bytes", file.content.bytes},
                    {"checksum", checksum_text(file.content.checksum)}});
  return checked_json_text(json{{"files", list}});
}

/// nullopt if the record is damaged.
std::optional<std::vector<data::SourceFile>> record_from(std::string_view text) {
  json record = parse_json(text);
  if (!record.is_object() || take_checksum(record) != Checked::fits || !record.contains("files"))
    return {};
  std::vector<data::SourceFile> files;
  for (const json& file : record["files"])
    files.push_back(
        {text_at(file, "name"),
         {count_at(file, "bytes"), checksum_from(text_at(file, "checksum")).value_or(0)}});
  return files;
}

std::map<std::string, data::Content> by_name(const std::vector<data::SourceFile>& files) {
  std::map<std::string, data::Content> out;
  for (const data::SourceFile& file : files) out.emplace(file.name, file.content);
  return out;
}

std::string described(const data::Content& content) {
  return fmt::format("{} bytes of checksum {}", content.bytes, checksum_text(content.checksum));
}

}  // namespace

DataRecord::DataRecord(std::shared_ptr<storage::Storage> checkpoints, const std::string& job_id)
    : store_(std::move(checkpoints)), key_(job_id + "/data.json") {}

void DataRecord::begin(const std::vector<data::SourceFile>& files) {
  if (files.empty())
    forget();
  else
    store_->save(key_, as_bytes(record_text(files)));
}

void DataRecord::require_same(const std::vector<data::SourceFile>& files) {
  const std::optional<Buffer> text = store_->load(key_);
  // For a job of an old version there is only the checksum in its checkpoints.
  if (!text) return begin(files);
  const auto before = record_from(text->text());
  if (!before) {
    log::warning("{}/{}: it is damaged; the data are known by the checkpoints alone",
                 store_->describe(), key_);
    return begin(files);
  }
  constexpr const char* kRemedy =
      "put the data back as they were, or begin a new job with lambdaml train";
  const std::map<std::string, data::Content> then = by_name(*before), now = by_name(files);
  for (const auto& [name, content] : now) {
    const auto known = then.find(name);
    if (known == then.end())
      fail(Code::data_corrupt, "reading {}: the job began without this file; {}", name, kRemedy);
    if (known->second != content)
      fail(Code::data_corrupt, "reading {}: it has {}, and had {} when the job began; {}", name,
           described(content), described(known->second), kRemedy);
  }
  for (const auto& [name, content] : then)
    if (!now.contains(name))
      fail(Code::data_corrupt,
           "reading {}: the job began with this file too, and it is not read "
           "now; {}",
           name, kRemedy);
}

void DataRecord::forget() { store_->remove(key_); }

}  // namespace lambdaml::control
