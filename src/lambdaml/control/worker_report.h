#pragma once

#include <string_view>

/// What a worker reports that does not end with the numbers of its training.
namespace lambdaml::control {

/// The report of a worker whose time is over before its work: another invocation with the same
/// event goes on from the state that it saved, to the bitwise same end.
inline constexpr std::string_view kToBeContinued = R"({"status":"to_be_continued"})";

/// The report of a worker that finds nothing of its job: it was started late, a second time.
inline constexpr std::string_view kJobIsOver = R"({"status":"job_is_over"})";

/// The report of a worker that finds that the channel has lost what it would begin with.
inline constexpr std::string_view kJobIsLost = R"({"status":"job_is_lost"})";

/// The report of a worker of a resumed job whose state was damaged after its commit record was
/// written: all workers have to go on from another checkpoint.
inline constexpr std::string_view kCheckpointDamaged = R"({"status":"checkpoint_damaged"})";

/// The report of a try of a worker that found a newer one at work and left.
inline constexpr std::string_view kTakenOver = R"({"status":"taken_over"})";

}  // namespace lambdaml::control
