// The records of a search: what it is, and its segments. A tuner that takes over, and whoever asks
// how a search stands, reads them from storage.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "input.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/tune/report.h"
#include "lambdaml/tune/search.h"

namespace {

using namespace lambdaml;
using fuzz::Input;
using fuzz::require;
using fuzz::require_code;

constexpr std::size_t kMostSegments = 20;

tune::Segment segment_of(Input& input) {
  tune::Segment segment;
  segment.trial = input.number();
  segment.epochs = input.number();
  segment.state = static_cast<tune::Segment::State>(input.below(3));
  segment.epoch = input.number();
  segment.stalls = input.number();
  if (segment.state == tune::Segment::State::done) segment.value = input.real();
  segment.cost_usd = input.real();
  segment.wall_s = input.real();
  if (input.flag()) {
    const auto summary =
        std::make_shared<const nlohmann::ordered_json>(parse_ordered_json(input.text()));
    if (!summary->is_discarded()) segment.summary = summary;
  }
  return segment;
}

/// All that is made of a search and its segments.
void report(const tune::Search& search, const std::vector<tune::Segment>& segments) {
  const std::unique_ptr<tune::Strategy> strategy = tune::make_strategy(search);
  const auto next = strategy->next(segments);
  if (next.what == tune::Strategy::Next::What::start) require(next.trial < strategy->trials());
  const std::vector<tune::TrialView> trials = tune::trials_of(*strategy, segments);
  static_cast<void>(tune::trials_csv(search, trials));
  static_cast<void>(tune::summary_of(search, trials, 1, "trials"));
  if (const tune::TrialView* best = tune::best_of(search, trials))
    static_cast<void>(tune::best_yaml(search, *best));
}

}  // namespace

/// Records are refused as damaged or bad input, or can be written again and reported.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::be_quiet();
  Input input(data, size);
  try {
    const tune::Search search = tune::Search::from_json(input.text(), "SEARCH");
    const std::string text = search.to_json();
    require(tune::Search::from_json(text, "SEARCH").to_json() == text);
    std::vector<tune::Segment> segments;
    while (!input.empty() && segments.size() < kMostSegments)
      segments.push_back(tune::Segment::from_json(
          input.flag() ? input.text() : segment_of(input).to_json(), "SEGMENT"));
    report(search, segments);
  } catch (const Error& error) {
    require_code(error, {Code::data_corrupt, Code::invalid_argument, Code::not_found,
                         Code::resource_exhausted});
  }
  return 0;
}
