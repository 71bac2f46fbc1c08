#pragma once

#include <map>
#include <memory>
#include <string>

#include "lambdaml/base/service/patience.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The stores of one job as one process uses them: the requests to each kind are counted together,
/// and all handles on one service share their patience with it, so that a service which one of them
/// has given up is not waited for again by the others. For one thread; the stores are for any.
class Stores {
 public:
  enum class Services {
    unknown,   ///< whether they answer is to be seen: one that never does is given up in seconds
    answered,  ///< another process of the job has talked to them: one that is away may come back
  };
  explicit Stores(Services services = Services::unknown);

  /// As storage::open(). With `meter`, the requests are counted there instead.
  std::shared_ptr<storage::Storage> open(const std::string& uri,
                                         std::shared_ptr<storage::Meter> meter = nullptr);
  /// The job's own part of a channel, as open_channel() gives it.
  std::shared_ptr<storage::Storage> open_channel(const std::string& uri, const std::string& job_id,
                                                 std::shared_ptr<storage::Meter> meter = nullptr);

  /// From now on a service that does not answer at once is given up: what a job leaves behind that
  /// ended because one was away, and what it notes, waits for no other as long again.
  void hurry();

  /// Of what was opened without a meter, by kind.
  cost::UsageByStore usage() const;

 private:
  std::shared_ptr<Patience> patience_with(const Uri& uri);

  PatiencePolicy policy_;
  bool hurried_ = false;
  std::map<std::string, std::shared_ptr<storage::Meter>> meters_;  ///< by scheme
  std::map<std::string, std::shared_ptr<Patience>> patience_;      ///< by URI without its path
};

}  // namespace lambdaml::control
