#include "lambdaml/worker/timeline.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"

namespace lambdaml::worker {
namespace {

using nlohmann::json;

constexpr std::size_t kMostEntries = 2048;
constexpr std::size_t kMostInvocations = 1000;

std::int64_t microseconds(double seconds) { return std::llround(seconds * 1e6); }

}  // namespace

Timeline::Entry& Timeline::Entry::operator+=(const Entry& next) {
  rounds += next.rounds;
  compute_s += next.compute_s;
  send_s += next.send_s;
  wait_s += next.wait_s;
  receive_s += next.receive_s;
  checkpoint_s += next.checkpoint_s;
  return *this;
}

Timeline::Timeline(std::shared_ptr<const storage::Times> times, std::int64_t sent_ms,
                   std::int64_t arrived_ms)
    : times_(std::move(times)), sent_ms_(sent_ms), origin_ms_(arrived_ms), invocations_(1) {}

std::int64_t Timeline::now_us() const { return arrived_us_ + microseconds(clock_.seconds()); }

void Timeline::continue_from(const json& earlier) {
  try {
    const std::int64_t origin_ms = whole_number<std::int64_t>(earlier.at("origin_ms"));
    const json& of = earlier.at("rounds");
    std::vector<Entry> entries;
    const auto seconds = [&](const char* name, std::size_t i) {
      return of.at(name).at(i).get<double>() / 1e6;
    };
    for (std::size_t i = 0; i < of.at("rounds").size(); ++i)
      entries.push_back({whole_number(of.at("rounds").at(i)),
                         whole_number<std::int64_t>(of.at("begin_us").at(i)),
                         seconds("compute_us", i), seconds("send_us", i), seconds("wait_us", i),
                         seconds("receive_us", i), seconds("checkpoint_us", i)});
    std::vector<Invocation> invocations;
    for (const json& one : earlier.at("invocations"))
      invocations.push_back({whole_number<std::int64_t>(one.at("began_us")),
                             whole_number<std::int64_t>(one.at("load_us")),
                             whole_number<std::int64_t>(one.at("trained_us")),
                             whole_number<std::int64_t>(one.at("ended_us"))});
    sent_ms_ = whole_number<std::int64_t>(earlier.at("sent_ms"));
    // This machine's clock may be behind that of the earlier invocation.
    arrived_us_ = (origin_ms_ - origin_ms) * 1000;
    if (!invocations.empty()) arrived_us_ = std::max(arrived_us_, invocations.back().ended_us);
    origin_ms_ = origin_ms;
    last_us_ = arrived_us_;
    if (invocations.size() >= kMostInvocations) invocations.resize(kMostInvocations - 1);
    invocations.push_back({.began_us = arrived_us_});
    invocations_ = std::move(invocations);
    entries_ = std::move(entries);
    for (const Entry& entry : entries_) most_rounds_ = std::max(most_rounds_, entry.rounds);
  } catch (const json::exception&) {
    // What an old version left has none.
  }
}

void Timeline::loaded(double seconds) {
  invocations_.back().load_us = microseconds(seconds);
  last_us_ = invocations_.back().trained_us = now_us();
  last_ = times_->seconds();
  checkpoint_s_ = 0;
}

void Timeline::saved(double seconds) { checkpoint_s_ += seconds; }

void Timeline::merged(double seconds) {
  const std::int64_t now = now_us();
  const storage::Times::Seconds total = times_->seconds();
  const double all_s = static_cast<double>(now - last_us_) / 1e6;
  Entry entry{.rounds = 1, .begin_us = last_us_};
  entry.checkpoint_s = std::min(std::exchange(checkpoint_s_, 0), all_s);
  // Values may be saved by other threads while this one receives: what is hidden does not count.
  double left_s = std::min(seconds, all_s - entry.checkpoint_s);
  entry.wait_s = std::min(total.waiting - last_.waiting, left_s);
  left_s -= entry.wait_s;
  entry.receive_s = std::min(total.receiving - last_.receiving, left_s);
  left_s -= entry.receive_s;
  entry.send_s = std::min(total.sending - last_.sending, left_s);
  entry.compute_s =
      std::max(0.0, all_s - entry.checkpoint_s - entry.wait_s - entry.receive_s - entry.send_s);
  last_us_ = now;
  last_ = total;
  add(entry);
}

void Timeline::add(const Entry& entry) {
  if (!entries_.empty() && entries_.back().rounds < most_rounds_ &&
      entries_.back().begin_us >= arrived_us_)
    entries_.back() += entry;
  else
    entries_.push_back(entry);
  if (entries_.size() > kMostEntries) thin();
}

void Timeline::thin() {
  std::vector<Entry> half;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (i % 2 == 0)
      half.push_back(entries_[i]);
    else
      half.back() += entries_[i];
  entries_ = std::move(half);
  most_rounds_ *= 2;
}

json Timeline::to_json() const {
  const std::int64_t now = now_us();
  json rounds{{"rounds", json::array()},       {"begin_us", json::array()},
              {"compute_us", json::array()},   {"send_us", json::array()},
              {"wait_us", json::array()},      {"receive_us", json::array()},
              {"checkpoint_us", json::array()}};
  const auto put = [&](const Entry& entry) {
    rounds["rounds"].push_back(entry.rounds);
    rounds["begin_us"].push_back(entry.begin_us);
    rounds["compute_us"].push_back(microseconds(entry.compute_s));
    rounds["send_us"].push_back(microseconds(entry.send_s));
    rounds["wait_us"].push_back(microseconds(entry.wait_s));
    rounds["receive_us"].push_back(microseconds(entry.receive_s));
    rounds["checkpoint_us"].push_back(microseconds(entry.checkpoint_s));
  };
  for (const Entry& entry : entries_) put(entry);
  if (invocations_.back().trained_us > 0) {  // what follows the last round
    const double rest_s = static_cast<double>(now - last_us_) / 1e6;
    const double checkpoint_s = std::min(checkpoint_s_, rest_s);
    put({.begin_us = last_us_, .compute_s = rest_s - checkpoint_s, .checkpoint_s = checkpoint_s});
  }
  json invocations = json::array();
  for (const Invocation& one : invocations_)
    invocations.push_back({{"began_us", one.began_us},
                           {"load_us", one.load_us},
                           {"trained_us", one.trained_us},
                           {"ended_us", &one == &invocations_.back() ? now : one.ended_us}});
  return {{"version", 1},
          {"sent_ms", sent_ms_},
          {"origin_ms", origin_ms_},
          {"rounds", std::move(rounds)},
          {"invocations", std::move(invocations)}};
}

}  // namespace lambdaml::worker
