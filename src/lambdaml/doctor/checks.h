#pragma once

#include <string>

#include "lambdaml/base/error.h"
#include "lambdaml/base/options.h"
#include "lambdaml/doctor/doctor.h"

/// The single checks. Each fills in state, detail and advice, or throws what failed; doctor.cc
/// bounds their time and turns exceptions into failures.
namespace lambdaml::doctor {

/// This version, and that of the worker that local jobs would start.
void check_programs(Check& check);
void check_worker(Check& check);
/// The library that runs networks can be loaded.
void check_deep_models(Check& check);
/// The place where local workers meet if nothing else is said: free space, and that it can be
/// written to.
void check_shared_memory(Check& check);
/// That the functions of a local job fit into this machine's memory.
void check_memory(Check& check, const Options& job);
/// File descriptors, which stores and workers use.
void check_descriptors(Check& check);
/// The folder that gets the runs.
void check_output(Check& check, const Options& job);
/// Credentials of the services that sign requests: where they come from, never what they are.
void check_credentials(Check& check);
/// The date, which signed requests carry.
void check_clock(Check& check);
/// That events can be started on the job's platform.
void check_platform(Check& check, const Options& job);
/// Makes, reads, lists and removes a key in the store of that URI. `needs_creation`: what of the
/// job needs the store to create a key once; if it is empty, a server that cannot is a warning.
void check_store(Check& check, const std::string& uri, const std::string& needs_creation = {});
/// That the data can be read: they are there, or can be listed.
void check_data(Check& check, const std::string& place);

/// What to do about an error of that kind, for the user of a store or service.
std::string advice_for(Code code);

}  // namespace lambdaml::doctor
