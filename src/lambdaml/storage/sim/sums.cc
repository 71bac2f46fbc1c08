#include "lambdaml/storage/sim/sums.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/unique_id.h"

namespace lambdaml::storage::sim {
namespace {

Part zeros_like(const Part& part) {
  return {std::vector<double>(part.totals.size()), std::vector<float>(part.values.size())};
}

void require_same_sizes(const SumRequest& request, const Part& part, const Part& others) {
  if (!part.has_sizes_of(others))
    fail(Code::invalid_argument, "'{}': worker {} pushes {} values and {} totals, others {} and {}",
         request.key, request.worker, part.values.size(), part.totals.size(), others.values.size(),
         others.totals.size());
}

}  // namespace

bool Part::has_sizes_of(const Part& other) const {
  return totals.size() == other.totals.size() && values.size() == other.values.size();
}

Part& Part::operator+=(const Part& other) {
  for (std::size_t i = 0; i < other.totals.size(); ++i) totals[i] += other.totals[i];
  for (std::size_t i = 0; i < other.values.size(); ++i) values[i] += other.values[i];
  return *this;
}

std::uint64_t Part::bytes() const {
  return totals.size() * sizeof(double) + values.size() * sizeof(float);
}

void Part::copy_to(std::span<double> to_totals, std::span<float> to_values) const {
  if (totals.size() != to_totals.size() || values.size() != to_values.size())
    fail(Code::invalid_argument, "a sum of {} values is asked for {}", values.size(),
         to_values.size());
  std::ranges::copy(totals, to_totals.begin());
  std::ranges::copy(values, to_values.begin());
}

bool Sum::add(const SumRequest& request, Part part) {
  switch (request.kind) {
    case SumRequest::Kind::round:
      return add_to_round(request, std::move(part));
    case SumRequest::Kind::running:
      return add_to_running(request, part);
    case SumRequest::Kind::newest:
      break;
  }
  replace_newest(request, std::move(part));
  return false;
}

void Sum::replace_newest(const SumRequest& request, Part part) {
  if (!newest_.empty()) require_same_sizes(request, part, newest_.begin()->second.part);
  const auto [own, is_first] = newest_.try_emplace(request.worker);
  if (is_first || request.round >= own->second.round)
    own->second = {request.round, std::move(part)};
}

bool Sum::add_to_round(const SumRequest& request, Part part) {
  retire(request);
  if (results_.contains(request.round)) return false;
  std::map<std::uint32_t, Part>& parts = open_[request.round];
  if (!parts.empty()) require_same_sizes(request, part, parts.begin()->second);
  parts.try_emplace(request.worker, std::move(part));
  if (parts.size() < request.workers) return false;
  auto sum = std::make_shared<Part>(std::move(parts.begin()->second));
  for (auto other = std::next(parts.begin()); other != parts.end(); ++other) *sum += other->second;
  results_[request.round] = std::move(sum);
  open_.erase(request.round);
  return true;
}

void Sum::retire(const SumRequest& request) {
  std::uint64_t& own = retired_[request.worker];
  own = std::max(own, request.retired);
  if (retired_.size() < request.workers) return;
  std::uint64_t earliest = own;
  for (const auto& [worker, round] : retired_) earliest = std::min(earliest, round);
  results_.erase(results_.begin(), results_.lower_bound(earliest));
}

bool Sum::is_other_generation(const SumRequest& request) const {
  return request.generation != 0 && request.generation != generation_;
}

bool Sum::add_to_running(const SumRequest& request, const Part& part) {
  // A checkpoint has it as a double.
  if (generation_ == 0) generation_ = 1 + (unique_number() >> 12);
  if (is_other_generation(request)) return false;
  if (!running_) running_ = zeros_like(part);
  require_same_sizes(request, part, *running_);
  WorkerPushes& own = workers_[request.worker];
  if (request.last) {
    own.finished = true;
    return true;
  }
  if (request.round < own.next_push) return false;
  own.next_push = request.round + 1;
  ++own.pushes;
  ++pushes_;
  *running_ += part;
  return true;
}

std::optional<Sum::Answer> Sum::answer(const SumRequest& request) const {
  if (request.kind == SumRequest::Kind::round) {
    const auto result = results_.find(request.round);
    if (result == results_.end()) return {};
    return Answer{result->second, request.workers};
  }
  if (request.kind == SumRequest::Kind::running) {
    if (is_other_generation(request)) return Answer{nullptr, 0, generation_};
    if (!missing(request).empty()) return {};
    return Answer{std::make_shared<const Part>(running_.value_or(Part())), pushes_, generation_};
  }
  auto sum = std::make_shared<Part>();
  if (!newest_.empty()) *sum = zeros_like(newest_.begin()->second.part);
  for (const auto& [worker, newest] : newest_) *sum += newest.part;
  return Answer{std::move(sum), newest_.size()};
}

std::vector<std::uint32_t> Sum::missing(const SumRequest& request) const {
  std::vector<std::uint32_t> out;
  const auto open = open_.find(request.round);
  for (std::uint32_t worker = 0; worker < request.workers; ++worker) {
    if (request.kind == SumRequest::Kind::round) {
      if (open == open_.end() || !open->second.contains(worker)) out.push_back(worker);
      continue;
    }
    const auto found = workers_.find(worker);
    const WorkerPushes other = found == workers_.end() ? WorkerPushes() : found->second;
    const auto own = workers_.find(request.worker);
    const std::uint64_t pushes = own == workers_.end() ? 0 : own->second.pushes;
    const bool is_behind =
        request.last || (request.staleness && other.pushes + *request.staleness < pushes);
    if (!other.finished && is_behind) out.push_back(worker);
  }
  return out;
}

}  // namespace lambdaml::storage::sim
