#include "lambdaml/job/compat_payload.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"

namespace lambdaml::job {
namespace {

using nlohmann::json;

constexpr std::array kPlaces{"data_bucket", "dataset", "train_file",     "test_file", "tmp_bucket",
                             "host",        "port",    "tmp_table_name", "cp_bucket"};
constexpr std::array kDropped{"n_features", "n_classes",   "merged_bucket", "merged_table_name",
                              "key_col",    "start_epoch", "worker_index",  "file"};

template <class Names>
bool is_in(const Names& names, const std::string& key) {
  return std::ranges::find(names, key) != names.end();
}

std::string payload_text(const json& payload, const char* key) {
  const auto it = payload.find(key);
  if (it == payload.end() || it->is_null()) return {};
  if (it->is_number_integer()) return json_text(*it);
  if (!it->is_string()) fail(Code::invalid_argument, "payload: '{}' must be a text", key);
  return it->get<std::string>();
}

bool has_only(std::string_view text, std::string_view marks) {
  return !text.empty() && std::ranges::all_of(text, [&](unsigned char c) {
    return (c < 0x80 && std::isalnum(c) != 0) || marks.find(static_cast<char>(c)) != marks.npos;
  });
}

/// The payload's text, which must look as S3's names of buckets do: later messages would name a URI
/// that the payload does not have. A prefix may follow.
std::string bucket_in(const json& payload, const char* key) {
  std::string place = payload_text(payload, key);
  const std::string_view bucket = std::string_view(place).substr(0, place.find('/'));
  if (!place.empty() && (bucket.size() < 3 || bucket.size() > 255 || !has_only(bucket, "-._") ||
                         bucket.front() == '.' || bucket.front() == '-' ||
                         bucket.find("..") != std::string_view::npos))
    fail(Code::invalid_argument, "payload: '{}': '{}' cannot be a bucket's name", key,
         without_secrets(place));
  return place;
}

std::string port_in(const json& payload) {
  const std::string port = payload_text(payload, "port");
  const std::optional<std::int64_t> number = to_integer(port);
  if (!port.empty() && (!number || *number < 1 || *number > 65535))
    fail(Code::invalid_argument, "payload: 'port' must be 1 to 65535, not '{}'", printable(port));
  return port;
}

/// Whether `host` is that of Memcached or of the parameter server: shown by the port numbers in the
/// original's guide, or by the lack of a bucket in hybrid jobs.
bool is_parameter_server(const std::string& port, const json& payload) {
  const bool has_bucket = !payload_text(payload, "tmp_bucket").empty() ||
                          !payload_text(payload, "merged_bucket").empty();
  return port == "27000" || (!port.empty() && port != "11211" && !has_bucket);
}

/// The payloads of the original's k-means jobs name no model; `n_clusters` tells them from those of
/// linear models, which always name theirs.
bool is_kmeans(const json& payload) {
  return payload_text(payload, "model").empty() && payload.contains("n_clusters");
}

}  // namespace

bool is_original_payload(const json& payload) {
  return payload.is_object() && (payload.contains("data_bucket") || payload.contains("tmp_bucket"));
}

void from_original_payload(const json& payload, Options& options) {
  if (!payload.is_object()) fail(Code::invalid_argument, "payload: not a JSON object");
  json known = json::object();
  for (const auto& [key, value] : payload.items())
    if (!value.is_null() && !is_in(kPlaces, key) && !is_in(kDropped, key)) known[key] = value;
  if (is_kmeans(payload)) known["model"] = "kmeans";
  from_json(known, "payload", options);

  const auto set = [&](const char* option, const std::string& value) {
    options.set(option, Option::Value(value), "payload");
  };
  const std::string bucket = bucket_in(payload, "data_bucket");
  if (bucket.empty()) fail(Code::invalid_argument, "payload: 'data_bucket' is missing");
  const auto set_file = [&](const char* option, const char* key) {
    const std::string place = fmt::format("s3://{}/{}", bucket, payload_text(payload, key));
    try {
      set(option, Uri::parse(place).text());
    } catch (const Error&) {
      rethrow_with(fmt::format("payload: '{}'", key));
    }
  };
  set_file("data", "train_file");
  if (!payload_text(payload, "test_file").empty()) set_file("test_data", "test_file");
  const std::string tmp_bucket = bucket_in(payload, "tmp_bucket");
  const std::string host = payload_text(payload, "host");
  if (!host.empty() && !has_only(host, "-._:[],"))
    fail(Code::invalid_argument, "payload: 'host': '{}' cannot be a host's name",
         without_secrets(host));
  const std::string port = port_in(payload);
  if (const std::string table = payload_text(payload, "tmp_table_name"); !table.empty()) {
    if (table.size() < 3 || table.size() > 255 || !has_only(table, "-._"))
      fail(Code::invalid_argument, "payload: 'tmp_table_name': '{}' cannot be a table's name",
           printable(table));
    set("channel", "dynamodb://" + table);
  } else if (!host.empty() && is_parameter_server(port, payload)) {
    set("channel", fmt::format("ps://{}:{}", host, port));
  } else if (!host.empty()) {
    set("channel", fmt::format("memcached://{}:{}", host, port.empty() ? "11211" : port));
  } else if (!tmp_bucket.empty()) {
    set("channel", "s3://" + tmp_bucket);
  }

  // Caches, tables and parameter servers keep no results, so those go to a bucket of the payload.
  if (const std::string place = bucket_in(payload, "cp_bucket"); !place.empty())
    set("checkpoint", "s3://" + place);
  else if (!options.text("channel").starts_with("s3://"))
    set("checkpoint", fmt::format("s3://{}/lambdaml", tmp_bucket.empty() ? bucket : tmp_bucket));
}

std::string in_words_of_original(std::string_view text) {
  const Options options = job_options();
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t flag = std::min(text.find("--", at), text.size());
    out += text.substr(at, flag - at);
    const std::string_view rest = text.substr(flag);
    const std::size_t end =
        std::min(rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"), rest.size());
    const std::string_view word = rest.substr(0, end);
    const Option* option = word.size() > 2 ? options.find(word.substr(2)) : nullptr;
    if (option == nullptr)
      out += word;
    else
      out += option->aliases.empty() ? option->name : option->aliases.front();
    at = flag + word.size();
  }
  return out;
}

}  // namespace lambdaml::job
