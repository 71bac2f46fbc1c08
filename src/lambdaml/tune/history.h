#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/tune/records.h"
#include "lambdaml/tune/report.h"
#include "lambdaml/tune/search.h"
#include "lambdaml/tune/segment.h"
#include "lambdaml/tune/strategy.h"

namespace lambdaml::tune {

/// The segments of a search in the order of their beginning, recorded as they begin and end. Used
/// by one thread. All that records throws what the store throws.
class History {
 public:
  /// Reads what earlier tuners recorded, as Records::segments(). All of these must outlive this.
  History(const Search& search, const Strategy& strategy, Records& records);

  const std::vector<Segment>& segments() const { return segments_; }
  /// How many an earlier tuner began; the first ones.
  std::size_t restored() const { return restored_; }
  /// Whether the search can end, as it has met --until. One for the lowest cost must see all
  /// trials.
  bool is_goal_reached() const { return is_goal_reached_; }
  /// Of all segments, as far as is recorded.
  double cost_usd() const;
  std::vector<TrialView> trials() const { return trials_of(strategy_, segments_); }

  /// Records that it begins; returns its index.
  std::size_t begin(std::uint64_t trial, std::uint64_t epochs);
  /// A segment, to add what its jobs cost and took; save() or its end records it.
  Segment& at(std::size_t index) { return segments_[index]; }
  void save(std::size_t index) { records_.save(index, segments_[index]); }

  /// Its job has ended with this summary: it is done, and the model is kept if it is the best so
  /// far; or it has failed, as the summary lacks the metric or misses the goal.
  void end(std::size_t index, std::shared_ptr<const nlohmann::ordered_json> summary);
  void fail(std::size_t index, const std::string& reason);
  /// Its job was stopped after `epoch` epochs. One that has `used_all_time` of a tuner several
  /// times without completing an epoch has failed.
  void interrupt(std::size_t index, std::uint64_t epoch, bool used_all_time);

 private:
  void keep_model_if_best(std::size_t index);
  bool is_at_goal(const Segment& segment) const;

  const Search& search_;
  const Strategy& strategy_;
  Records& records_;
  std::vector<Segment> segments_;
  std::size_t restored_ = 0;
  bool is_goal_reached_ = false;
};

/// Where the summary of a segment's job says that its model is.
std::filesystem::path model_path_in(const nlohmann::ordered_json& summary);

}  // namespace lambdaml::tune
