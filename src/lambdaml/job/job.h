#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/options.h"

/// A training job: what its options must fulfil together, and its id.
namespace lambdaml::job {

/// Brings options to their final form and checks them against each other before anything is
/// started: model aliases (`sparse_lr` → lr), the optimizer that a model needs, paths made
/// absolute, the channel made a URI, the threads of a worker chosen. Throws invalid_argument.
void resolve(Options& options);

/// Sets `threads`, unless it is set, to a worker's share of this machine's processors when `jobs`
/// jobs run at a time. Where each function has processors of its own it stays 0, and the worker
/// asks threads_of_function().
void choose_threads(Options& options, std::int64_t jobs);
/// The threads of the worker that runs in this process: the option where it is set, else the whole
/// processors that come with the function's memory, at least 1.
std::int64_t threads_of_function(const Options& options);

/// Whether the job's functions run on other machines: they reach no file and no memory of this one,
/// and nobody says how their events end.
bool is_remote(const Options& options);

/// A new job's id: UTC time and twelve random hex digits, e.g. 20261122-101500-3f9c01d2a47b.
std::string new_job_id();
/// The id of what the invocation of that request id is to do: the same for an event that is
/// delivered twice, and for one that is tried again. `prefix` and at most 80 letters, digits and
/// '-'.
std::string id_of_request(std::string_view prefix, std::string_view request_id);

/// Whether it is an id of a job or a search that this program made: new_job_id()'s, or of a request
/// with the prefix job- or tune-, and either with a trial's number. It becomes part of keys and
/// file names.
bool is_job_id(std::string_view text);

}  // namespace lambdaml::job
