#include "apps/cli/progress.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include <fmt/core.h>

#include "apps/cli/sparkline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/reporting.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::cli {
namespace {

constexpr double kPlainLineEverySeconds = 3;
constexpr double kRedrawEverySeconds = 0.1;
constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

/// Chooses the metrics that fit on a line. For the first one, the loss: its values on training
/// rows, followed by those on held-out rows if there are any; for the others, the values on rows
/// that training has not seen. Then the optimizer's metrics that have a label. Returns names and
/// labels.
std::vector<std::pair<std::string, std::string>> metrics_to_show(const trigger::JobStart& job) {
  std::vector<std::pair<std::string, std::string>> out;
  const model::Plugin& model = model::registry().get(job.model);
  for (const model::ReportedMetric& reported : model::epoch_metrics(model)) {
    using model::RowSet;
    const RowSet left_out = reported.is_first ? RowSet::test : RowSet::train;
    if (model.needs_labels && reported.rows == left_out) continue;
    std::string label = reported.rows == RowSet::train ? reported.metric.name : reported.name;
    std::ranges::replace(label, '_', ' ');
    out.emplace_back(reported.name, std::move(label));
  }
  for (const optim::Metric& metric : optim::registry().get(job.optimizer).metrics)
    if (!metric.label.empty()) out.emplace_back(metric.name, metric.label);
  return out;
}

}  // namespace

ProgressDisplay::ProgressDisplay(bool quiet) : quiet_(quiet) {}

ProgressDisplay::~ProgressDisplay() {
  if (quiet_ || workers_ == 0) return;
  over_ = true;
  if (terminal_.can_redraw()) {
    if (!drawn_) return;
    show(true);
    tell("\n");
  } else if (told_epochs_ != epochs_done_) {
    tell(line(kAnyNumber) + "\n");
  }
}

void ProgressDisplay::starting(const trigger::JobStart& job) {
  workers_ = alive_ = job.workers;
  epochs_ = job.epochs;
  shown_ = metrics_to_show(job);
  try {
    cost_ = job::running_cost(job.platform, job.workers, job.memory_mb, job.architecture);
  } catch (const Error&) {
    // There is no price for this platform.
  }
  started_s_ = last_draw_s_ = clock_.seconds();
  if (!quiet_)
    tell(fmt::format("job {}: {} rows, {} features, {} workers\n", job.job_id,
                     human_count(job.rows), human_count(job.features), job.workers));
}

void ProgressDisplay::epoch_done(const job::EpochMetrics& metrics) {
  if (first_epoch_ == 0 && epochs_done_ == 0) first_epoch_ = metrics.epoch - 1;
  epochs_done_ = metrics.epoch;
  part_of_epoch_ = 0;
  metrics_ = metrics.values;
  if (!shown_.empty() && metrics_.contains(shown_.front().first))
    losses_.push_back(metrics_[shown_.front().first]);
  compute_s_ += metrics_["compute_s"];
  comm_s_ += metrics_["comm_s"];
  show(false);
}

void ProgressDisplay::tick(std::uint32_t workers_alive, std::uint64_t epoch, std::uint64_t round,
                           std::uint64_t rounds) {
  alive_ = workers_alive;
  if (rounds > 0 && epoch == epochs_done_ + 1)
    part_of_epoch_ = static_cast<double>(round) / static_cast<double>(rounds);
  show(false);
}

void ProgressDisplay::worker_failed(std::size_t worker, const faas::EventStatus& status,
                                    bool again) {
  if (!again) return;  // it ends the job, and the error says so
  clear_line();
  std::string text = fmt::format("worker {}, attempt {}: {}{}", worker, status.attempts,
                                 status.error_message, "; trying again");
  for (const std::string& line : status.last_log_lines)
    if (status.error_message.find(line) == std::string::npos) text += "\n" + printable(line, 400);
  log::warning("{}", text);
}

std::string ProgressDisplay::line(std::size_t columns) const {
  constexpr std::size_t kSparkColumns = 8;
  constexpr int kLastRank = 6;
  std::string first = fmt::format("epoch {}/{}", epochs_done_, epochs_);
  // The epoch is done when its metrics are there, not with its last round.
  if (part_of_epoch_ > 0)
    first += fmt::format(" +{:.0f} %", std::min(99.0, std::floor(100 * part_of_epoch_)));
  struct Part {
    std::string text;
    int rank;  ///< the parts of the lowest ranks that fit are shown
  };
  std::vector<Part> parts{{std::move(first), 0}};
  if (terminal_.can_redraw() && has_blocks())
    if (std::string spark = sparkline(losses_, kSparkColumns); !spark.empty())
      parts.push_back({std::move(spark), 3});
  for (const auto& [name, label] : shown_)
    if (const auto it = metrics_.find(name); it != metrics_.end())
      parts.push_back(
          {fmt::format("{} {:.4g}", label, it->second), name == shown_.front().first ? 1 : 4});
  // A worker that is missing is worth more than most numbers.
  parts.push_back({fmt::format("workers {}/{}", alive_, workers_), alive_ < workers_ ? 1 : 5});
  const double elapsed_s = clock_.seconds() - started_s_;
  const double done = static_cast<double>(epochs_done_ - first_epoch_) + part_of_epoch_;
  if (!over_ && done > 0 && epochs_done_ < epochs_)
    parts.push_back(
        {fmt::format("{} left",
                     human_seconds(elapsed_s / done *
                                   (static_cast<double>(epochs_ - first_epoch_) - done))),
         2});
  if (cost_) parts.push_back({fmt::format("${:.2g}", cost_->after(elapsed_s)), 2});
  if (compute_s_ + comm_s_ > 0)
    parts.push_back(
        {fmt::format("compute {:.0f} % comm {:.0f} %", 100 * compute_s_ / (compute_s_ + comm_s_),
                     100 * comm_s_ / (compute_s_ + comm_s_)),
         kLastRank});
  std::size_t used = 0;
  std::vector<bool> fits(parts.size());
  for (int rank = 0; rank <= kLastRank; ++rank)
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::size_t needed = columns_of(parts[i].text) + (used == 0 ? 0 : 2);
      if (parts[i].rank != rank || (used > 0 && needed > columns - std::min(columns, used)))
        continue;
      fits[i] = true;
      used += needed;
    }
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (fits[i]) text += (text.empty() ? "" : "  ") + parts[i].text;
  return text;
}

void ProgressDisplay::show(bool now) {
  if (quiet_) return;
  const double interval = terminal_.can_redraw() ? kRedrawEverySeconds : kPlainLineEverySeconds;
  if (!now && clock_.seconds() - last_draw_s_ < interval) return;
  last_draw_s_ = clock_.seconds();
  if (terminal_.can_redraw())
    draw("\r\x1b[K" + terminal_.row(line(terminal_.size().columns - 1), true));
  else
    tell(line(kAnyNumber) + "\n");
  drawn_ = true;
  told_epochs_ = epochs_done_;
}

void ProgressDisplay::clear_line() {
  if (terminal_.can_redraw() && drawn_ && !quiet_) draw("\r\x1b[K");
}

}  // namespace lambdaml::cli
