#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/options.h"

/// A training job: constraints between its options, and its id.
namespace lambdaml::job {

/// Whether resolve() chooses values for what is not set; a job that goes on keeps those that it was
/// begun with.
enum class Defaults { choose, keep };

/// Brings options to their final form and checks them against each other before anything is
/// started: resolves model aliases (`sparse_lr` → lr), selects the model's optimizer, makes paths
/// absolute and the channel a URI, chooses the threads per worker. Warns of options that the job
/// does not use. Throws invalid_argument.
void resolve(Options& options, Defaults defaults = Defaults::choose);

/// Unless `threads` is set, sets it to a worker's share of this machine's processors when `jobs`
/// jobs run at a time. If each function has processors of its own it stays 0, and the worker uses
/// threads_of_function().
void choose_threads(Options& options, std::int64_t jobs);
/// The threads of the worker in this process: the option if set, otherwise the whole processors
/// that come with the function's memory, at least 1.
std::int64_t threads_of_function(const Options& options);

/// What the price of a job's functions depends on.
struct Functions {
  std::int64_t memory_mb = 0;     ///< of each
  std::string architecture = {};  ///< "x86_64" or "arm64"; empty: unknown
};
/// Of the deployed function as far as the platform tells it, otherwise the option. At most one
/// request. Throws what the platform's service reports.
Functions functions_of(const Options& options);

/// Whether the job's functions run on other machines: then they cannot access this machine's files
/// and memory, and the platform does not report how their events end.
bool is_remote(const Options& options);

/// A new job's id: UTC time and twelve random hex digits, e.g. 20261122-101500-3f9c01d2a47b.
std::string new_job_id();
/// The id of the work requested by an invocation with that request id: the same if the event is
/// delivered twice or retried. `prefix` and at most 80 letters, digits and '-'.
std::string id_of_request(std::string_view prefix, std::string_view request_id);

/// Whether it is an id of a job or search made by this program: from new_job_id(), or from a
/// request with the prefix job- or tune-, either with a trial's number or without. Ids become parts
/// of keys and file names, so others must be rejected.
bool is_job_id(std::string_view text);

}  // namespace lambdaml::job
