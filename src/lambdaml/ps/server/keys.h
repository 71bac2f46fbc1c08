#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/ps/server/environment.h"

namespace lambdaml::ps {

/// Keys to values, in memory and, with a folder, also in one file each, which is written before the
/// call returns: a crash of the server loses none. Thread-safe.
class Keys {
 public:
  /// Loads the contents of the folder; an empty path means that there is none.
  Keys(std::filesystem::path folder, Environment& environment);

  /// `charge` covers the memory of the value as far as it was taken.
  void put(const std::string& key, Buffer value, Charge charge);
  bool create(const std::string& key, Buffer value, Charge charge);
  std::shared_ptr<const Buffer> get(const std::string& key);
  void remove(const std::string& key);
  /// Keys that begin with `prefix` and sort after `after`, in byte order: at most `most`, and about
  /// 1 MB of them.
  std::vector<std::pair<std::string, std::uint64_t>> find(const std::string& prefix,
                                                          const std::string& after,
                                                          std::size_t most) const;
  void clear(const std::string& prefix);
  std::size_t size() const;
  /// Seconds since a key of each group was used, by group_of().
  void add_idle_times(std::map<std::string, double>& idle_s) const;

 private:
  struct Kept {
    Buffer value;
    Charge charge;
    mutable std::atomic<std::int64_t> touched{0};
  };
  std::shared_ptr<Kept> keep(const std::string& key, Buffer value, Charge charge);
  void write(const std::string& key, const Kept& kept) const;
  void erase_file(const std::string& key) const;

  const std::filesystem::path folder_;
  Environment& environment_;
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<Kept>> keys_;
};

/// The unit of expiry: all names with the same first part before a slash.
inline std::string group_of(const std::string& id) { return id.substr(0, id.find('/')); }

}  // namespace lambdaml::ps
