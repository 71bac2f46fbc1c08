#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/storage/redis/address.h"
#include "lambdaml/storage/redis/protocol.h"

namespace lambdaml::storage::redis {

/// Which primary of a cluster has which slots.
struct SlotTable {
  static constexpr std::uint16_t kNobody = 0xffff;

  std::vector<Endpoint> primaries;
  std::array<std::uint16_t, kSlots> owner;  ///< index into primaries, or kNobody

  SlotTable() { owner.fill(kNobody); }
};

/// Interprets the answer to CLUSTER SLOTS; a server without a name is at `asked_host`. Throws
/// unavailable for an answer that is none.
SlotTable slot_table_of(const Reply& slots, const std::string& asked_host);

}  // namespace lambdaml::storage::redis
