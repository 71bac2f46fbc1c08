#pragma once

#include <array>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>

#include "lambdaml/ps/server/entry.h"
#include "lambdaml/ps/server/keys.h"

namespace lambdaml::ps {

/// The state of a server: entries by id, and keys. Thread-safe; the only lock that two ids share is
/// the one for looking them up, which readers share.
class State {
 public:
  struct Limits {
    std::uint64_t memory_bytes = 1 << 30;
    std::size_t models = 1000;                            ///< entries, models and sums
    std::uint64_t vector_bytes = std::uint64_t{1} << 30;  ///< of the longest vector
  };
  /// Loads the contents of `folder`; an empty path: nothing is kept on disk. A damaged file is set
  /// aside, with a warning.
  State(std::filesystem::path folder, Limits limits);

  /// Null if there is none.
  std::shared_ptr<Entry> find(const std::string& id) const;
  /// Throws not_found.
  std::shared_ptr<Entry> get(const std::string& id) const;
  /// Makes it if there is none. Throws resource_exhausted, invalid_argument (a bad id).
  std::shared_ptr<Entry> get_or_make(const std::string& id);
  /// Entry::declare() for an existing or new entry; a new one becomes visible only on success.
  std::shared_ptr<Entry> declare(const std::string& id, std::uint64_t length, std::uint32_t workers,
                                 Rule rule, bool zeros);
  /// The original's registration: declare(), but a model that was used is started anew, unless it
  /// moves by a rule.
  std::shared_ptr<Entry> register_model(const std::string& id, std::uint64_t length,
                                        std::uint32_t workers,
                                        const std::shared_ptr<const Caller>& caller);
  /// Replaces a model by a new one, which nobody has used; calls that wait for the old one throw
  /// not_found. If `old` is no longer there, it declares the model.
  std::shared_ptr<Entry> start_anew(std::shared_ptr<Entry> old, std::uint64_t length,
                                    std::uint32_t workers);
  /// `how`: what calls that wait for it are told.
  void remove(const std::string& id, const char* how = "deleted");
  /// Removes entries and keys that begin with `prefix`.
  void clear(const std::string& prefix);

  Keys& keys() { return keys_; }
  Environment& environment() { return environment_; }
  std::size_t models() const;
  std::size_t sums() const;  ///< entries that are not models

  /// Removes groups that were not used for `idle_s` seconds; returns how many.
  std::size_t expire(double idle_s);
  /// Ends all waits because the server is about to end.
  void interrupt();
  /// Writes the files of entries that have changed since they were last saved.
  void save();

 private:
  void check_room_for(const std::string& id) const;
  void erase_file(const std::string& id);

  const std::filesystem::path folder_;
  const Limits limits_;
  Environment environment_;
  Keys keys_;
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
  std::mutex saving_;
  std::map<std::string, std::uint64_t> saved_;  ///< versions; under saving_
};

}  // namespace lambdaml::ps
