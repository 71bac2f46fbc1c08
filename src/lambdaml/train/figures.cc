#include "lambdaml/train/figures.h"

#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::train {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<const char*, double Figures::*>, 5> kSeconds{
    {{"startup_s", &Figures::startup_s},
     {"load_s", &Figures::load_s},
     {"compute_s", &Figures::compute_s},
     {"comm_s", &Figures::comm_s},
     {"run_s", &Figures::run_s}}};
constexpr std::array<std::pair<const char*, std::uint64_t Figures::*>, 3> kCounts{
    {{"invocations", &Figures::invocations},
     {"bytes_sent", &Figures::bytes_sent},
     {"bytes_received", &Figures::bytes_received}}};

}  // namespace

Figures& Figures::operator+=(const Figures& more) {
  for (const auto& [name, member] : kSeconds) this->*member += more.*member;
  for (const auto& [name, member] : kCounts) this->*member += more.*member;
  add(usage, more.usage);
  return *this;
}

std::string Figures::to_json() const {
  json object{{"usage", parse_json(train::to_json(usage))}};
  for (const auto& [name, member] : kSeconds) object[name] = this->*member;
  for (const auto& [name, member] : kCounts) object[name] = this->*member;
  return json_text(object);
}

Figures Figures::from_json(std::string_view text) {
  Figures out;
  try {
    const json object = parse_json(text);
    for (const auto& [name, member] : kSeconds) out.*member = object.at(name).get<double>();
    for (const auto& [name, member] : kCounts) out.*member = object.at(name).get<std::uint64_t>();
    out.usage = usage_from_json(json_text(object.at("usage")));
  } catch (const json::exception& error) {
    fail(Code::data_corrupt, "figures: not what a worker reports: {}", printable(error.what()));
  }
  return out;
}

}  // namespace lambdaml::train
