#pragma once

#include <string_view>

/// Reports of workers that do not end with the results of training.
namespace lambdaml::control {

/// The report of a worker that reached its time limit: another invocation with the same event
/// continues from the state that it saved, with the bitwise same result.
inline constexpr std::string_view kToBeContinued = R"({"status":"to_be_continued"})";

/// The report of a worker that finds no job: it was started late, a second time.
inline constexpr std::string_view kJobIsOver = R"({"status":"job_is_over"})";

/// The report of a worker that finds that the channel has lost what it needs to begin.
inline constexpr std::string_view kJobIsLost = R"({"status":"job_is_lost"})";

/// The report of a worker of a resumed job whose state was damaged after its commit record was
/// written: all workers must continue from another checkpoint.
inline constexpr std::string_view kCheckpointDamaged = R"({"status":"checkpoint_damaged"})";

/// The report of an attempt that was superseded by a newer one.
inline constexpr std::string_view kTakenOver = R"({"status":"taken_over"})";

}  // namespace lambdaml::control
