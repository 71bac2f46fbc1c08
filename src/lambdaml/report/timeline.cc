#include "lambdaml/report/timeline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

namespace lambdaml::report {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::array<const char*, 5> kParts{"compute_us", "send_us", "wait_us", "receive_us",
                                            "checkpoint_us"};
constexpr std::array<const char*, 8> kStats{"startup_s",  "load_s",        "compute_s",
                                            "comm_s",     "run_s",         "invocations",
                                            "bytes_sent", "bytes_received"};

/// Seconds of a round, and how many rounds.
using Times = std::vector<std::pair<double, std::uint64_t>>;

/// How many rounds took how long, in bins of equal width on a logarithmic scale: rounds that wait
/// for a retry are thousands of times slower than others.
ordered_json histogram_json(const Times& times) {
  double low = std::numeric_limits<double>::max(), high = 0;
  for (const auto& [seconds, n] : times) {
    low = std::min(low, std::max(seconds, 1e-6));
    high = std::max(high, std::max(seconds, 1e-6));
  }
  constexpr std::size_t kBins = 40;
  std::vector<double> edges;
  std::vector<std::uint64_t> counts(kBins);
  const double width = std::max(std::log(high / low), 1e-9) / kBins;
  for (std::size_t i = 0; i <= kBins; ++i)
    edges.push_back(low * std::exp(width * static_cast<double>(i)));
  for (const auto& [seconds, n] : times) {
    const double at = std::log(std::max(seconds, 1e-6) / low) / width;
    counts[std::min(kBins - 1, static_cast<std::size_t>(std::max(0.0, at)))] += n;
  }
  return {{"edges_s", edges}, {"counts", counts}};
}

}  // namespace

std::int64_t Timelines::Entry::busy_us() const {
  std::int64_t sum = 0;
  for (const std::int64_t part : parts_us) sum += part;
  return sum;
}

Timelines::Timelines(std::string_view text, bool rounds_wait) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    try {
      const json object = parse_json(line);
      if (object.is_object() && object.contains("trigger"))
        add_trigger(object.at("trigger"));
      else
        add_worker(object);
    } catch (const json::exception&) {
      ++damaged_lines_;
    } catch (const Error&) {
      ++damaged_lines_;
    }
  }
  std::ranges::sort(workers_, {}, &Worker::worker);
  align(rounds_wait);
}

void Timelines::add_trigger(const json& trigger) {
  version_ = text_at(trigger, "version");
  sent_ms_ = whole_number<std::int64_t>(trigger.at("sent_ms"));
  ended_ms_ = whole_number<std::int64_t>(trigger.at("ended_ms"));
  trigger_usage_ = cost::usage_from_json(trigger.at("usage"));
  for (const json& failed : trigger.at("failed_attempts"))
    failures_.push_back({count_at(failed, "worker"),
                         (whole_number<std::int64_t>(failed.at("at_ms")) - sent_ms_) * 1000,
                         text_at(failed, "error"), failed.value("again", false)});
}

void Timelines::add_worker(const json& report) {
  Worker worker;
  worker.worker = whole_number(report.at("worker"));
  for (const char* name : kStats) worker.stats[name] = report.at(name).get<double>();
  if (report.contains("memory_mb")) worker.stats["memory_mb"] = number_at(report, "memory_mb");
  worker.usage = cost::usage_from_json(report.at("usage"));
  if (report.contains("timeline")) add_timeline(report.at("timeline"), worker);
  workers_.push_back(std::move(worker));
}

void Timelines::add_timeline(const json& timeline, Worker& worker) {
  worker.origin_us = (whole_number<std::int64_t>(timeline.at("origin_ms")) -
                      whole_number<std::int64_t>(timeline.at("sent_ms"))) *
                     1000;
  const json& of = timeline.at("rounds");
  const json& counts = of.at("rounds");
  std::uint64_t round = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    Entry entry{.first_round = round, .rounds = whole_number(counts.at(i))};
    entry.begin_us = whole_number<std::int64_t>(of.at("begin_us").at(i));
    for (std::size_t part = 0; part < kParts.size(); ++part)
      entry.parts_us[part] = whole_number<std::int64_t>(of.at(kParts[part]).at(i));
    round += entry.rounds;
    worker.entries.push_back(entry);
  }
  for (const json& one : timeline.at("invocations"))
    worker.invocations.push_back({whole_number<std::int64_t>(one.at("began_us")),
                                  whole_number<std::int64_t>(one.at("load_us")),
                                  whole_number<std::int64_t>(one.at("trained_us")),
                                  whole_number<std::int64_t>(one.at("ended_us"))});
}

void Timelines::align(bool rounds_wait) {
  for (Worker& worker : workers_) worker.shift_us = std::max<std::int64_t>(0, -worker.origin_us);
  if (!rounds_wait || workers_.empty()) return;
  for (std::size_t i = 1; i < workers_.size(); ++i) align(workers_.front(), workers_[i]);
}

/// The shift of least size with which no round ends for one of the two before the other has begun
/// it.
void Timelines::align(const Worker& reference, Worker& worker) {
  std::int64_t least = std::numeric_limits<std::int64_t>::min();
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  const std::size_t n = std::min(reference.entries.size(), worker.entries.size());
  for (std::size_t i = 0; i < n; ++i) {
    const Entry& a = reference.entries[i];
    const Entry& b = worker.entries[i];
    // Attempts that began at a checkpoint count their rounds from there.
    if (a.rounds != b.rounds || a.first_round != b.first_round || a.rounds == 0) return;
    const auto sent = [](const Worker& of, const Entry& entry) {
      return of.at_us(entry.begin_us + (entry.rounds == 1 ? entry.parts_us[0] : 0));
    };
    least = std::max(least, sent(reference, a) - worker.at_us(b.begin_us + b.busy_us()));
    most = std::min(most, reference.at_us(a.begin_us + a.busy_us()) - sent(worker, b));
  }
  if (least > most) return;  // nothing is gained by any shift
  worker.shift_us += std::clamp<std::int64_t>(0, least, most);
}

double Timelines::mean_run_s() const {
  double sum = 0;
  for (const Worker& worker : workers_) sum += worker.stats.at("run_s");
  return workers_.empty() ? 0 : sum / static_cast<double>(workers_.size());
}

cost::UsageByStore Timelines::usage_of_workers() const {
  cost::UsageByStore all;
  for (const Worker& worker : workers_) cost::add(all, worker.usage);
  return all;
}

ordered_json Timelines::workers_json() const {
  ordered_json out = ordered_json::array();
  for (const Worker& worker : workers_) {
    ordered_json row{{"worker", worker.worker}};
    for (const auto& [name, value] : worker.stats) row[name] = value;
    out.push_back(std::move(row));
  }
  return out;
}

ordered_json Timelines::timeline_json(std::size_t most_entries) const {
  std::size_t entries = 0;
  std::int64_t end_us = (ended_ms_ - sent_ms_) * 1000;
  for (const Worker& worker : workers_) {
    entries += worker.entries.size();
    for (const Invocation& one : worker.invocations)
      end_us = std::max(end_us, worker.at_us(one.ended_us));
  }
  if (entries == 0) return {};
  const std::size_t together = (entries + most_entries - 1) / most_entries;
  ordered_json rows = ordered_json::array();
  for (const Worker& worker : workers_) {
    std::vector<std::uint64_t> rounds, first;
    std::vector<std::int64_t> begin;
    std::array<std::vector<std::int64_t>, kParts.size()> parts;
    for (std::size_t i = 0; i < worker.entries.size(); ++i) {
      const Entry& entry = worker.entries[i];
      if (i % together == 0) {
        rounds.push_back(0);
        first.push_back(entry.first_round);
        begin.push_back(worker.at_us(entry.begin_us));
        for (auto& part : parts) part.push_back(0);
      }
      rounds.back() += entry.rounds;
      for (std::size_t p = 0; p < parts.size(); ++p) parts[p].back() += entry.parts_us[p];
    }
    ordered_json invocations = ordered_json::array();
    for (const Invocation& one : worker.invocations)
      invocations.push_back({worker.at_us(one.began_us), one.load_us, worker.at_us(one.trained_us),
                             worker.at_us(one.ended_us)});
    ordered_json row{{"worker", worker.worker},    {"shift_us", worker.shift_us},
                     {"invocations", invocations}, {"first_round", first},
                     {"rounds", rounds},           {"begin_us", begin}};
    for (std::size_t p = 0; p < parts.size(); ++p) row[kParts[p]] = parts[p];
    rows.push_back(std::move(row));
  }
  ordered_json failures = ordered_json::array();
  for (const Failure& failure : failures_)
    failures.push_back({{"worker", failure.worker},
                        {"at_us", failure.at_us},
                        {"error", failure.error},
                        {"again", failure.again}});
  return {{"end_us", end_us}, {"together", together}, {"workers", rows}, {"failures", failures}};
}

std::string Timelines::trace(const std::string& name) const {
  std::string out = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  const auto quoted = [](const std::string& text) { return json_text(json(text)); };
  const auto name_it = [&](const char* what, std::uint64_t tid, const std::string& text) {
    out += fmt::format(R"({{"name":"{}","ph":"M","pid":1,"tid":{},"args":{{"name":{}}}}},)"
                       "\n",
                       what, tid, quoted(text));
  };
  const auto event = [&](const char* what, const Worker& of, std::int64_t begin_us,
                         std::int64_t length_us, const std::string& arguments) {
    if (length_us > 0)
      out += fmt::format(
          R"({{"name":"{}","cat":"worker","ph":"X","ts":{},"dur":{},"pid":1,"tid":{},"args":{{{}}}}},)"
          "\n",
          what, begin_us, length_us, of.worker, arguments);
  };
  for (const Worker& worker : workers_) {
    name_it("thread_name", worker.worker, fmt::format("worker {}", worker.worker));
    std::int64_t former_end_us = 0;
    for (const Invocation& one : worker.invocations) {
      const std::int64_t began_us = worker.at_us(one.began_us);
      event("start-up", worker, former_end_us, began_us - former_end_us, "");
      event("load", worker, worker.at_us(one.trained_us) - one.load_us, one.load_us, "");
      former_end_us = worker.at_us(one.ended_us);
    }
    for (const Entry& entry : worker.entries) {
      const std::string round =
          entry.rounds == 1
              ? fmt::format(R"("round":{})", entry.first_round + 1)
              : fmt::format(R"("first_round":{},"rounds":{})", entry.first_round + 1, entry.rounds);
      std::int64_t at_us = worker.at_us(entry.begin_us);
      // A checkpoint is saved before the round begins.
      for (const std::size_t part : {4, 0, 1, 2, 3}) {
        const std::string_view of = kParts[part];
        event(std::string(of.substr(0, of.size() - 3)).c_str(), worker, at_us, entry.parts_us[part],
              round);
        at_us += entry.parts_us[part];
      }
    }
  }
  for (const Failure& failure : failures_)
    out += fmt::format(
        R"({{"name":"failed attempt","cat":"worker","ph":"i","s":"t","ts":{},"pid":1,"tid":{},"args":{{"error":{}}}}},)"
        "\n",
        failure.at_us, failure.worker, quoted(failure.error));
  name_it("process_name", 0, name);
  out.resize(out.size() - 2);  // the last comma
  return out + "\n]}\n";
}

ordered_json Timelines::rounds_json(std::size_t most_rows) const {
  std::uint64_t rounds = 0;
  for (const Worker& worker : workers_)
    if (!worker.entries.empty())
      rounds = std::max(rounds, worker.entries.back().first_round + worker.entries.back().rounds);
  if (rounds == 0) return {};
  const std::uint64_t together = std::max<std::uint64_t>(1, (rounds + most_rows - 1) / most_rows);
  struct Row {
    std::vector<std::pair<double, std::uint64_t>> workers;  ///< seconds of a round, and whose
    std::array<double, kParts.size()> parts{};
    double entries = 0;
  };
  std::vector<Row> rows((rounds + together - 1) / together);
  Times times;
  for (const Worker& worker : workers_) {
    for (const Entry& entry : worker.entries) {
      if (entry.rounds == 0) continue;
      const double n = static_cast<double>(entry.rounds) * 1e6;
      const double seconds = static_cast<double>(entry.busy_us()) / n;
      times.emplace_back(seconds, entry.rounds);
      Row& row = rows[entry.first_round / together];
      row.workers.emplace_back(seconds, worker.worker);
      for (std::size_t p = 0; p < kParts.size(); ++p)
        row.parts[p] += static_cast<double>(entry.parts_us[p]) / n;
      row.entries += 1;
    }
  }
  ordered_json round = ordered_json::array(), median = round, slowest = round, whose = round;
  std::array<ordered_json, kParts.size()> parts;
  for (ordered_json& part : parts) part = ordered_json::array();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Row& row = rows[i];
    if (row.workers.empty()) continue;
    std::ranges::sort(row.workers);
    round.push_back(i * together + 1);
    median.push_back(row.workers[row.workers.size() / 2].first);
    slowest.push_back(row.workers.back().first);
    whose.push_back(row.workers.back().second);
    for (std::size_t p = 0; p < parts.size(); ++p) parts[p].push_back(row.parts[p] / row.entries);
  }
  ordered_json out{{"rounds", rounds},   {"together", together}, {"round", round},
                   {"median_s", median}, {"slowest_s", slowest}, {"slowest_worker", whose}};
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const std::string name = kParts[p];
    out[name.substr(0, name.size() - 2) + "s"] = std::move(parts[p]);
  }
  out["histogram"] = histogram_json(times);
  return out;
}

}  // namespace lambdaml::report
