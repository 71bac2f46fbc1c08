#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/checked_json.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/source.h"

namespace lambdaml::data {
namespace {

using Json = nlohmann::json;

/// Version 1 had no checksums except `checksum`, of all parts, and events still use it.
constexpr std::uint64_t kVersion = 2;
constexpr std::uint64_t kMaxFeatures = std::uint64_t{1} << 31;
/// Far beyond any data set; keeps sums and products within 64 bits.
constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 48;
constexpr std::size_t kMaxBytes = 64U << 20U;

class Fields {
 public:
  Fields(const Json& json, std::string_view what) : json_(json), what_(what) {}

  [[noreturn]] void corrupt(const std::string& why) const {
    fail(Code::data_corrupt, "reading {}: {}; prepare the data set again", what_, why);
  }
  const Json& get(const char* key) const {
    const auto at = json_.find(key);
    if (at == json_.end()) corrupt(fmt::format("'{}' is missing", key));
    return *at;
  }
  std::uint64_t count(const char* key, std::uint64_t most) const {
    return count(get(key), key, most);
  }
  std::uint64_t count(const Json& value, const char* key, std::uint64_t most) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most)
      corrupt(fmt::format("'{}' is not a whole number up to {}", key, most));
    return value.get<std::uint64_t>();
  }
  const Json& array(const char* key) const {
    const Json& value = get(key);
    if (!value.is_array()) corrupt(fmt::format("'{}' is not a list", key));
    return value;
  }
  std::uint64_t checksum(const Json& value, const char* key) const {
    const auto sum =
        value.is_string() ? checksum_from(value.get_ref<const std::string&>()) : std::nullopt;
    if (!sum) corrupt(fmt::format("'{}' is not 16 hexadecimal digits", key));
    return *sum;
  }

 private:
  const Json& json_;
  std::string_view what_;
};

void read_part_files(const Fields& fields, Manifest& manifest) {
  manifest.id = fields.checksum(fields.get("id"), "id");
  const Json& bytes = fields.array("part_bytes");
  const Json& checksums = fields.array("part_checksums");
  if (bytes.size() != manifest.parts() || checksums.size() != manifest.parts())
    fields.corrupt("'part_bytes' or 'part_checksums' are not of as many parts as 'part_rows'");
  std::uint64_t left = manifest.bytes;
  for (std::size_t i = 0; i < manifest.parts(); ++i) {
    const std::uint64_t own = fields.count(bytes[i], "part_bytes", left);
    manifest.part_files.push_back({own, fields.checksum(checksums[i], "part_checksums")});
    left -= own;
  }
  if (left != 0) fields.corrupt("'part_bytes' are not 'bytes' in all");
}

/// Which manifests of old versions have not.
void read_later_facts(const Json& json, const Fields& fields, Manifest& manifest,
                      std::string_view what) {
  if (json.contains("targets")) {
    const Json& targets = fields.get("targets");
    if (!targets.is_boolean()) fields.corrupt("'targets' is neither true nor false");
    manifest.targets = targets.get<bool>();
    if (manifest.targets && !manifest.labels.empty()) fields.corrupt("it has labels and targets");
  }
  if (json.contains("tensors")) {
    const Json& tensors = fields.get("tensors");
    if (!tensors.is_string()) fields.corrupt("'tensors' is no text");
    manifest.tensors =
        tensors_from(tensors.get_ref<const std::string&>(), fmt::format("reading {}", what));
    if (!manifest.tensors.empty() && manifest.features != 0)
      fields.corrupt("it has features and tensors");
  }
  if (json.contains("weights")) {
    const Json& weights = fields.get("weights");
    if (!weights.is_number() || !(weights.get<double>() > 0) ||
        !std::isfinite(weights.get<double>()))
      fields.corrupt("'weights' is no number above 0");
    manifest.weights = weights.get<double>();
  }
  if (json.contains("in_order")) {
    const Json& in_order = fields.get("in_order");
    if (!in_order.is_boolean()) fields.corrupt("'in_order' is neither true nor false");
    manifest.in_order = in_order.get<bool>();
  }
  if (json.contains("names")) {
    const Json& names = fields.get("names");
    if (!names.is_string()) fields.corrupt("'names' is no text");
    manifest.names = names_from(names.get_ref<const std::string&>(), manifest.features,
                                fmt::format("reading {}", what));
  }
}

}  // namespace

std::uint64_t Manifest::rows() const {
  return std::accumulate(part_rows.begin(), part_rows.end(), std::uint64_t{0});
}

nlohmann::json Manifest::facts() const {
  Json json{{"version", 1},         {"format", format}, {"part_rows", part_rows},
            {"features", features}, {"sparse", sparse}, {"stored_values", stored_values},
            {"labels", labels},     {"bytes", bytes},   {"checksum", checksum}};
  if (targets) json["targets"] = true;
  if (!tensors.empty()) json["tensors"] = tensors_text(tensors);
  if (weights > 0) json["weights"] = weights;
  if (in_order) json["in_order"] = true;
  return json;
}

std::string Manifest::to_json() const {
  Json json = facts();
  if (names) json["names"] = names_text(*names);
  if (part_files.empty()) return json_text(json, 1) + "\n";
  json["version"] = kVersion;
  json["id"] = checksum_text(id);
  for (const Content& file : part_files) {
    json["part_bytes"].push_back(file.bytes);
    json["part_checksums"].push_back(checksum_text(file.checksum));
  }
  return checked_json_text(json, 1) + "\n";
}

Manifest Manifest::from_json(std::string_view text, std::string_view what) {
  if (text.size() > kMaxBytes)
    Fields(Json(), what).corrupt(fmt::format("it has {}", human_bytes(text.size())));
  return from_facts(parse_json(text), what);
}

Manifest Manifest::from_facts(Json json, std::string_view what) {
  const Fields fields(json, what);
  if (!json.is_object()) fields.corrupt("this is not a JSON object");
  const Checked checked = take_checksum(json);
  if (checked == Checked::damaged)
    fields.corrupt("its content does not fit its checksum: it was damaged");
  const std::uint64_t version = fields.count("version", kMaxCount);
  if (version != 1 && version != kVersion)
    fields.corrupt(fmt::format("its version is neither 1 nor {}", kVersion));
  if (version == kVersion && checked == Checked::none)
    fields.corrupt("it has no checksum of itself");
  Manifest manifest;
  std::uint64_t all = 0;
  const Json& part_rows = fields.array("part_rows");
  manifest.part_rows.reserve(part_rows.size());
  for (const Json& part : part_rows) {
    const std::uint64_t rows = fields.count(part, "part_rows", kMaxCount - all);
    if (rows == 0) fields.corrupt("a part has no rows");
    manifest.part_rows.push_back(rows);
    all += rows;
  }
  if (manifest.part_rows.empty()) fields.corrupt("there are no parts");
  manifest.features = fields.count("features", kMaxFeatures);
  manifest.stored_values = fields.count("stored_values", std::numeric_limits<std::int64_t>::max());
  manifest.bytes = fields.count("bytes", std::numeric_limits<std::int64_t>::max());
  manifest.checksum = fields.count("checksum", std::numeric_limits<std::uint64_t>::max());
  const Json& sparse = fields.get("sparse");
  if (!sparse.is_boolean()) fields.corrupt("'sparse' is neither true nor false");
  manifest.sparse = sparse.get<bool>();
  for (const Json& label : fields.array("labels")) {
    if (!label.is_number_integer()) fields.corrupt("a label is no integer");
    const auto value = label.is_number_unsigned() && label.get<std::uint64_t>() > INT32_MAX
                           ? std::numeric_limits<std::int64_t>::max()
                           : label.get<std::int64_t>();
    if (value < INT32_MIN || value > INT32_MAX) fields.corrupt("a label does not fit 32 bits");
    if (!manifest.labels.empty() && value <= manifest.labels.back())
      fields.corrupt("the labels do not ascend");
    manifest.labels.push_back(static_cast<std::int32_t>(value));
  }
  read_later_facts(json, fields, manifest, what);
  const Json& format = fields.get("format");
  if (!format.is_string()) fields.corrupt("'format' is not a name");
  manifest.format = format.get<std::string>();
  if (registry().find(manifest.format) == nullptr)
    fields.corrupt(
        fmt::format("its parts are of the unknown format '{}'", printable(manifest.format, 40)));
  if (version == kVersion) read_part_files(fields, manifest);
  return manifest;
}

}  // namespace lambdaml::data
