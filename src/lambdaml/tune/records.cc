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
constexpr const char* kLegs = "legs/";

std::string leg_key(std::size_t index) { return fmt::format("{}{:06}.json", kLegs, index); }

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

std::vector<Leg> Records::legs() {
  std::vector<std::string> keys;
  for (const storage::Entry& entry : store_->list(kLegs)) {
    keys.push_back(entry.key);
    if (entry.key != leg_key(keys.size() - 1))
      fail(Code::data_corrupt, "{}: {} is missing", store_->describe(), leg_key(keys.size() - 1));
  }
  std::vector<Leg> legs;
  for (const Buffer& text : store_->load_all(keys, Deadline::in(30)))
    legs.push_back(Leg::from_json(text.text(), store_->describe() + ": " + keys[legs.size()]));
  return legs;
}

void Records::save(std::size_t index, const Leg& leg) {
  store_->save(leg_key(index), as_bytes(leg.to_json()));
}

std::optional<std::string> Records::summary() {
  const std::optional<Buffer> text = store_->load(kSummary);
  if (!text) return {};
  if (!parse_json(text->text()).is_object())
    fail(Code::data_corrupt, "{}: {}: it is no summary of a search", store_->describe(), kSummary);
  return std::string(text->text());
}

void Records::finish(const std::string& summary) {
  for (const char* prefix : {"data/", "test/", "trials/"}) store_->clear(prefix);
  store_->save(kSummary, as_bytes(summary));
}

}  // namespace lambdaml::tune
