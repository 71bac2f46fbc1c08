#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

/// A trial is one set of values for the searched options; a segment is a part of its epochs, run as
/// one job. A strategy that stops trials early continues a promising one with another segment,
/// which resumes from the checkpoints of the previous one. (Keys and file names of searches call
/// segments "legs".)
namespace lambdaml::tune {

struct Segment {
  enum class State {
    under_way,  ///< begun, and not ended; also if the tuner was interrupted
    done,
    failed,
  };
  std::uint64_t trial = 0;
  std::uint64_t epochs = 0;  ///< to reach, counted from the trial's start
  State state = State::under_way;
  std::string reason = {};           ///< failed: why, one line
  std::uint64_t epoch = 0;           ///< reached so far
  std::uint64_t stalls = 0;          ///< how often the tuner ended before an epoch was done
  std::optional<double> value = {};  ///< of the metric; nullopt unless done
  double cost_usd = 0;               ///< of this segment alone
  double wall_s = 0;                 ///< of this segment alone
  /// Of cost_usd, what jobs cost whose tuner was killed before it recorded their end: an estimate.
  double killed_usd = 0;
  /// The runs of its jobs that are in cost_usd and wall_s although the segment has not ended: by
  /// job, when the newest of them began (job.json's begun_ms).
  std::map<std::string, std::uint64_t> counted = {};
  /// done: of its job; never changed. Null before.
  std::shared_ptr<const nlohmann::ordered_json> summary = {};

  bool has_ended() const { return state != State::under_way; }
  std::string to_json() const;
  /// Throws data_corrupt; `what` names it.
  static Segment from_json(std::string_view text, const std::string& what);
};

}  // namespace lambdaml::tune
