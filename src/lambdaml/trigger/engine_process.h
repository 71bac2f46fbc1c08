#pragma once

#include <memory>
#include <optional>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/options.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/staging.h"

/// What the trigger of a job does with the job's model itself, before and after the workers, where
/// its process keeps the library of deep models out (model::keep_engine_library_out()): a process
/// of `lambdaml-worker` on this machine does it, for models that a file defines.
namespace lambdaml::trigger {

/// Whether this job's model is one of those.
bool needs_engine_process(const Options& options);

/// Throws invalid_argument if the job's workers would be threads of a process that keeps the
/// library out which they need.
void require_engine_in_reach(const Options& options, const storage::Storage& channel);

/// rehearse() by a process.
void rehearse_in_process(const Options& options, const StagedData& staged);

/// The trained module as a file of its own, from the bytes of the model's file; nullopt if it is
/// none that a file defines.
std::optional<Buffer> exported(const std::shared_ptr<const Buffer>& model);
/// The same by a process.
std::optional<Buffer> exported_by_process(const Options& options, const Buffer& model);

inline constexpr const char* kEngineHandler = "engine";
/// The handler of that name in such a process: does what the event says.
std::string handle_engine_event(const faas::Invocation& invocation);

}  // namespace lambdaml::trigger
