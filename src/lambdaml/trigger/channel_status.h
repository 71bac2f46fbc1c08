#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "lambdaml/faas/invoker.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::trigger {

/// The workers' status according to what they have written to their job's channel, for platforms
/// that do not report how events end. `news` counts signs of life of any of them: news of one is
/// news of all. Both are called from the invoker's thread. Two GETs per worker and call.
faas::Function::StatusQuery status_by_channel(std::shared_ptr<storage::Storage> channel,
                                              std::function<std::uint64_t()> news);

}  // namespace lambdaml::trigger
