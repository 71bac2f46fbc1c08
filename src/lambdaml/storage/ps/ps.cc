#include <algorithm>
#include <map>
#include <mutex>
#include <type_traits>

#include "lambdaml/base/text.h"
#include "lambdaml/ps/client.h"
#include "lambdaml/storage/aggregator.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/pool.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::storage::ps {
namespace {

using lambdaml::ps::Address;
using lambdaml::ps::Client;
using lambdaml::ps::Kind;
using lambdaml::ps::Numbers;
using lambdaml::ps::NumbersView;
using lambdaml::ps::Part;
using lambdaml::ps::Sparse;
using lambdaml::ps::Sum;

/// Longer values are stored in pieces.
constexpr std::uint64_t kPieceBytes = 16 << 20;
constexpr std::size_t kBatchKeys = 1000;

/// A parameter server: it stores keys and sums vectors. After a restart, this restores what the
/// server may have lost of a round: this worker's contribution, which it keeps until it has the
/// sum, and the sum of the round before, which another worker may still be waiting for.
class ParameterServer final : public Storage, public Aggregator {
 public:
  ParameterServer(Address address, std::shared_ptr<Patience> patience)
      : address_(std::move(address)),
        patience_(std::move(patience)),
        clients_([this] { return std::make_unique<Client>(address_, patience_); }, patience_) {}

  Capabilities capabilities() const override {
    return {.max_value_bytes = kPieceBytes, .durable = false};
  }
  std::string describe() const override { return address_.endpoint(); }
  Aggregator* aggregator() override { return this; }

  bool count_into(std::shared_ptr<Meter> meter) override {
    meter_ = std::move(meter);
    return true;
  }

  void save(std::string_view key, Bytes value) override {
    check_text_key(key);
    if (meter_) meter_->count_put(1, value.size());
    with_server("saving", key, [&](Client& server) { server.put(std::string(key), value); });
  }

  bool create(std::string_view key, Bytes value) override {
    check_text_key(key);
    if (meter_) meter_->count_put(1, value.size());
    return with_server("creating", key,
                       [&](Client& server) { return server.create(std::string(key), value); });
  }

  std::optional<Buffer> load(std::string_view key) override {
    check_text_key(key);
    std::optional<Buffer> value =
        with_server("loading", key, [&](Client& server) { return server.get(std::string(key)); });
    if (meter_) meter_->count_get(1, value ? value->size() : 0);
    return value;
  }

  void remove(std::string_view key) override {
    const std::string one(key);
    remove_all({&one, 1});
  }

  void remove_all(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check_text_key(key);
    for (; !keys.empty(); keys = keys.subspan(std::min(keys.size(), kBatchKeys))) {
      const auto batch = keys.first(std::min(keys.size(), kBatchKeys));
      if (meter_) meter_->count_remove(batch.size());
      with_server("removing", batch.front(), [&](Client& server) {
        server.remove({batch.begin(), batch.end()});
      });
    }
  }

  std::vector<Entry> list(std::string_view prefix) override {
    if (meter_) meter_->count_list(1);
    const auto found = with_server(
        "listing", prefix, [&](Client& server) { return server.find(std::string(prefix)); });
    std::vector<Entry> entries;
    for (const auto& [key, bytes] : found) entries.push_back({key, bytes});
    return entries;
  }

  void clear(std::string_view prefix) override {
    if (meter_) meter_->count_list(1);
    with_server("clearing", prefix, [&](Client& server) { server.clear(std::string(prefix)); });
  }

  SumAnswer push_pull(const SumRequest& request, std::span<double> totals, std::span<float> values,
                      Deadline deadline) override {
    check_text_key(request.key);
    Series& series = series_of(request.key);
    Numbers answer;
    const Sum sum = with_server("summing", request.key, [&](Client& server) {
      return exchange(server, series, request, totals, values, answer, deadline);
    });
    if (!sum.missing.empty())
      throw MissingWorkers(fmt::format("{}: summing '{}', round {}: workers are missing",
                                       describe(), printable(request.key), request.round),
                           sum.missing);
    const bool other = request.generation != 0 && sum.generation != request.generation;
    if (!other) take(sum, answer, request, totals, values);
    if (request.kind == SumRequest::Kind::round) {
      series.last_round = request.round;
      series.last = std::move(answer);
      series.last_length = values.size();
    }
    return {sum.merged, sum.generation};
  }

 private:
  /// The state of one sum.
  struct Series {
    std::int64_t incarnation = 0;            ///< of the server that has got the rest
    std::optional<std::uint64_t> delivered;  ///< the round whose part it has, and not its sum
    std::uint64_t last_round = 0;
    std::optional<Numbers> last;  ///< the sum of last_round
    std::uint64_t last_length = 0;
  };

  Series& series_of(std::string_view key) {
    const std::lock_guard lock(mutex_);
    return series_[std::string(key)];
  }

  /// The exchange for one sum with one server.
  Sum exchange(Client& server, Series& series, const SumRequest& request,
               std::span<const double> totals, std::span<const float> values, Numbers& answer,
               Deadline deadline) {
    Part part;
    part.id = request.key;
    part.round = request.round;
    part.worker = request.worker;
    part.workers = request.workers;
    part.retired = request.retired;
    part.staleness = request.staleness;
    part.last = request.last;
    if (request.generation != 0) part.generation = request.generation;
    if (series.incarnation != server.incarnation()) {
      if (series.last && request.kind == SumRequest::Kind::round)
        release_result(server, part, series);
      series.incarnation = server.incarnation();
      series.delivered.reset();
    }
    part.kind = request.kind == SumRequest::Kind::round     ? Kind::round
                : request.kind == SumRequest::Kind::running ? Kind::running
                                                            : Kind::newest;
    part.length = values.size();
    part.again = series.delivered == request.round;
    const std::optional<Sparse> sparse = lambdaml::ps::as_sparse(values);
    NumbersView pushed{std::as_bytes(totals), std::as_bytes(values)};
    if (part.last) {
      pushed.values = {};
    } else if (sparse) {
      pushed.indices = std::as_bytes(std::span(sparse->indices));
      pushed.values = std::as_bytes(std::span(sparse->values));
    }
    while (true) {
      // The server reports at least this often which workers are missing; a frozen server does not.
      part.wait_ms = static_cast<std::uint32_t>(
          std::min(deadline.seconds_left(), patience_->longest_wait_s()) * 1e3);
      if (meter_)
        meter_->count_put(1, part.again ? 0 : pushed.totals.size() + pushed.values.size());
      answer = {};
      const Sum sum = server.push_pull(part, part.again ? NumbersView() : pushed, answer);
      patience_->answered();
      if (sum.resend && part.generation && sum.generation != 0 &&
          sum.generation != *part.generation) {
        series.delivered.reset();
        return sum;
      }
      if (sum.resend) {
        part.again = false;
        series.delivered.reset();
        continue;
      }
      if (sum.missing.empty()) {
        series.delivered.reset();
        return sum;
      }
      series.delivered = request.round;
      part.again = true;
      if (deadline.passed()) return sum;
    }
  }

  void release_result(Client& server, Part part, const Series& series) {
    part.kind = Kind::result;
    part.round = series.last_round;
    part.length = series.last_length;
    NumbersView sum{series.last->totals, series.last->values};
    if (series.last->indices) sum.indices = *series.last->indices;
    Numbers nothing;
    server.push_pull(part, sum, nothing);
  }

  void take(const Sum& sum, const Numbers& answer, const SumRequest& request,
            std::span<double> totals, std::span<float> values) {
    if (meter_) meter_->count_get(1, answer.totals.size() + answer.values.size());
    const std::size_t n = answer.values.size() / sizeof(float);
    const bool fits = answer.totals.size() == totals.size_bytes() && sum.length == values.size() &&
                      (answer.indices ? answer.indices->size() == n * sizeof(std::uint32_t)
                                      : answer.values.size() == values.size_bytes());
    if (!fits)
      fail(Code::data_corrupt, "{}: the sum '{}', round {}, has {} values, not {}", describe(),
           printable(request.key), request.round, sum.length, values.size());
    if (!totals.empty()) std::memcpy(totals.data(), answer.totals.data(), totals.size_bytes());
    if (!answer.indices) {
      if (!values.empty()) std::memcpy(values.data(), answer.values.data(), values.size_bytes());
      return;
    }
    std::ranges::fill(values, 0.0F);
    const auto* at = reinterpret_cast<const std::uint32_t*>(answer.indices->data());
    const auto* what = reinterpret_cast<const float*>(answer.values.data());
    for (std::size_t i = 0; i < n; ++i) {
      if (at[i] >= values.size())
        fail(Code::data_corrupt, "{}: the sum '{}' has an index beyond its end", describe(),
             printable(request.key));
      values[at[i]] = what[i];
    }
  }

  template <class Use>
  std::invoke_result_t<Use, Client&> with_server(std::string_view doing, std::string_view key,
                                                 Use&& use) {
    return clients_.with({.what = doing, .key = key}, std::forward<Use>(use));
  }

  const Address address_;
  const std::shared_ptr<Patience> patience_;
  std::shared_ptr<Meter> meter_;
  Pool<Client> clients_;
  std::mutex mutex_;
  std::map<std::string, Series> series_;
};

std::shared_ptr<Storage> open(const Uri& uri, const Options&, std::shared_ptr<Patience> patience) {
  Address address = lambdaml::ps::address_of(uri);
  const std::string prefix = address.prefix;
  auto store = std::make_shared<ParameterServer>(std::move(address), std::move(patience));
  if (prefix.empty()) return store;
  return with_prefix(std::move(store), prefix + "/");
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "ps",
                .help = "a parameter server (lambdaml ps): ps://[:token@]host[:27000][/prefix]",
                .open = open,
                .default_uri = [] { return Uri::parse("ps://localhost:27000"); },
                .options = lambdaml::ps::address_options()});
}

}  // namespace lambdaml::storage::ps
