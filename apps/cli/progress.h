#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/terminal.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/trigger/trigger.h"

namespace lambdaml::cli {

/// Shows a job on stderr: one line that is updated on a terminal, a plain line every few seconds
/// elsewhere, nothing with -q. Failed attempts of workers are always reported.
class ProgressDisplay : public trigger::Observer {
 public:
  explicit ProgressDisplay(bool quiet);
  ~ProgressDisplay() override;

  void starting(const trigger::JobStart& job) override;
  void epoch_done(const job::EpochMetrics& metrics) override;
  void tick(std::uint32_t workers_alive, std::uint64_t epoch, std::uint64_t round,
            std::uint64_t rounds) override;
  void worker_failed(std::size_t worker, const faas::EventStatus& status, bool again) override;

 private:
  /// At most so many columns: what matters least is left out, for half a number is another number.
  std::string line(std::size_t columns) const;
  void show(bool now);
  void clear_line();

  const bool quiet_;
  const Terminal terminal_;
  Stopwatch clock_;
  double last_draw_s_ = -1e9;
  double started_s_ = 0;
  std::uint32_t workers_ = 0;
  std::uint32_t alive_ = 0;
  std::uint64_t epochs_ = 0;
  std::uint64_t epochs_done_ = 0;
  std::uint64_t first_epoch_ = 0;  ///< done before this display began (a resumed run)
  double part_of_epoch_ = 0;
  std::vector<std::pair<std::string, std::string>> shown_;  ///< metrics: name, label
  std::map<std::string, double> metrics_;
  std::optional<job::RunningCost> cost_;
  std::vector<double> losses_;  ///< of the first metric, an entry per epoch
  double compute_s_ = 0;
  double comm_s_ = 0;
  bool drawn_ = false;
  bool over_ = false;
  std::uint64_t told_epochs_ = 0;
};

}  // namespace lambdaml::cli
