#pragma once

#include <functional>
#include <future>
#include <memory>

namespace lambdaml {

/// Work that runs beside its caller: in a thread of its own, or in another fiber where the caller
/// is one. Used by one thread.
class Background {
 public:
  Background() = default;
  /// Starts the work. Throws std::system_error if no thread can be started.
  explicit Background(std::function<void()> work);
  Background(Background&&) noexcept = default;
  Background& operator=(Background&& other) noexcept;
  /// Waits for the work; its exception is lost.
  ~Background();

  /// Whether there is work that get() was not called for.
  bool valid() const { return thread_.valid() || fiber_ != nullptr; }
  /// Waits for the work, if there is any.
  void wait() noexcept;
  /// Waits for the work and throws what it has thrown.
  void get();

 private:
  struct Fiber;

  std::future<void> thread_;
  std::shared_ptr<Fiber> fiber_;
};

}  // namespace lambdaml
