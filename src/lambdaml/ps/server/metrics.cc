#include "lambdaml/ps/server/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>

namespace lambdaml::ps {

using prometheus::MetricFamily;

/// Reads the counters when somebody asks.
class Counters final : public prometheus::Collectable {
 public:
  explicit Counters(State& state) : state_(state) {}

  std::vector<MetricFamily> Collect() const override {
    const Stats& stats = state_.environment().stats;
    std::vector<MetricFamily> out;
    const auto gauge = [&](const char* name, const char* help, double value) {
      MetricFamily& family = add(out, name, help, prometheus::MetricType::Gauge);
      family.metric.resize(1);
      family.metric[0].gauge.value = value;
    };
    const auto counter = [&](const char* name, const char* help, std::uint64_t value) {
      MetricFamily& family = add(out, name, help, prometheus::MetricType::Counter);
      family.metric.resize(1);
      family.metric[0].counter.value = static_cast<double>(value);
    };
    const auto summary = [&](const char* name, const char* help, std::uint64_t count,
                             std::uint64_t ns) {
      MetricFamily& family = add(out, name, help, prometheus::MetricType::Summary);
      family.metric.resize(1);
      family.metric[0].summary.sample_count = count;
      family.metric[0].summary.sample_sum = static_cast<double>(ns) / 1e9;
    };
    gauge("lambdaml_ps_models", "Registered models.", static_cast<double>(state_.models()));
    gauge("lambdaml_ps_sums", "Sums of rounds and running vectors that are no models.",
          static_cast<double>(state_.sums()));
    gauge("lambdaml_ps_keys", "Keys.", static_cast<double>(state_.keys().size()));
    gauge("lambdaml_ps_connections", "Clients connected.", static_cast<double>(stats.connections));
    gauge("lambdaml_ps_memory_bytes", "Memory of vectors and values.",
          static_cast<double>(state_.environment().budget.used()));
    gauge("lambdaml_ps_memory_limit_bytes", "Its limit.",
          static_cast<double>(state_.environment().budget.limit()));
    counter("lambdaml_ps_pushes_total", "Pushes that counted.", stats.pushes);
    counter("lambdaml_ps_repeated_pushes_total", "Pushes sent again, which do not count.",
            stats.repeated_pushes);
    counter("lambdaml_ps_pulls_total", "Pulls.", stats.pulls);
    counter("lambdaml_ps_refused_total", "Calls that were refused.", stats.refused);
    counter("lambdaml_ps_received_bytes_total", "Bytes of numbers received.", stats.bytes_received);
    counter("lambdaml_ps_sent_bytes_total", "Bytes of numbers sent.", stats.bytes_sent);
    counter("lambdaml_ps_waits_in_vain_total", "Waits that ended with workers missing.",
            stats.waits_in_vain);
    counter("lambdaml_ps_snapshots_total", "Models and sums written to the disk.", stats.snapshots);
    summary("lambdaml_ps_wait_seconds", "Waiting for other workers.", stats.waits, stats.wait_ns);
    summary("lambdaml_ps_update_seconds", "Adding up and moving models.", stats.updates,
            stats.update_ns);
    return out;
  }

 private:
  static MetricFamily& add(std::vector<MetricFamily>& out, const char* name, const char* help,
                           prometheus::MetricType type) {
    MetricFamily& family = out.emplace_back();
    family.name = name;
    family.help = help;
    family.type = type;
    return family;
  }

  State& state_;
};

struct Metrics::Parts {
  std::shared_ptr<Counters> counters;
  std::unique_ptr<prometheus::Exposer> exposer;
  int port = 0;
};

Metrics::Metrics(State& state, const std::string& host, int port)
    : parts_(std::make_unique<Parts>()) {
  constexpr std::size_t kThreads = 1;
  parts_->counters = std::make_shared<Counters>(state);
  const bool v6 = host.find(':') != std::string::npos;
  const std::string address = fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
  try {
    parts_->exposer = std::make_unique<prometheus::Exposer>(address, kThreads);
  } catch (const std::exception&) {
    fail(Code::already_exists, "metrics on {}: the port is in use, or the host is not this one",
         address);
  }
  parts_->exposer->RegisterCollectable(parts_->counters);
  parts_->port = parts_->exposer->GetListeningPorts().at(0);
}

Metrics::~Metrics() = default;

int Metrics::port() const { return parts_->port; }

}  // namespace lambdaml::ps
