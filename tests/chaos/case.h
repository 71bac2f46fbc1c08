#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/sim/world.h"

/// Short jobs under faults, each drawn from a seed.
namespace lambdaml::chaos {

/// A fault, and the call (or event of a function) of the simulation that it befalls.
struct PlannedFault {
  std::uint64_t call = 0;
  sim::Fault fault;
};

/// A job and a world without faults, drawn from a seed.
struct Case {
  std::uint64_t seed = 0;
  Options job;
  data::Dataset data;
  sim::Profile profile;
  bool waits_for_all = true;  ///< bulk-synchronous: the model's bytes are determined
  std::string describe() const;
};
Case draw_case(std::uint64_t seed);

/// Faults for a job that made so many calls without any.
std::vector<PlannedFault> draw_faults(const Case& of, std::uint64_t calls);
std::string text_of(const std::vector<PlannedFault>& faults);
/// The reverse of text_of(): "CALL:KIND:SECONDS,…". Throws invalid_argument.
std::vector<PlannedFault> faults_from(const std::string& text);

/// Defects that a store may have: the suite finds each within 2,000 seeds.
enum class Defect {
  none,
  sweeps_early,  ///< contributions are removed once they were read, before the result is saved
  saves_late,    ///< a checkpoint's save returns before it is done, and is lost with its process
  loses_saves,   ///< a save that failed after its effect is taken back when it is repeated
  reads_stale,   ///< a read may return the value before the last save
  leaves_keys,   ///< a removal in bulk forgets a key
  takes_old_claims,  ///< a claim is not checked: a worker that reads it finds its own
};
constexpr int kDefects = 6;
std::string_view to_string(Defect defect);

/// How a run ended.
struct Outcome {
  bool ended = false;  ///< in bounded virtual time
  std::string error;   ///< "code: message"; empty: a model was trained
  std::string error_code;
  std::vector<float> model;
  std::vector<std::string> left;  ///< keys of the job that are still in the channel
  std::vector<double> left_s;     ///< when each was written, since the job's end
  double ran_on_s = 0;      ///< how long a function made calls after its begin and the job's end
  bool began_anew = false;  ///< a trigger was killed before it had a folder to resume
  std::uint64_t calls = 0;
  double seconds = 0;
  std::uint64_t fingerprint = 0;
};
/// Runs the case. `trace`: receives a line per call.
Outcome run(const Case& of, const std::vector<PlannedFault>& faults, Defect defect,
            const std::function<void(const std::string&)>& trace = {});

/// Whether the job ended because a function's time is over before its first step, as is documented
/// for short time limits: such a case says nothing of faults.
bool lacks_time(const Case& of, const Outcome& outcome);

/// What is wrong with a run under faults, beside an undisturbed one; empty if nothing is.
std::string complaint(const Case& of, const std::vector<PlannedFault>& faults,
                      const Outcome& undisturbed, const Outcome& disturbed);

/// The fewest of these faults with which the case still fails.
std::vector<PlannedFault> shrink(const Case& of, std::vector<PlannedFault> faults,
                                 const Outcome& undisturbed, Defect defect);

}  // namespace lambdaml::chaos
