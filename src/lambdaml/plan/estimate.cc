#include "lambdaml/plan/estimate.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/data/places.h"
#include "lambdaml/data/source.h"
#include "lambdaml/plan/planner.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::plan {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostBytes = 16'000'000, kTextBytes = 4'000'000;
/// Rows of the pilots, a pass over which takes no longer than this.
constexpr std::size_t kMostRows = 4000, kLeastRows = 64;
constexpr double kPilot_s = 0.25;
/// Of the measurement; jobs whose single steps take longer are not estimated.
constexpr double kPatience_s = 2;

data::Dataset read(const data::Places& places, const Options& job) {
  return data::read(places, job.text("format"), 1, nullptr, job);
}

/// The rows of a text's first lines; `text` has no whole line of its end.
std::optional<Sample> sample_of_head(const Uri& uri, const Buffer& head, std::uint64_t bytes,
                                     const Options& job) {
  const std::size_t end = head.text().rfind('\n');
  if (end == std::string_view::npos || head.text().find('\0') != std::string_view::npos) return {};
  const Scratch folder("lambdaml-sample-");
  const fs::path file = folder.path() / uri.name();
  write_file(file, as_bytes(head.text().substr(0, end + 1)));
  Sample out{.rows = read(data::Places::parse(file.string()), job)};
  out.all_rows = static_cast<double>(out.rows.rows()) * static_cast<double>(bytes) /
                 static_cast<double>(end + 1);
  return out;
}

}  // namespace

Sample Sample::thinned(std::size_t n) const {
  const std::size_t all = rows.rows();
  if (n >= all) return *this;
  std::vector<std::uint32_t> order;
  for (std::size_t i = 0; i < n; ++i) order.push_back(static_cast<std::uint32_t>(i * all / n));
  return {data::take_rows(rows, order), all_rows};
}

std::optional<Sample> sample_of(const Options& job) {
  const data::Places places = data::Places::parse(job.text("data"));
  if (places.several()) return {};
  const Uri& uri = places.uris[0];
  if (const std::optional<data::Manifest> set = data::find_manifest(places)) {
    if (set->parts() == 0 || set->bytes / set->parts() > kMostBytes) return {};
    return Sample{data::read_part(*storage::open(uri), 0, *set), static_cast<double>(set->rows())};
  }
  const auto store = storage::open(uri.parent());
  const std::string name = uri.name();
  for (const storage::Entry& entry : store->list(name)) {
    if (entry.key != name) continue;
    if (entry.bytes > kMostBytes) {
      const std::optional<Buffer> head = store->load_range(name, 0, kTextBytes);
      return head ? sample_of_head(uri, *head, entry.bytes, job) : std::nullopt;
    }
    Sample out{.rows = read(places, job)};
    out.all_rows = static_cast<double>(out.rows.rows());
    return out;
  }
  return {};
}

Sample sample_or_all(const Options& job) {
  if (std::optional<Sample> cheap = sample_of(job)) return std::move(*cheap);
  Sample out{.rows = read(data::Places::parse(job.text("data")), job)};
  out.all_rows = static_cast<double>(out.rows.rows());
  return out;
}

std::optional<Estimate> estimate(const Options& job, const sim::Profile& profile) {
  Question question;
  question.job = job;
  question.job.set("test_data", Option::Value(std::string()), "test_data");
  for (const char* limit : {"deadline", "budget"})
    question.job.set(limit, Option::Value(0.0), limit);
  question.profile = profile;
  const std::string channel = job.is_set("channel")
                                  ? store_for_channel(profile, job.text("channel"))
                                  : profile.stores.front().name;
  question.channels = {channel};
  SimulatedWorld world;
  world.profile = profile;
  world.channel = channel;
  const Options resolved = in_world(question.job, world);
  if (!comm::registry().get(resolved.text("sync_mode")).bulk_synchronous) return {};
  const std::optional<Sample> sample = sample_of(job);
  if (!sample || sample->rows.rows() < kLeastRows) return {};
  const auto of_rows = [&](std::size_t n) {
    return std::make_shared<const data::Dataset>(sample->thinned(n).rows);
  };
  world.rows = of_rows(kMostRows);
  const Stopwatch clock;
  measure_work(resolved, world, kPilot_s);
  question.seconds_per_row = world.seconds_per_row;
  if (clock.seconds() > kPatience_s) return {};
  const double quick = kPilot_s / std::max(1e-9, question.seconds_per_row);
  if (quick < kLeastRows) return {};
  question.rows = of_rows(static_cast<std::size_t>(std::min<double>(quick, kMostRows)));
  question.all_rows = sample->all_rows;
  const Candidate found = estimate_as_it_is(question);
  return Estimate{found.seconds, found.usd, found.servers_usd, channel, profile.name};
}

}  // namespace lambdaml::plan
