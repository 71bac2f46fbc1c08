#pragma once

#include <optional>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/sim/profile.h"

/// What a job would take as its options say, told before it starts.
namespace lambdaml::plan {

/// Some rows of a job's data, which stand for all of them.
struct Sample {
  data::Dataset rows;
  double all_rows = 0;  ///< of the job; an estimate unless the sample is all
  /// At most n rows, evenly from all of them.
  Sample thinned(std::size_t n) const;
};

/// Reads what is cheap to read: a set of at most 16 MB, a part of a prepared set of at most as many
/// bytes, or the first 4 MB of a text file whose lines are rows. At most three requests. nullopt if
/// none of this fits, and for several places. Throws as data::read() does.
std::optional<Sample> sample_of(const Options& job);

/// The same, but all rows of what is not cheap to read, which are in memory then, however many they
/// are. Throws as data::read().
Sample sample_or_all(const Options& job);

struct Estimate {
  double seconds = 0, usd = 0;
  double servers_usd = 0;  ///< of `usd`: servers by the hour, which no job's bill has
  std::string channel;     ///< a store of the profile
  std::string profile;
};

/// Estimates an unresolved job from a sample of its rows: pilots of it by two and four simulated
/// workers, and the model of rounds. Takes about a second at most. nullopt if it cannot be had so:
/// there is no sample, workers do not wait for each other, or some steps take longer. Throws
/// what data::read() and simulate() throw.
std::optional<Estimate> estimate(const Options& job, const sim::Profile& profile);

}  // namespace lambdaml::plan
