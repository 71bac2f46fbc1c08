#include "lambdaml/tune/records.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::tune {
namespace {

constexpr const char* kSearch = "search.json";
constexpr const char* kSummary = "summary.json";
constexpr const char* kSegments = "legs/";

std::string segment_key(std::size_t index) { return fmt::format("{}{:06}.json", kSegments, index); }

}  // namespace

Records::Records(const std::string& uri)
    : uri_(Uri::parse(uri).text()), store_(storage::open(uri_)) {}

std::string Records::trials_uri() const { return (Uri::parse(uri_) / "trials").text(); }

std::string Records::data_uri(const std::string& kind, std::uint64_t workers) const {
  return (Uri::parse(uri_) / kind / std::to_string(workers)).text();
}

std::optional<Search> Records::search() {
  if (begun_) return begun_;
  const std::optional<Buffer> text = store_->load(kSearch);
  if (!text) return {};
  return Search::from_json(text->text(), store_->describe() + ": " + kSearch);
}

void Records::begin(const Search& search) {
  store_->save(kSearch, as_bytes(search.to_json()));
  begun_ = search;
}

std::vector<Segment> Records::segments() {
  std::vector<std::string> keys;
  for (const storage::Entry& entry : store_->list(kSegments)) {
    keys.push_back(entry.key);
    if (entry.key != segment_key(keys.size() - 1))
      fail(Code::data_corrupt, "{}: {} is missing", store_->describe(),
           segment_key(keys.size() - 1));
  }
  std::vector<Segment> segments;
  for (const Buffer& text : store_->load_all(keys, Deadline::in(30)))
    segments.push_back(
        Segment::from_json(text.text(), store_->describe() + ": " + keys[segments.size()]));
  return segments;
}

void Records::save(std::size_t index, const Segment& segment) {
  store_->save(segment_key(index), as_bytes(segment.to_json()));
}

std::optional<nlohmann::ordered_json> Records::summary() {
  const std::optional<Buffer> text = store_->load(kSummary);
  if (!text) return {};
  nlohmann::ordered_json summary = parse_ordered_json(text->text());
  if (!summary.is_object())
    fail(Code::data_corrupt, "{}: {}: it is no summary of a search", store_->describe(), kSummary);
  return summary;
}

void Records::finish(const nlohmann::ordered_json& summary) {
  for (const char* prefix : {"data/", "test/", "trials/"}) store_->clear(prefix);
  store_->save(kSummary, as_bytes(json_text(summary)));
}

}  // namespace lambdaml::tune
