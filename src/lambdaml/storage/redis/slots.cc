#include "lambdaml/storage/redis/slots.h"

#include <algorithm>

#include "lambdaml/base/error.h"

namespace lambdaml::storage::redis {
namespace {

[[noreturn]] void fail_strange() {
  fail(Code::unavailable, "CLUSTER SLOTS answers with no table of slots");
}

std::int64_t integer_in(const Reply& reply, std::int64_t smallest, std::int64_t largest) {
  if (reply.kind != Reply::Kind::integer || reply.integer < smallest || reply.integer > largest)
    fail_strange();
  return reply.integer;
}

}  // namespace

SlotTable slot_table_of(const Reply& slots, const std::string& asked_host) {
  SlotTable table;
  if (slots.kind != Reply::Kind::list) fail_strange();
  for (const Reply& range : slots.list) {
    // First and last slot, the primary (host, port, …), its replicas.
    if (range.list.size() < 3 || range.list[2].list.size() < 2) fail_strange();
    const auto first = static_cast<std::size_t>(integer_in(range.list[0], 0, kSlots - 1));
    const auto last = static_cast<std::size_t>(integer_in(range.list[1], 0, kSlots - 1));
    const std::vector<Reply>& primary = range.list[2].list;
    Endpoint endpoint;
    endpoint.port = static_cast<std::uint16_t>(integer_in(primary[1], 1, 65535));
    // A server that does not know its own name gives none, or "?".
    const std::string& name = primary[0].text;
    endpoint.host = name.empty() || name == "?" ? asked_host : name;
    const auto at = std::ranges::find(table.primaries, endpoint);
    const auto index = static_cast<std::uint16_t>(at - table.primaries.begin());
    if (at == table.primaries.end()) table.primaries.push_back(std::move(endpoint));
    for (std::size_t slot = first; slot <= last; ++slot) table.owner[slot] = index;
  }
  return table;
}

}  // namespace lambdaml::storage::redis
