#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/options.h"
#include "lambdaml/base/service/metrics_server.h"
#include "lambdaml/dashboard/dashboard.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/tune/progress.h"
#include "lambdaml/view/job_metrics.h"

/// What shows a running job or search besides a terminal: /metrics for Prometheus and the live
/// page.
namespace lambdaml::dashboard {

/// Told what is served ("metrics", "dashboard") and its URL.
using Serving = std::function<void(const std::string& what, const std::string& url)>;

/// Serves /metrics on loopback; null for a negative port. Throws already_exists if the port is in
/// use.
std::unique_ptr<MetricsServer> serve_metrics(std::int64_t port, std::function<MetricsText()> page,
                                             const Serving& serving);

/// Shows a running job as its options `metrics_port` and `dashboard` say; passes every event on.
class LiveViews : public trigger::Observer {
 public:
  /// Throws already_exists if a port is in use.
  LiveViews(const Options& options, trigger::Observer& next, Serving serving);

  void starting(const trigger::JobStart& job) override;
  void epoch_done(const job::EpochMetrics& metrics) override;
  void tick(std::uint32_t workers_alive, std::uint64_t epoch, std::uint64_t round,
            std::uint64_t rounds) override;
  void worker_failed(std::size_t worker, const faas::EventStatus& status, bool again) override;

 private:
  MetricsText page() const;

  const bool is_dashboard_wanted_;
  const Serving serving_;
  trigger::Observer& next_;
  mutable std::mutex mutex_;
  view::JobNumbers numbers_;
  std::uint64_t failed_attempts_ = 0, first_epoch_ = 0;
  std::optional<job::RunningCost> cost_;
  std::optional<Stopwatch> running_;
  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<Dashboard> dashboard_;
};

/// The same of a search.
class LiveSearch : public tune::Observer {
 public:
  /// `folder`: the search's. Throws already_exists if a port is in use.
  LiveSearch(const Options& options, const std::filesystem::path& folder, std::string metric,
             tune::Observer& next, const Serving& serving);
  void changed(const tune::View& view) override;

 private:
  MetricsText page() const;

  tune::Observer& next_;
  mutable std::mutex mutex_;
  view::SearchNumbers numbers_;
  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<Dashboard> dashboard_;
};

}  // namespace lambdaml::dashboard
