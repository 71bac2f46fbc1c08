#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/storage/pool.h"
#include "lambdaml/storage/redis/listener.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::storage::redis {

/// What a watch needs of its store.
struct Watched {
  const Storage* store;
  std::function<Channel(std::string_view key)> channel_of;
  Pool<Listener>& listeners;
  using OnValue = std::function<void(std::size_t i, Buffer value)>;
  /// Calls the function for those of the keys at `which` that exist.
  std::function<void(std::span<const std::string> keys, std::span<const std::size_t> which,
                     const OnValue& on_value)>
      take;
  /// The server refuses subscriptions: later watches need not try.
  std::function<void()> on_refused;
  /// A channel's slot is at another server.
  std::function<void()> on_moved;
};

/// Polls once, follows the channels of the keys, polls again for new channels, and then sleeps
/// until it is notified. Polls if the server refuses subscriptions.
std::unique_ptr<KeyWatch> watch_notified(Watched watched, std::vector<std::string> keys);

}  // namespace lambdaml::storage::redis
