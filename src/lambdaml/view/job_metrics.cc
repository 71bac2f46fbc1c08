#include "lambdaml/view/job_metrics.h"

namespace lambdaml::view {

void add_job(const JobNumbers& job, MetricsText& page) {
  const MetricsText::Labels labels{{"job", job.job_id}, {"model", job.model}};
  const auto gauge = [&](const char* name, const char* help, double value) {
    page.gauge(name, help, value, labels);
  };
  gauge("lambdaml_job_epoch", "Epochs done.", static_cast<double>(job.epoch));
  gauge("lambdaml_job_epochs", "Epochs at most.", static_cast<double>(job.epochs));
  gauge("lambdaml_job_workers", "Workers.", static_cast<double>(job.workers));
  gauge("lambdaml_job_workers_running", "Workers that have begun and not ended.",
        static_cast<double>(job.workers_running));
  gauge("lambdaml_job_elapsed_seconds", "Time since the job began or was resumed.", job.elapsed_s);
  if (job.left_s)
    gauge("lambdaml_job_left_seconds", "Time to the last epoch, an estimate.", *job.left_s);
  if (job.cost_usd)
    gauge("lambdaml_job_cost_dollars", "Cost of the functions so far, an estimate.", *job.cost_usd);
  for (const auto& [name, value] : job.metrics) {
    MetricsText::Labels named = labels;
    named.emplace_back("metric", name);
    page.gauge("lambdaml_job_metric", "A metric of the last epoch, as in metrics.jsonl.", value,
               std::move(named));
  }
}

void add_search(const SearchNumbers& search, MetricsText& page) {
  const MetricsText::Labels labels{{"search", search.search_id}};
  for (const auto& [state, count] : search.trials) {
    MetricsText::Labels named = labels;
    named.emplace_back("state", state);
    page.gauge("lambdaml_search_trials", "Trials by state.", static_cast<double>(count),
               std::move(named));
  }
  if (search.best) {
    MetricsText::Labels named = labels;
    named.emplace_back("metric", search.metric);
    page.gauge("lambdaml_search_best", "The best trial's value of the search's metric.",
               *search.best, std::move(named));
  }
  page.gauge("lambdaml_search_epochs", "Epochs of all trials so far.",
             static_cast<double>(search.epochs), labels);
  if (search.left_s)
    page.gauge("lambdaml_search_left_seconds", "Time to the last trial's end, an estimate.",
               *search.left_s, labels);
  page.gauge("lambdaml_search_cost_dollars",
             "Cost of the trials so far; of running ones an estimate.", search.cost_usd, labels);
}

}  // namespace lambdaml::view
