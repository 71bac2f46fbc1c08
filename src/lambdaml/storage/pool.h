#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/service/patience.h"

namespace lambdaml::storage {

class Storage;

/// What a call does, for its errors: "DESCRIPTION: loading 'a' and 3 more: …".
struct Doing {
  const Storage* store = nullptr;  ///< null: what the connection throws names the server
  std::string_view what;
  std::string_view key = {};  ///< the first one; empty: none is named
  std::size_t keys = 1;
};
/// Throws an Error with the code of `error` and its text after what was being done.
[[noreturn]] void fail_doing(const Doing& doing, const Error& error);

/// A pool of connections to a server, each used by one thread at a time and kept for reuse. Creates
/// as many as are used at once. Reports each successful use to the server's patience. Thread-safe.
template <class Connection>
class Pool {
 public:
  Pool(std::function<std::unique_ptr<Connection>()> make, std::shared_ptr<Patience> patience)
      : make_(std::move(make)), patience_(std::move(patience)) {}

  /// Calls use(connection) and returns its result. If it throws, the connection is dropped because
  /// its state is unknown. After `unavailable` the idle connections are dropped as well, as the
  /// same fault has probably hit them; the next call opens a new one.
  template <class Use>
  std::invoke_result_t<Use, Connection&> with(Use&& use) {
    std::unique_ptr<Connection> connection = take();
    if (!connection) connection = make_();
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<Use, Connection&>>) {
        use(*connection);
        patience_->answered();
        give_back(std::move(connection));
      } else {
        auto result = use(*connection);
        patience_->answered();
        give_back(std::move(connection));
        return result;
      }
    } catch (const Error& error) {
      if (error.code() == Code::unavailable) drop_idle();
      throw;
    }
  }

  /// The same, but errors say what was being done.
  template <class Use>
  std::invoke_result_t<Use, Connection&> with(const Doing& doing, Use&& use) {
    try {
      return with(std::forward<Use>(use));
    } catch (const Error& error) {
      fail_doing(doing, error);
    }
  }

  /// For a use that lasts longer than a call: give the connection back afterwards, or drop it after
  /// an error.
  std::unique_ptr<Connection> borrow() {
    std::unique_ptr<Connection> connection = take();
    return connection ? std::move(connection) : make_();
  }
  void give_back(std::unique_ptr<Connection> connection) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
  }
  /// After an error that the idle connections have probably too.
  void drop_idle() {
    std::vector<std::unique_ptr<Connection>> dropped;  // closed outside the lock
    const std::lock_guard lock(mutex_);
    dropped.swap(idle_);
  }

 private:
  std::unique_ptr<Connection> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return nullptr;
    std::unique_ptr<Connection> last = std::move(idle_.back());
    idle_.pop_back();
    return last;
  }

  std::function<std::unique_ptr<Connection>()> make_;
  std::shared_ptr<Patience> patience_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

}  // namespace lambdaml::storage
