#include "lambdaml/control/restored_vectors.h"

#include <algorithm>
#include <span>

#include "lambdaml/base/error.h"

namespace lambdaml::control {
namespace {

std::size_t size_of(const std::vector<comm::Range>& ranges) {
  std::size_t size = 0;
  for (const auto& [begin, end] : ranges) size += end - begin;
  return size;
}

/// Copies what two vectors of ranges have in common; returns how many values that is.
std::size_t copy_common(std::span<const float> from, const std::vector<comm::Range>& from_ranges,
                        std::span<float> to, const std::vector<comm::Range>& to_ranges) {
  std::size_t copied = 0;
  std::size_t from_at = 0;
  for (const auto& [from_begin, from_end] : from_ranges) {
    std::size_t to_at = 0;
    for (const auto& [to_begin, to_end] : to_ranges) {
      const std::size_t begin = std::max(from_begin, to_begin);
      const std::size_t end = std::min(from_end, to_end);
      if (begin < end) {
        std::ranges::copy(from.subspan(from_at + begin - from_begin, end - begin),
                          to.begin() + static_cast<std::ptrdiff_t>(to_at + begin - to_begin));
        copied += end - begin;
      }
      to_at += to_end - to_begin;
    }
    from_at += from_end - from_begin;
  }
  return copied;
}

bool is_among(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

RestoredVectors::RestoredVectors(const StateFile& own, optim::Optimizer& optimizer)
    : what_(own.what()), state_(optimizer.state()) {
  const optim::Cut wanted = optimizer.cut();
  const optim::Cut there = own.cut();
  const bool is_cut_anew = wanted != there;
  for (auto& [name, values] : state_) {
    if (is_cut_anew && (is_among(wanted.names, name) || is_among(there.names, name))) continue;
    const std::span<const float> saved = own.vector(name);
    if (saved.size() != values.size())
      fail(Code::data_corrupt, "{}: '{}' has {} numbers instead of {}", what_, name, saved.size(),
           values.size());
    std::ranges::copy(saved, values.begin());
  }
  for (const std::string& name : own.vector_names())
    if (!state_.contains(name))
      fail(Code::data_corrupt, "{}: 'state.{}' is of another optimizer or other options", what_,
           name);
  if (!is_cut_anew) return;
  names_ = wanted.names.empty() ? there.names : wanted.names;
  size_ = wanted.names.empty() ? there.size : wanted.size;
  ranges_ = ranges_of(wanted);
  missing_ = size_of(ranges_) * names_.size();
  take_from(own);
}

/// Those of a whole vector where nothing is cut.
std::vector<comm::Range> RestoredVectors::ranges_of(const optim::Cut& cut) const {
  return cut.names.empty() ? std::vector<comm::Range>{{0, size_}} : cut.ranges;
}

void RestoredVectors::take_from(const StateFile& from) {
  const std::vector<comm::Range> from_ranges = ranges_of(from.cut());
  for (const std::string& name : names_) {
    const std::span<const float> values = from.vector(name);
    const auto to = state_.find(name);
    if (to == state_.end() || to->second.size() != size_of(ranges_) ||
        values.size() != size_of(from_ranges))
      fail(Code::data_corrupt, "{}: '{}' has {} numbers, which do not fit its ranges", from.what(),
           name, values.size());
    missing_ -= copy_common(values, from_ranges, to->second, ranges_);
  }
}

void RestoredVectors::require_complete() const {
  if (missing_ > 0)
    fail(Code::data_corrupt, "{}: of '{}', {} numbers are in no worker's checkpoint", what_,
         names_.front(), missing_ / names_.size());
}

}  // namespace lambdaml::control
