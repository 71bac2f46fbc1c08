// The records of a search: what it is, and its legs. A tuner that takes over, and whoever asks how
// a search stands, reads them from storage.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "input.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/tune/report.h"
#include "lambdaml/tune/search.h"

namespace {

using namespace lambdaml;
using fuzz::Input;
using fuzz::require;
using fuzz::require_code;

constexpr std::size_t kMostLegs = 20;

tune::Leg leg_of(Input& input) {
  tune::Leg leg;
  leg.trial = input.number();
  leg.epochs = input.number();
  leg.state = static_cast<tune::Leg::State>(input.below(3));
  leg.epoch = input.number();
  leg.stalls = input.number();
  if (leg.state == tune::Leg::State::done) leg.value = input.real();
  leg.cost_usd = input.real();
  leg.wall_s = input.real();
  if (input.flag()) leg.summary = input.text();
  return leg;
}

/// All that is made of a search and its legs.
void report(const tune::Search& search, const std::vector<tune::Leg>& legs) {
  const std::unique_ptr<tune::Strategy> strategy = tune::make_strategy(search);
  const auto next = strategy->next(legs);
  if (next.what == tune::Strategy::Next::What::start) require(next.trial < strategy->trials());
  const std::vector<tune::TrialView> trials = tune::trials_of(*strategy, legs);
  static_cast<void>(tune::trials_csv(search, trials));
  static_cast<void>(tune::summary_json(search, trials, 1, "trials"));
  if (const tune::TrialView* best = tune::best_of(search, trials))
    static_cast<void>(tune::best_yaml(search, *best));
}

}  // namespace

/// Records are refused as damaged or bad input, or can be written again and reported.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool quiet = [] {
    log::configure(log::Level::off, log::Format::text);
    return true;
  }();
  static_cast<void>(quiet);
  Input input(data, size);
  try {
    const tune::Search search = tune::Search::from_json(input.text(), "SEARCH");
    const std::string text = search.to_json();
    require(tune::Search::from_json(text, "SEARCH").to_json() == text);
    std::vector<tune::Leg> legs;
    while (!input.empty() && legs.size() < kMostLegs)
      legs.push_back(
          tune::Leg::from_json(input.flag() ? input.text() : leg_of(input).to_json(), "LEG"));
    report(search, legs);
  } catch (const Error& error) {
    require_code(error, {Code::data_corrupt, Code::invalid_argument, Code::not_found,
                         Code::resource_exhausted});
  }
  return 0;
}
