#include "lambdaml/ps/server/metrics.h"

#include <algorithm>

#include "lambdaml/base/service/metrics_server.h"

namespace lambdaml::ps {
namespace {

MetricsText metrics_text(State& state) {
  const Stats& stats = state.environment().stats;
  const Budget& budget = state.environment().budget;
  const std::int64_t connections = stats.connections;
  MetricsText page;
  page.gauge("lambdaml_ps_models", "Registered models.", state.models());
  page.gauge("lambdaml_ps_sums", "Sums of rounds and running vectors that are no models.",
             state.sums());
  page.gauge("lambdaml_ps_keys", "Keys.", state.keys().size());
  page.gauge("lambdaml_ps_connections", "Clients connected.",
             static_cast<std::uint64_t>(std::max<std::int64_t>(connections, 0)));
  page.gauge("lambdaml_ps_memory_bytes", "Memory of vectors and values.", budget.used());
  page.gauge("lambdaml_ps_memory_limit_bytes", "Its limit.", budget.limit());
  page.counter("lambdaml_ps_pushes_total", "Pushes that counted.", stats.pushes);
  page.counter("lambdaml_ps_repeated_pushes_total", "Pushes sent again, which do not count.",
               stats.repeated_pushes);
  page.counter("lambdaml_ps_pulls_total", "Pulls.", stats.pulls);
  page.counter("lambdaml_ps_refused_total", "Calls that were refused.", stats.refused);
  page.counter("lambdaml_ps_wrong_tokens_total", "Greetings with a wrong token or none.",
               stats.wrong_tokens);
  page.counter("lambdaml_ps_dropped_total", "Connections ended for being slow or too many.",
               stats.dropped);
  page.counter("lambdaml_ps_received_bytes_total", "Bytes of numbers received.",
               stats.bytes_received);
  page.counter("lambdaml_ps_sent_bytes_total", "Bytes of numbers sent.", stats.bytes_sent);
  page.counter("lambdaml_ps_waits_in_vain_total", "Waits that ended with workers missing.",
               stats.waits_in_vain);
  page.counter("lambdaml_ps_snapshots_total", "Models and sums written to the disk.",
               stats.snapshots);
  page.summary("lambdaml_ps_wait_seconds", "Waiting for other workers.", stats.waits,
               stats.wait_ns);
  page.summary("lambdaml_ps_update_seconds", "Adding up and moving models.", stats.updates,
               stats.update_ns);
  return page;
}

}  // namespace

struct Metrics::Parts {
  MetricsServer server;
};

Metrics::Metrics(State& state, const std::string& host, int port)
    : parts_(new Parts{MetricsServer(host, static_cast<std::uint16_t>(port),
                                     [&state] { return metrics_text(state); })}) {}

Metrics::~Metrics() = default;

int Metrics::port() const { return parts_->server.port(); }

}  // namespace lambdaml::ps
