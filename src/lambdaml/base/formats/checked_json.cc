#include "lambdaml/base/formats/checked_json.h"

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/json.h"

namespace lambdaml {
namespace {

constexpr const char* kChecksum = "xxh3";
constexpr const char* kCheckedBy = "checked_by";

std::string checksum_of(const nlohmann::json& object) {
  return checksum_text(checksum(as_bytes(json_text(object))));
}

}  // namespace

std::string checked_json_text(const nlohmann::json& object, int indent) {
  nlohmann::json all = object;
  all[kCheckedBy] = kChecksum;
  all[kChecksum] = checksum_of(all);
  return json_text(all, indent);
}

Checked take_checksum(nlohmann::json& object) {
  const auto stated = object.find(kChecksum);
  if (stated == object.end()) return object.contains(kCheckedBy) ? Checked::damaged : Checked::none;
  const nlohmann::json sum = *stated;
  object.erase(stated);
  const bool fits = sum.is_string() && sum.get_ref<const std::string&>() == checksum_of(object) &&
                    object.contains(kCheckedBy);
  object.erase(kCheckedBy);
  return fits ? Checked::fits : Checked::damaged;
}

}  // namespace lambdaml
