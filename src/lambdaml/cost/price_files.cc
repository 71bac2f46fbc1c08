#include "lambdaml/cost/price_files.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <optional>
#include <set>
#include <span>

#include <nlohmann/json.hpp>

#include "lambdaml/aws/wire.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::cost {
namespace {

using nlohmann::json;

constexpr const char* kHome = "us-east-1";
constexpr std::size_t kMostFile = 64u << 20;
constexpr double kFile_s = 300;
constexpr int kTries = 3;
constexpr double kPause_s = 1;
/// A price that differs more from that of us-east-1 is a misread one: per thousand, another unit.
constexpr double kMostRatio = 100;
constexpr std::string_view kFiles = "/offers/v1.0/aws/";

/// The products that have the price of an entry: all attributes must be the same. `unit` is what
/// the price is for, as the files call it.
struct Selector {
  const char* service;
  const char* unit;
  const char* offer;
  std::vector<std::pair<const char*, const char*>> attributes;
};

const std::vector<Selector>& selectors() {
  constexpr const char* kFamily = "productFamily";
  constexpr const char* kPerRequest = "Amazon DynamoDB PayPerRequest Throughput";
  static const std::vector<Selector> all = {
      {"lambda", "gb_second", "AWSLambda", {{"group", "AWS-Lambda-Duration"}}},
      {"lambda", "request", "AWSLambda", {{"group", "AWS-Lambda-Requests"}}},
      {"lambda_arm64", "gb_second", "AWSLambda", {{"group", "AWS-Lambda-Duration-ARM"}}},
      {"lambda_arm64", "request", "AWSLambda", {{"group", "AWS-Lambda-Requests-ARM"}}},
      {"s3", "put", "AmazonS3", {{"group", "S3-API-Tier1"}}},
      {"s3", "list", "AmazonS3", {{"group", "S3-API-Tier1"}}},
      {"s3", "get", "AmazonS3", {{"group", "S3-API-Tier2"}}},
      {"dynamodb",
       "write_unit",
       "AmazonDynamoDB",
       {{kFamily, kPerRequest}, {"group", "DDB-WriteUnits"}}},
      {"dynamodb",
       "read_unit",
       "AmazonDynamoDB",
       {{kFamily, kPerRequest}, {"group", "DDB-ReadUnits"}}}};
  return all;
}

/// How the entry is found; nullopt for one that is not in the files, or not known how.
std::optional<Selector> selector_of(const std::string& service, const std::string& unit) {
  for (const Selector& selector : selectors())
    if (service == selector.service && unit == selector.unit) return selector;
  if (service.starts_with("cache.") && unit == "hour")
    return Selector{"cache.",
                    "hour",
                    "AmazonElastiCache",
                    {{"productFamily", "Cache Instance"}, {"cacheEngine", "Redis"}}};
  return {};
}

bool is_plain(std::string_view text, std::string_view more) {
  return !text.empty() && text.size() <= 300 && std::ranges::all_of(text, [&](const char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
}

/// Reads files one after another over one connection.
class Reader {
 public:
  Reader(std::string from, const Say& say) : from_(std::move(from)), say_(say) {
    while (from_.ends_with("/")) from_.pop_back();
    const std::size_t scheme = from_.find("://");
    const std::string host = scheme == std::string::npos ? "" : from_.substr(scheme + 3);
    if (!(from_.starts_with("https://") || from_.starts_with("http://")) ||
        !is_plain(host, ".-:[]"))
      fail(Code::invalid_argument,
           "--from '{}': give the address of a server of Price List files, https://HOST",
           printable(from_));
  }

  json read(const std::string& path) {
    const std::string url = from_ + path;
    if (say_) say_("reading " + url);
    const std::string body = text_of(url);
    json value = parse_json(body);
    if (!value.is_object())
      fail(Code::data_corrupt, "{}: it is no JSON object, or has too many values", url);
    return value;
  }

 private:
  std::string text_of(const std::string& url) {
    for (int tried = 1;; ++tried) {
      lambdaml::aws::Exchange exchange;
      exchange.method = "GET";
      exchange.url = url;
      exchange.most_bytes = kMostFile;
      wire_.perform(exchange, kFile_s);
      const int status = exchange.response.status;
      if (exchange.failure.empty() && status == 200)
        return std::string(exchange.response.body.text());
      const bool may_pass = exchange.failure.empty() ? status == 429 || status >= 500
                                                     : exchange.failure_code == Code::unavailable;
      if (may_pass && tried < kTries) {
        pause_for(kPause_s);
        continue;
      }
      if (!exchange.failure.empty()) fail(exchange.failure_code, "{}: {}", url, exchange.failure);
      fail(status == 403 || status == 404 ? Code::not_found : Code::unavailable,
           "{}: the server answered {}", url, status);
    }
  }

  std::string from_;
  const Say& say_;
  lambdaml::aws::Wire wire_{{.connect_timeout_s = 10}};
};

/// Region → path of its file.
std::map<std::string, std::string> files_of(Reader& reader, const std::string& offer) {
  const std::string path = fmt::format("{}{}/current/region_index.json", kFiles, offer);
  const json index = reader.read(path);
  std::map<std::string, std::string> files;
  const auto regions = index.find("regions");
  if (regions == index.end() || !regions->is_object())
    fail(Code::data_corrupt, "{}: it has no regions", path);
  for (const auto& [region, entry] : regions->items()) {
    const std::string file = entry.is_object() ? text_at(entry, "currentVersionUrl") : "";
    if (!is_plain(region, "-") || !file.starts_with(kFiles) || !is_plain(file, "/.-_") ||
        file.find("..") != std::string::npos)
      fail(Code::data_corrupt, "{}: what it says of the region '{}' is no file", path,
           printable(region, 60));
    files[region] = file;
  }
  return files;
}

/// The first price of the product's on-demand terms that is not 0: of its first tier, after what is
/// free.
std::optional<double> price_of(const json& offer, const std::string& sku) {
  std::optional<std::pair<double, double>> least;  // where its range begins, and the price
  for (const auto& term : offer.at("terms").at("OnDemand").at(sku)) {
    for (const auto& dimension : term.at("priceDimensions")) {
      const std::optional<double> dollars =
          to_real(dimension.at("pricePerUnit").at("USD").get<std::string>());
      const std::optional<double> from = to_real(text_at(dimension, "beginRange", "0"));
      if (!dollars || !from || !std::isfinite(*dollars) || *dollars < 0)
        fail(Code::data_corrupt, "the product {} has a price that is no number",
             printable(sku, 60));
      if (*dollars > 0 && (!least || *from < least->first)) least = {*from, *dollars};
    }
  }
  return least ? std::optional(least->second) : std::nullopt;
}

bool fits(const json& product, const Selector& selector, const std::string& service,
          const std::string& region) {
  const json& attributes = product.at("attributes");
  // Free tiers are products of no region; edge locations and local zones have other prices.
  if (text_at(attributes, "regionCode") != region || text_at(attributes, "location") == "Any" ||
      text_at(attributes, "locationType", "AWS Region") != "AWS Region")
    return false;
  for (const auto& [name, value] : selector.attributes) {
    const bool is_own = std::string_view(name) == "productFamily";
    if (text_at(is_own ? product : attributes, name) != value) return false;
  }
  if (std::string_view(selector.service) != "cache.") return true;
  // Not those of extended support, of other engines' versions or of Outposts.
  return text_at(attributes, "instanceType") == service &&
         text_at(attributes, "usagetype").ends_with("NodeUsage:" + service);
}

/// The prices of the products that fit; more than one: the attributes no longer say which.
std::set<double> find_prices(const json& offer, const Selector& selector,
                             const std::string& service, const std::string& region,
                             const std::string& file) {
  std::set<double> found;
  try {
    for (const auto& [sku, product] : offer.at("products").items())
      if (fits(product, selector, service, region))
        if (const std::optional<double> price = price_of(offer, sku)) found.insert(*price);
  } catch (const json::exception& error) {
    fail(Code::data_corrupt, "{}: it is no Price List file: {}", file, printable(error.what()));
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", file, error.what());
  }
  return found;
}

std::string today() {
  const std::time_t now = std::chrono::system_clock::to_time_t(wall_now());
  std::tm date{};
  gmtime_r(&now, &date);
  return fmt::format("{:04}-{:02}-{:02}", date.tm_year + 1900, date.tm_mon + 1, date.tm_mday);
}

std::string yaml_of(const Prices::Regions& regions, const std::vector<std::string>& sources,
                    const UpdatedPrices& updated) {
  std::string yaml =
      "# List prices in US dollars, in the form of lambdaml's prices.yaml; written by\n"
      "# `lambdaml prices update`, which replaces the file.\n";
  for (const std::string& source : sources) yaml += "# From " + source + "\n";
  for (const std::string& entry : updated.kept) yaml += "# Not from there: " + entry + "\n";
  for (const std::string& entry : updated.gone) yaml += "# Not there: " + entry + "\n";
  yaml += fmt::format("date: {}\nregions:\n", today());
  for (const auto& [region, services] : regions) {
    yaml += fmt::format("  {}:\n", region);
    for (const auto& [service, units] : services) {
      std::vector<std::string> prices;
      for (const auto& [unit, dollars] : units)
        prices.push_back(fmt::format("{}: {}", unit, dollars));
      yaml += fmt::format("    {}: {{{}}}\n", service, join(prices, ", "));
    }
  }
  return yaml;
}

class Update {
 public:
  Update(const Prices& present, const PriceUpdate& update, const Say& say)
      : present_(present), wanted_(update.regions), reader_(update.from, say) {}

  UpdatedPrices run() {
    choose_regions();
    for (const Prices& table : {Prices::built_in(), present_})
      for (const auto& [service, units] : table.regions().at(kHome))
        for (const auto& [unit, dollars] : units) usual_[service][unit] = dollars;
    for (const auto& [service, units] : usual_)
      for (const auto& [unit, dollars] : units)
        if (const auto selector = selector_of(service, unit))
          entries_[selector->offer].push_back({service, unit, *selector});
        else
          for (const std::string& region : regions_) keep(region, service, unit, "");
    for (const auto& [offer, entries] : entries_) read(offer, entries);
    tell_rows_of_regions();
    UpdatedPrices out{.yaml = {}, .prices = present_, .kept = kept_, .gone = gone_};
    std::ranges::sort(out.kept);
    std::ranges::sort(out.gone);
    out.yaml = yaml_of(table_, sources_, out);
    out.prices = Prices::parse(out.yaml, "the new table");
    return out;
  }

 private:
  struct Entry {
    std::string service, unit;
    Selector selector;
  };

  void choose_regions() {
    files_["AWSLambda"] = files_of(reader_, "AWSLambda");
    if (!files_["AWSLambda"].contains(kHome))
      fail(Code::data_corrupt, "the Price List files of AWSLambda have no {}", kHome);
    for (const auto& [region, services] : present_.regions())
      if (files_["AWSLambda"].contains(region))
        regions_.insert(region);
      else
        gone_.push_back(region);
    for (const std::string& region : wanted_) {
      if (region == "all") {
        for (const auto& [known, file] : files_["AWSLambda"]) regions_.insert(known);
        continue;
      }
      if (!files_["AWSLambda"].contains(region))
        fail(Code::invalid_argument, "--region {}: AWS Lambda has no prices there",
             printable(region, 60));
      regions_.insert(region);
    }
  }

  bool is_present(const std::string& region, const std::string& service,
                  const std::string& unit) const {
    const auto there = present_.regions().find(region);
    return there != present_.regions().end() && there->second.contains(service) &&
           there->second.at(service).contains(unit);
  }

  /// The present table's price, of another region where it lacks this one.
  void keep(const std::string& region, const std::string& service, const std::string& unit,
            const std::string& why) {
    const bool has = is_present(region, service, unit);
    table_[region][service][unit] =
        has ? present_.regions().at(region).at(service).at(unit) : usual_.at(service).at(unit);
    kept_.push_back(fmt::format("{} {} {}{}{}", region, service, unit, why,
                                has ? fmt::format(", of {}", present_.date())
                                    : fmt::format(", that of {} of {}", kHome, present_.date())));
  }

  void read(const std::string& offer, const std::vector<Entry>& entries) {
    if (!files_.contains(offer)) files_[offer] = files_of(reader_, offer);
    for (const std::string& region : regions_) {
      const auto file = files_[offer].find(region);
      if (file == files_[offer].end()) {
        for (const Entry& entry : entries) leave_out(entry, region, offer);
        continue;
      }
      const json prices = reader_.read(file->second);
      if (text_at(prices, "offerCode") != offer)
        fail(Code::data_corrupt, "{}: it is no Price List file of {}", file->second, offer);
      sources_.push_back(fmt::format("{} ({})", file->second,
                                     printable(text_at(prices, "publicationDate", "no date"), 40)));
      for (const Entry& entry : entries) take(prices, entry, region, file->second);
    }
  }

  void take(const json& prices, const Entry& entry, const std::string& region,
            const std::string& file) {
    const std::set<double> found = find_prices(prices, entry.selector, entry.service, region, file);
    if (found.empty()) return leave_out(entry, region, file);
    if (found.size() > 1)
      return keep(region, entry.service, entry.unit,
                  fmt::format(" ({} prices there)", found.size()));
    const double price = *found.begin();
    const double usual = usual_.at(entry.service).at(entry.unit);
    if (usual > 0 && (price > kMostRatio * usual || price < usual / kMostRatio))
      fail(Code::data_corrupt,
           "{}: {} {} costs ${:g}, and ${:g} in the present table: that cannot be the same unit",
           file, entry.service, entry.unit, price, usual);
    table_[region][entry.service][entry.unit] = price;
  }

  /// What AWS no longer sells has no price. That must not be mistaken for files of another form:
  /// what has no price counts as free.
  void leave_out(const Entry& entry, const std::string& region, const std::string& file) {
    if (region == kHome && !entry.service.starts_with("cache."))
      fail(Code::data_corrupt,
           "{}: it has no price of {} {} in {}: files of a form that this program does not know",
           file, entry.service, entry.unit, kHome);
    gone_.push_back(fmt::format("{} {} {}", region, entry.service, entry.unit));
  }

  /// Rows that other regions of the present table have and us-east-1 lacks are in no new table.
  void tell_rows_of_regions() {
    for (const auto& [region, services] : present_.regions())
      for (const auto& [service, units] : services)
        for (const auto& [unit, dollars] : units)
          if (regions_.contains(region) &&
              !(usual_.contains(service) && usual_.at(service).contains(unit)))
            gone_.push_back(fmt::format("{} {} {}", region, service, unit));
  }

  const Prices& present_;
  const std::vector<std::string>& wanted_;
  Reader reader_;
  std::set<std::string> regions_;
  std::map<std::string, std::map<std::string, std::string>> files_;  ///< offer → region → file
  std::map<std::string, std::vector<Entry>> entries_;                ///< by offer
  /// What is looked up, with the dollars of us-east-1 until now: service → unit → dollars.
  std::map<std::string, std::map<std::string, double>> usual_;
  Prices::Regions table_;
  std::vector<std::string> sources_, kept_, gone_;
};

}  // namespace

UpdatedPrices read_price_files(const Prices& present, const PriceUpdate& update, const Say& say) {
  return Update(present, update, say).run();
}

}  // namespace lambdaml::cost
