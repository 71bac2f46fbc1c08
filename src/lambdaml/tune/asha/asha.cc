#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/tune/draws.h"
#include "lambdaml/tune/registry.h"

namespace lambdaml::tune::asha {
namespace {

constexpr std::uint64_t kTrials = 16;

/// Asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel Hyperparameter
/// Tuning", algorithm 2). Every trial begins with few epochs; a trial among the best 1/η of those
/// that reached the same rung continues to η times as many.
///
/// Deviation: which trials are compared does not depend on their speed. With C concurrent segments,
/// segment n is chosen by the results of the segments before n − C + 1, for which it waits. So a
/// search can be repeated, and a slow segment keeps at most C − 1 others from being chosen. At the
/// end, the best trial is run to its last epoch.
class Asha : public Strategy {
 public:
  explicit Asha(const StrategyInputs& inputs)
      : Strategy(inputs),
        draws_(inputs, inputs.trials > 0 ? inputs.trials : kTrials),
        reduction_(static_cast<double>(inputs.settings.integer("reduction"))) {
    for (const Parameter& parameter : inputs.space.parameters())
      for (const optim::Plugin& optimizer : optim::registry().entries())
        if (parameter.name == optimizer.epochs_option)
          fail(Code::invalid_argument,
               "asha says itself how many epochs a trial gets; it cannot search {}",
               parameter.name);
    const double most = static_cast<double>(inputs.epochs(parameters(0)));
    // The loss of the first epochs says little; starting with a quarter of all epochs still saves
    // more than half the work.
    const auto asked = static_cast<double>(inputs.settings.integer("min_epochs"));
    const double fewest = asked > 0 ? asked : std::max(1.0, most / reduction_);
    std::size_t rungs = 1;
    while (most / std::pow(reduction_, rungs) >= fewest) ++rungs;
    rungs_.resize(rungs);
  }

  std::uint64_t trials() const override { return draws_.size(); }
  Assignments parameters(std::uint64_t trial) const override { return draws_.at(trial); }

  std::uint64_t expected_epochs() const override {
    double sum = 0, there = static_cast<double>(trials()), before = 0;
    for (std::size_t rung = 0; rung < rungs_.size(); ++rung) {
      const auto epochs = static_cast<double>(epochs_at(0, rung));
      sum += there * (epochs - before);
      there = std::max(1.0, std::floor(there / reduction_));
      before = epochs;
    }
    return static_cast<std::uint64_t>(sum);
  }

  Next next(std::span<const Segment> segments) override {
    while (true) {
      if (chosen_ >= inputs().concurrency)
        seen_wanted_ = std::max(seen_wanted_, chosen_ - inputs().concurrency + 1);
      for (; seen_ < seen_wanted_; ++seen_) {
        if (seen_ >= segments.size() || !segments[seen_].has_ended()) return {Next::What::wait};
        see(segments[seen_]);
      }
      const std::optional<Choice> choice = choose(seen_ == chosen_);
      if (!choice) {
        if (seen_ == chosen_) return {};
        ++seen_wanted_;
        continue;
      }
      const Next next{Next::What::start, choice->trial, epochs_at(choice->trial, choice->rung)};
      if (chosen_ == segments.size()) return next;
      if (segments[chosen_].trial != next.trial || segments[chosen_].epochs != next.epochs)
        fail(Code::data_corrupt, "the search's records are not those of this search");
      commit(*choice);
    }
  }

 private:
  struct Choice {
    std::uint64_t trial;
    std::size_t rung;
  };
  struct Entry {
    std::uint64_t trial;
    std::optional<double> value;  ///< lower is better; absent when it failed
    bool promoted = false;
  };

  std::uint64_t epochs_at(std::uint64_t trial, std::size_t rung) const {
    const auto most = static_cast<double>(whole_epochs(trial));
    const double share = std::pow(reduction_, rungs_.size() - 1 - rung);
    const auto fewest =
        static_cast<double>(std::max<std::int64_t>(1, inputs().settings.integer("min_epochs")));
    return static_cast<std::uint64_t>(std::min(most, std::max(fewest, std::round(most / share))));
  }

  void see(const Segment& segment) {
    const std::size_t rung = rung_of_.at(segment.trial);
    std::optional<double> value;
    if (segment.state == Segment::State::done && segment.value)
      value = inputs().higher_is_better ? -*segment.value : *segment.value;
    rungs_[rung].push_back({segment.trial, value});
  }

  /// The best entry of a rung that is not promoted yet, among its first `count`.
  const Entry* best_of(std::size_t rung, std::size_t count) const {
    std::vector<const Entry*> order;
    for (const Entry& entry : rungs_[rung])
      if (entry.value) order.push_back(&entry);
    std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
      return std::pair(*a->value, a->trial) < std::pair(*b->value, b->trial);
    });
    for (std::size_t i = 0; i < std::min(count, order.size()); ++i)
      if (!order[i]->promoted) return order[i];
    return nullptr;
  }

  std::optional<Choice> choose(bool nothing_under_way) const {
    for (std::size_t rung = rungs_.size() - 1; rung-- > 0;) {
      const auto count = static_cast<std::size_t>(
          std::floor(static_cast<double>(rungs_[rung].size()) / reduction_));
      if (const Entry* entry = best_of(rung, count)) return Choice{entry->trial, rung + 1};
    }
    if (drawn_ < trials()) return Choice{drawn_, 0};
    if (!nothing_under_way) return {};
    // At the end one trial must reach the last epoch.
    const auto& last = rungs_.back();
    if (std::any_of(last.begin(), last.end(), [](const Entry& entry) { return entry.value; }))
      return {};
    for (std::size_t rung = rungs_.size() - 1; rung-- > 0;)
      if (const Entry* entry = best_of(rung, rungs_[rung].size()))
        return Choice{entry->trial, rung + 1};
    return {};
  }

  void commit(const Choice& choice) {
    if (choice.rung == 0)
      ++drawn_;
    else
      for (Entry& entry : rungs_[choice.rung - 1])
        if (entry.trial == choice.trial) entry.promoted = true;
    rung_of_[choice.trial] = choice.rung;
    ++chosen_;
  }

  const Draws draws_;
  const double reduction_;
  std::vector<std::vector<Entry>>
      rungs_;  ///< the trials that reached each rung, as far as processed
  std::map<std::uint64_t, std::size_t> rung_of_;  ///< of each trial's latest segment
  std::uint64_t drawn_ = 0;                       ///< trials begun
  std::uint64_t chosen_ = 0;                      ///< segments chosen so far
  std::uint64_t seen_ = 0;  ///< of these, segments whose results are in rungs_
  std::uint64_t seen_wanted_ = 0;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "asha",
       .help = "asynchronous successive halving: poor trials get few epochs",
       .options = {{.name = "min_epochs",
                    .default_value = std::int64_t{0},
                    .help = "asha: epochs that every trial gets; 0: one in `reduction` of all",
                    .unit = "epochs",
                    .minimum = 0},
                   {.name = "reduction",
                    .default_value = std::int64_t{4},
                    .help = "asha: of so many trials one continues, to so many times the epochs",
                    .minimum = 2,
                    .maximum = 100}},
       .make = [](const StrategyInputs& inputs) { return std::make_unique<Asha>(inputs); }});
}

}  // namespace lambdaml::tune::asha
