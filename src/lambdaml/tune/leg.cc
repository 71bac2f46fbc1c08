#include "lambdaml/tune/leg.h"

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/checked_json.h"
#include "lambdaml/base/json.h"

namespace lambdaml::tune {
namespace {

using nlohmann::json;

constexpr const char* kStates[] = {"under_way", "done", "failed"};

}  // namespace

std::string Leg::to_json() const {
  json object{{"trial", trial},  {"epochs", epochs}, {"state", kStates[static_cast<int>(state)]},
              {"epoch", epoch},  {"stalls", stalls}, {"cost_usd", cost_usd},
              {"wall_s", wall_s}};
  if (!reason.empty()) object["reason"] = reason;
  if (value) object["value"] = *value;
  if (!summary.empty()) object["summary"] = parse_json(summary);
  return checked_json_text(object);
}

Leg Leg::from_json(std::string_view text, const std::string& what) {
  try {
    json object = parse_json(text);
    if (object.is_object() && take_checksum(object) == Checked::damaged)
      fail(Code::data_corrupt, "{}: its content does not fit its checksum: it was damaged", what);
    Leg leg;
    leg.trial = object.at("trial").get<std::uint64_t>();
    leg.epochs = object.at("epochs").get<std::uint64_t>();
    const auto state = object.at("state").get<std::string>();
    bool known = false;
    for (int i = 0; i < 3; ++i)
      if (state == kStates[i]) {
        leg.state = static_cast<State>(i);
        known = true;
      }
    if (!known) fail(Code::data_corrupt, "{}: unknown state", what);
    leg.epoch = object.at("epoch").get<std::uint64_t>();
    leg.stalls = object.at("stalls").get<std::uint64_t>();
    leg.cost_usd = object.at("cost_usd").get<double>();
    leg.wall_s = object.at("wall_s").get<double>();
    if (object.contains("reason")) leg.reason = object.at("reason").get<std::string>();
    if (object.contains("value")) leg.value = object.at("value").get<double>();
    if (object.contains("summary")) leg.summary = json_text(object.at("summary"));
    if ((leg.state == State::done) != leg.value.has_value())
      fail(Code::data_corrupt, "{}: a leg has a value when it is done", what);
    return leg;
  } catch (const json::exception&) {
    fail(Code::data_corrupt, "{}: it is damaged; bring back a copy of it, or begin another search",
         what);
  }
}

}  // namespace lambdaml::tune
