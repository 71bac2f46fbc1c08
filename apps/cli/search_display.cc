#include "apps/cli/search_display.h"

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "lambdaml/base/text.h"

namespace lambdaml::cli {
namespace {

constexpr double kSearchLineEverySeconds = 3;
constexpr double kTableEverySeconds = 0.2;

std::string short_text(const Option::Value& value) {
  const auto* real = std::get_if<double>(&value);
  return real == nullptr ? to_text(value_without_passwords(value)) : fmt::format("{:.4g}", *real);
}

/// The trials that fit: running ones, then the newest of the others; sorted by number.
std::vector<const tune::TrialView*> some_of(std::span<const tune::TrialView> trials,
                                            std::size_t limit) {
  std::vector<const tune::TrialView*> out;
  for (const bool running : {true, false})
    for (auto it = trials.rbegin(); it != trials.rend() && out.size() < limit; ++it)
      if ((it->state == "running") == running) out.push_back(&*it);
  std::ranges::sort(out, {}, &tune::TrialView::trial);
  return out;
}

}  // namespace

std::string short_text(const tune::Assignments& assignments) {
  std::vector<std::string> parts;
  for (const tune::Assignment& assignment : assignments)
    parts.push_back(assignment.name + "=" + short_text(assignment.value));
  return join(parts, " ");
}

SearchDisplay::SearchDisplay(bool quiet, std::string metric)
    : quiet_(quiet), metric_(std::move(metric)), last_draw_s_(terminal_.can_redraw() ? -1e9 : 0) {}

SearchDisplay::~SearchDisplay() {
  if (!untold_.empty()) show();
}

void SearchDisplay::changed(const tune::View& view) {
  if (quiet_) return;
  untold_ = terminal_.can_redraw() ? table(view) : printable(line(view), 1000) + "\n";
  const double interval = terminal_.can_redraw() ? kTableEverySeconds : kSearchLineEverySeconds;
  if (clock_.seconds() - last_draw_s_ >= interval) show();
}

void SearchDisplay::show() {
  last_draw_s_ = clock_.seconds();
  const std::string up = rows_drawn_ > 0 ? fmt::format("\x1b[{}A\r\x1b[J", rows_drawn_) : "";
  draw(up + untold_);
  if (terminal_.can_redraw())
    rows_drawn_ = static_cast<int>(std::count(untold_.begin(), untold_.end(), '\n'));
  untold_.clear();
}

std::string SearchDisplay::table(const tune::View& view) const {
  const std::size_t rows = std::max<std::size_t>(terminal_.size().rows, 8) - 4;
  const auto row = [&](const std::string& text, bool bright) {
    return terminal_.row(text, bright) + "\n";
  };
  std::string text = row(fmt::format("{:>5}  {:<8} {:>9}  {:>14}  {:>10}  {}", "trial", "state",
                                     "epoch", metric_, "cost", "values"),
                         false);
  for (const tune::TrialView* trial : some_of(view.trials, rows))
    text += row(fmt::format("{:>5}  {:<8} {:>9}  {:>14}  {:>10}  {}", trial->trial, trial->state,
                            fmt::format("{}/{}", trial->epoch, trial->epochs),
                            trial->value ? fmt::format("{:.5g}", *trial->value) : "",
                            fmt::format("${:.2g}", trial->cost_usd),
                            trial->reason.empty() ? short_text(trial->parameters)
                                                  : printable(trial->reason, 200)),
                view.best == trial);
  return text + row(line(view), true);
}

std::string SearchDisplay::line(const tune::View& view) const {
  std::size_t running = 0, failed = 0;
  for (const tune::TrialView& trial : view.trials) {
    running += trial.state == "running" ? 1 : 0;
    failed += trial.state == "failed" ? 1 : 0;
  }
  std::string text = fmt::format("trials {}/{}, {} running", view.trials.size() - running,
                                 view.trials_expected, running);
  if (failed > 0) text += fmt::format(", {} failed", failed);
  text += fmt::format("  ${:.2g}", view.cost_usd);
  if (view.seconds_left > 0) text += fmt::format("  {} left", human_seconds(view.seconds_left));
  // Last: what a narrow terminal cuts off.
  if (view.best != nullptr)
    text += fmt::format("  best {} {:.5g} (trial {}: {})", metric_, *view.best->value,
                        view.best->trial, short_text(view.best->parameters));
  return text;
}

}  // namespace lambdaml::cli
