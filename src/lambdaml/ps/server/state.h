#pragma once

#include <array>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>

#include "lambdaml/ps/server/entry.h"
#include "lambdaml/ps/server/keys.h"

namespace lambdaml::ps {

/// All that a server holds: entries by id, and keys. Thread-safe; two ids have no lock in common
/// but the one under which they are looked up, which readers share.
class State {
 public:
  struct Limits {
    std::uint64_t memory_bytes = 1 << 30;
    std::size_t models = 1000;                            ///< entries of either kind
    std::uint64_t vector_bytes = std::uint64_t{1} << 30;  ///< of the longest one
  };
  /// Takes what `folder` holds; an empty path: nothing is kept on the disk. A file that is damaged
  /// is set aside, with a warning.
  State(std::filesystem::path folder, Limits limits);

  /// Null when there is none.
  std::shared_ptr<Entry> find(const std::string& id) const;
  /// Throws not_found.
  std::shared_ptr<Entry> get(const std::string& id) const;
  /// Makes it when there is none. Throws resource_exhausted, invalid_argument (a bad id).
  std::shared_ptr<Entry> get_or_make(const std::string& id);
  /// Entry::declare() of an old or new entry; a new one is there only once that has succeeded.
  void declare(const std::string& id, std::uint64_t length, std::uint32_t workers, Rule rule,
               bool zeros);
  void remove(const std::string& id);
  /// Entries and keys that begin with `prefix`.
  void clear(const std::string& prefix);

  Keys& keys() { return keys_; }
  Environment& environment() { return environment_; }
  std::size_t models() const;
  std::size_t sums() const;  ///< entries that are no models

  /// Removes groups that nobody has used for so long; returns how many.
  std::size_t expire(double idle_s);
  /// Ends all waits: the server is about to end.
  void interrupt();
  /// Brings the files of entries up to date; those that have not changed are left alone.
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
