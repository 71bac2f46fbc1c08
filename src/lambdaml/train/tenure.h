#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lambdaml/storage/storage.h"

namespace lambdaml::train {

/// Which of the tries of a worker counts when several are alive, as a service that delivers events
/// at least once may make them: the newest. Their messages are the same, byte for byte, but an
/// older try must not put an older checkpoint over a newer one, nor report a failure of its own,
/// nor hand the work on.
///
/// A claim is one PUT; each look is one GET. Between a look and what follows it there is a gap of
/// one request's time, in which a newer try can only have begun to load its data.
class Tenure {
 public:
  Tenure(std::shared_ptr<storage::Storage> channel, std::uint32_t worker);
  /// Of something else than a worker: under `key`, `what` for messages.
  Tenure(std::shared_ptr<storage::Storage> store, std::string key, std::string what);

  /// From now on this try counts.
  void claim();
  /// Throws Superseded when another try has claimed since. A claim that the store lost does not
  /// count against this one.
  void require();
  /// The same, asked; false as well when nothing was claimed or the store does not answer.
  bool is_over() noexcept;
  /// What the claim says; empty before there is one.
  const std::string& token() const { return token_; }

 private:
  std::shared_ptr<storage::Storage> store_;
  std::string key_;
  std::string what_;
  std::string token_;  ///< empty before claim()
};

}  // namespace lambdaml::train
