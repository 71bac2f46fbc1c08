#include "lambdaml/dashboard/logs.h"

#include <algorithm>
#include <cctype>
#include <deque>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::dashboard {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostLines = 1000;
constexpr std::size_t kLongestLine = 4000;

bool contains(std::string_view line, std::string_view search) {
  const auto same = [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  };
  return std::search(line.begin(), line.end(), search.begin(), search.end(), same) != line.end();
}

ordered_json lines_of(const view::JobView& job, std::optional<std::uint32_t> worker,
                      const std::string& search) {
  if (worker && *worker >= job.workers())
    fail(Code::invalid_argument, "worker {}: the job has workers 0 to {}", *worker,
         job.workers() - 1);
  const std::uint32_t begin = worker.value_or(0);
  const std::uint32_t end = worker ? *worker + 1 : job.workers();
  const std::size_t most = std::max<std::size_t>(1, kMostLines / (end - begin));
  std::uint64_t matches = 0;
  ordered_json lines = ordered_json::array();
  for (std::uint32_t w = begin; w < end && lines.size() < kMostLines; ++w) {
    const std::string log = job.log(w);
    std::deque<std::string_view> newest;
    for (std::string_view rest = log; !rest.empty();) {
      const std::size_t length = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, length);
      rest.remove_prefix(std::min(length + 1, rest.size()));
      if (line.empty() || !contains(line, search)) continue;
      ++matches;
      newest.push_back(line);
      if (newest.size() > most) newest.pop_front();
    }
    for (const std::string_view line : newest)
      lines.push_back({w, redacted(line.substr(0, kLongestLine))});
  }
  return {{"workers", job.workers()}, {"lines", std::move(lines)}, {"matches", matches}};
}

}  // namespace

ordered_json logs_of(const std::string& run, std::optional<std::uint32_t> worker,
                     const std::string& search) {
  std::optional<view::JobView> job;
  try {
    job = view::JobView::open(run);
  } catch (const Error& error) {
    if (error.code() == Code::unavailable || error.code() == Code::cancelled) throw;
    return {{"workers", 0},
            {"lines", ordered_json::array()},
            {"matches", 0},
            {"note", redacted(error.what())}};
  }
  return lines_of(*job, worker, search);
}

}  // namespace lambdaml::dashboard
