#pragma once

#include <map>
#include <memory>
#include <string>

#include "lambdaml/base/service/patience.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The stores of one job, as used by one process: requests are counted by kind of store, and all
/// handles on one service share their patience, so that once one of them has given up a service,
/// the others do not wait for it again. Used by one thread; the stores themselves are thread-safe.
class Stores {
 public:
  enum class Services {
    unknown,   ///< they may not exist: one that never answers is given up in seconds
    answered,  ///< another process of the job has reached them: they may come back
  };
  explicit Stores(Services services = Services::unknown);

  /// As storage::open(). If `meter` is given, requests are counted there instead.
  std::shared_ptr<storage::Storage> open(const std::string& uri,
                                         std::shared_ptr<storage::Meter> meter = nullptr);
  /// The job's own part of a channel; see control::open_channel().
  std::shared_ptr<storage::Storage> open_channel(const std::string& uri, const std::string& job_id,
                                                 std::shared_ptr<storage::Meter> meter = nullptr);

  /// From now on, services that do not answer at once are given up: the cleanup and the records of
  /// a job that ended because one was unavailable do not wait as long again for another.
  void hurry();

  /// The requests to stores opened without a meter, by kind.
  cost::UsageByStore usage() const;

 private:
  std::shared_ptr<Patience> patience_with(const Uri& uri);

  PatiencePolicy policy_;
  bool hurried_ = false;
  std::map<std::string, std::shared_ptr<storage::Meter>> meters_;  ///< by scheme
  std::map<std::string, std::shared_ptr<Patience>> patience_;      ///< by URI without its path
};

}  // namespace lambdaml::control
