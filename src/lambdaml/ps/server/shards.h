#pragma once

#include <algorithm>
#include <mutex>

#include "lambdaml/ps/server/entry.h"

namespace lambdaml::ps {

/// Calls body(begin, end) for each part of the vector under its lock, from the part `first` on. For
/// .cc files of the entry.
template <class Body>
void Entry::each_shard(std::size_t first, Body body) const {
  const std::size_t n = model_.size();
  const std::size_t shards = (n + kShard - 1) / kShard;
  for (std::size_t i = 0; i < shards; ++i) {
    const std::size_t shard = (first + i) % shards;
    const std::lock_guard lock(shards_[shard]);
    body(shard * kShard, std::min(n, (shard + 1) * kShard));
  }
}

}  // namespace lambdaml::ps
