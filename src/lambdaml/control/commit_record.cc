#include "lambdaml/control/commit_record.h"

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/formats/checked_json.h"
#include "lambdaml/base/json.h"

namespace lambdaml::control {

using nlohmann::json;

namespace {

/// What events can carry.
constexpr std::uint64_t kMostCounted = 1ULL << 53;

}  // namespace

std::string CommitRecord::key_of(std::string_view state_key) {
  constexpr std::string_view kOfState = ".safetensors";
  if (state_key.ends_with(kOfState)) state_key.remove_suffix(kOfState.size());
  return std::string(state_key) + ".commit";
}

std::string CommitRecord::to_json() const {
  return checked_json_text(json{{"key", key},
                                {"epoch", progress.epoch},
                                {"round", progress.round},
                                {"ended_by", note.ended_by},
                                {"metrics", note.metrics},
                                {"bytes", bytes},
                                {"checksum", checksum_text(checksum)}});
}

std::optional<CommitRecord> CommitRecord::from_json(std::string_view text,
                                                    std::string_view state_key) {
  json object = parse_json(text);
  if (!object.is_object() || take_checksum(object) != Checked::fits) return {};
  const std::optional<std::uint64_t> checksum = checksum_from(text_at(object, "checksum"));
  if (!checksum || text_at(object, "key") != state_key) return {};
  for (const char* name : {"epoch", "round", "bytes"}) {
    const auto at = object.find(name);
    if (at == object.end() || !at->is_number_unsigned() || at->get<std::uint64_t>() > kMostCounted)
      return {};
  }
  for (const char* name : {"ended_by", "metrics"})
    if (const auto at = object.find(name); at == object.end() || !at->is_string()) return {};
  return CommitRecord{{count_at(object, "epoch"), count_at(object, "round")},
                      {text_at(object, "ended_by"), text_at(object, "metrics")},
                      std::string(state_key),
                      count_at(object, "bytes"),
                      *checksum};
}

}  // namespace lambdaml::control
