#include "lambdaml/tune/segment.h"

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/checked_json.h"
#include "lambdaml/base/json.h"

namespace lambdaml::tune {
namespace {

using nlohmann::json;

constexpr const char* kStates[] = {"under_way", "done", "failed"};

}  // namespace

std::string Segment::to_json() const {
  json object{{"trial", trial},  {"epochs", epochs}, {"state", kStates[static_cast<int>(state)]},
              {"epoch", epoch},  {"stalls", stalls}, {"cost_usd", cost_usd},
              {"wall_s", wall_s}};
  if (killed_usd > 0) object["killed_usd"] = killed_usd;
  if (!counted.empty()) object["counted"] = counted;
  if (!reason.empty()) object["reason"] = reason;
  if (value) object["value"] = *value;
  if (summary) object["summary"] = json(*summary);
  return checked_json_text(object);
}

Segment Segment::from_json(std::string_view text, const std::string& what) {
  try {
    json object = parse_json(text);
    if (object.is_object() && take_checksum(object) == Checked::damaged)
      fail(Code::data_corrupt, "{}: its content does not fit its checksum: it was damaged", what);
    Segment segment;
    segment.trial = whole_number(object.at("trial"));
    segment.epochs = whole_number(object.at("epochs"));
    const auto state = object.at("state").get<std::string>();
    bool known = false;
    for (int i = 0; i < 3; ++i)
      if (state == kStates[i]) {
        segment.state = static_cast<State>(i);
        known = true;
      }
    if (!known) fail(Code::data_corrupt, "{}: unknown state", what);
    segment.epoch = whole_number(object.at("epoch"));
    segment.stalls = whole_number(object.at("stalls"));
    segment.cost_usd = object.at("cost_usd").get<double>();
    segment.wall_s = object.at("wall_s").get<double>();
    segment.killed_usd = object.value("killed_usd", 0.0);
    if (object.contains("counted"))
      for (const auto& [job, begun_ms] : object.at("counted").items())
        segment.counted[job] = whole_number(begun_ms);
    if (object.contains("reason")) segment.reason = object.at("reason").get<std::string>();
    if (object.contains("value")) segment.value = object.at("value").get<double>();
    if (object.contains("summary"))
      segment.summary = std::make_shared<const nlohmann::ordered_json>(object.at("summary"));
    if ((segment.state == State::done) != segment.value.has_value())
      fail(Code::data_corrupt, "{}: a segment has a value when it is done", what);
    return segment;
  } catch (const json::exception&) {
    fail(Code::data_corrupt, "{}: it is damaged; bring back a copy of it, or begin another search",
         what);
  }
}

}  // namespace lambdaml::tune
