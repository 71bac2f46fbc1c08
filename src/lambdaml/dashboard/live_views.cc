#include "lambdaml/dashboard/live_views.h"

#include <fmt/core.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::dashboard {

std::unique_ptr<MetricsServer> serve_metrics(std::int64_t port, std::function<MetricsText()> page,
                                             const Serving& serving) {
  constexpr const char* kHost = "127.0.0.1";
  if (port < 0) return nullptr;
  auto server =
      std::make_unique<MetricsServer>(kHost, static_cast<std::uint16_t>(port), std::move(page));
  serving("metrics", fmt::format("http://{}:{}/metrics", kHost, server->port()));
  return server;
}

namespace {

std::unique_ptr<Dashboard> serve_dashboard(const std::filesystem::path& folder,
                                           const Serving& serving) {
  auto dashboard = std::make_unique<Dashboard>(Settings{.places = {folder.string()}});
  serving("dashboard", fmt::format("http://127.0.0.1:{}", dashboard->port()));
  return dashboard;
}

}  // namespace

LiveViews::LiveViews(const Options& options, trigger::Observer& next, Serving serving)
    : is_dashboard_wanted_(options.flag("dashboard")),
      serving_(std::move(serving)),
      next_(next),
      metrics_(serve_metrics(
          options.integer("metrics_port"), [this] { return page(); }, serving_)) {}

void LiveViews::starting(const trigger::JobStart& job) {
  if (metrics_) {
    const std::lock_guard lock(mutex_);
    numbers_.job_id = job.job_id;
    numbers_.model = job.model;
    numbers_.epochs = job.epochs;
    numbers_.workers = numbers_.workers_running = job.workers;
    running_.emplace();
    try {
      cost_ = job::running_cost(job.platform, job.workers, job.memory_mb, job.architecture);
    } catch (const Error&) {
      // There is no price for this platform.
    }
  }
  if (is_dashboard_wanted_ && !dashboard_) dashboard_ = serve_dashboard(job.folder, serving_);
  next_.starting(job);
}

void LiveViews::epoch_done(const job::EpochMetrics& metrics) {
  {
    const std::lock_guard lock(mutex_);
    if (numbers_.epoch == 0) first_epoch_ = metrics.epoch - 1;
    numbers_.epoch = metrics.epoch;
    numbers_.metrics = metrics.values;
  }
  next_.epoch_done(metrics);
}

void LiveViews::tick(std::uint32_t workers_alive, std::uint64_t epoch, std::uint64_t round,
                     std::uint64_t rounds) {
  {
    const std::lock_guard lock(mutex_);
    numbers_.workers_running = workers_alive;
  }
  next_.tick(workers_alive, epoch, round, rounds);
}

void LiveViews::worker_failed(std::size_t worker, const faas::EventStatus& status, bool again) {
  {
    const std::lock_guard lock(mutex_);
    ++failed_attempts_;
  }
  next_.worker_failed(worker, status, again);
}

MetricsText LiveViews::page() const {
  const std::lock_guard lock(mutex_);
  MetricsText page;
  if (!running_) return page;  // it prepares its data
  view::JobNumbers now = numbers_;
  now.elapsed_s = running_->seconds();
  if (cost_) now.cost_usd = cost_->after(now.elapsed_s);
  if (now.epoch > first_epoch_)
    now.left_s = now.elapsed_s / static_cast<double>(now.epoch - first_epoch_) *
                 static_cast<double>(now.epochs - std::min(now.epochs, now.epoch));
  view::add_job(now, page);
  page.counter("lambdaml_job_failed_attempts_total", "Attempts of workers that failed.",
               failed_attempts_, {{"job", now.job_id}, {"model", now.model}});
  return page;
}

LiveSearch::LiveSearch(const Options& options, const std::filesystem::path& folder,
                       std::string metric, tune::Observer& next, const Serving& serving)
    : next_(next),
      numbers_{.search_id = utf8_path(folder.filename().string()), .metric = std::move(metric)},
      metrics_(serve_metrics(
          options.integer("metrics_port"), [this] { return page(); }, serving)),
      dashboard_(options.flag("dashboard") ? serve_dashboard(folder, serving) : nullptr) {}

void LiveSearch::changed(const tune::View& view) {
  if (metrics_) {
    const std::lock_guard lock(mutex_);
    numbers_.trials.clear();
    for (const char* state : {"done", "stopped", "failed", "running"}) numbers_.trials[state] = 0;
    for (const tune::TrialView& trial : view.trials) ++numbers_.trials[trial.state];
    if (view.best != nullptr) numbers_.best = view.best->value;
    numbers_.cost_usd = view.cost_usd;
  }
  next_.changed(view);
}

MetricsText LiveSearch::page() const {
  const std::lock_guard lock(mutex_);
  MetricsText page;
  view::add_search(numbers_, page);
  return page;
}

}  // namespace lambdaml::dashboard
