#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/storage/storage.h"
#include "lambdaml/tune/search.h"
#include "lambdaml/tune/segment.h"

namespace lambdaml::tune {

/// The records of a search, in storage: any process with access can continue the search. A
/// segment's record is written before it begins and when it has ended, each atomically, so that
/// after any failure every segment is known and none is repeated.
///
///   search.json        what is searched
///   legs/000012.json   one segment, in the order of their beginning
///   data/4/ test/4/    the data, cut for 4 workers; removed at the end
///   data/data.json     what its files held when they were first read (test/data.json too)
///   trials/JOB/        checkpoints of a trial's job; removed at the end
///   best.safetensors   the best model so far
///   trials.csv best.yaml summary.json    at the end
///   tuner/             which tuner runs: the last order, a claim, a release, leases of a tuner
///                      that is a function; how long the tuners took so far
///
/// Used by one thread, that of the tuner; store() and shared_store() are thread-safe.
class Records {
 public:
  /// `uri` must belong to this search alone.
  explicit Records(const std::string& uri);

  const std::string& uri() const { return uri_; }
  storage::Storage& store() { return *store_; }
  std::shared_ptr<storage::Storage> shared_store() { return store_; }
  std::string trials_uri() const;
  std::string data_uri(const std::string& kind, std::uint64_t workers) const;

  /// nullopt if there is no search yet. Passwords are not stored: a search that this object began
  /// still has them; otherwise they come from the environment. Throws data_corrupt.
  std::optional<Search> search();
  void begin(const Search& search);

  /// One LIST and a GET per segment. Throws data_corrupt.
  std::vector<Segment> segments();
  void save(std::size_t index, const Segment& segment);

  /// The summary of a finished search; nullopt before that.
  std::optional<nlohmann::ordered_json> summary();
  /// Marks the search as finished and removes what is needed only to continue it.
  void finish(const nlohmann::ordered_json& summary);

 private:
  std::string uri_;
  std::shared_ptr<storage::Storage> store_;
  std::optional<Search> begun_;
};

}  // namespace lambdaml::tune
