#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/storage/storage.h"
#include "lambdaml/tune/leg.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::tune {

/// All that is known of a search, in storage: whoever reaches it can go on with the search. A leg's
/// record is written before it begins and when it has ended, each as a whole, so that after any
/// accident every leg is known and none is taken twice.
///
///   search.json        what is searched
///   legs/000012.json   one leg, in the order of their beginning
///   data/4/ test/4/    the data, cut for 4 workers; removed at the end
///   data/data.json     what its files held when they were first read (test/data.json too)
///   trials/JOB/        checkpoints of a trial's job; removed at the end
///   best.safetensors   the best model so far
///   trials.csv best.yaml summary.json    at the end
///   tuner/             who is at work: a claim, a release, leases of a tuner that is a function
class Records {
 public:
  /// `uri` is of this search alone.
  explicit Records(const std::string& uri);

  const std::string& uri() const { return uri_; }
  storage::Storage& store() { return *store_; }
  std::shared_ptr<storage::Storage> shared_store() { return store_; }
  std::string trials_uri() const;
  std::string data_uri(const std::string& kind, std::uint64_t workers) const;

  /// Absent when there is no search yet. Passwords are not in the records: one that was begun by
  /// this object has them still, for others they are in the environment. Throws data_corrupt.
  std::optional<Search> search();
  void begin(const Search& search);

  /// One LIST and a GET a leg. Throws data_corrupt.
  std::vector<Leg> legs();
  void save(std::size_t index, const Leg& leg);

  /// The summary of a search that has ended.
  std::optional<std::string> summary();
  /// The search has ended: nothing will be needed to go on.
  void finish(const std::string& summary);

 private:
  std::string uri_;
  std::shared_ptr<storage::Storage> store_;
  std::optional<Search> begun_;
};

}  // namespace lambdaml::tune
