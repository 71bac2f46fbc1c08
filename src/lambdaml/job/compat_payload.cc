#include "lambdaml/job/compat_payload.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/job_file.h"

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
  const std::string bucket = payload_text(payload, "data_bucket");
  if (bucket.empty()) fail(Code::invalid_argument, "payload: 'data_bucket' is missing");
  const std::string train_file = payload_text(payload, "train_file");
  set("data",
      train_file.empty() ? "s3://" + bucket : fmt::format("s3://{}/{}", bucket, train_file));
  if (const std::string file = payload_text(payload, "test_file"); !file.empty())
    set("test_data", fmt::format("s3://{}/{}", bucket, file));
  const std::string tmp_bucket = payload_text(payload, "tmp_bucket");
  const std::string host = payload_text(payload, "host");
  const std::string port = payload_text(payload, "port");
  if (const std::string table = payload_text(payload, "tmp_table_name"); !table.empty())
    set("channel", "dynamodb://" + table);
  else if (!host.empty() && is_parameter_server(port, payload))
    set("channel", fmt::format("ps://{}:{}", host, port));
  else if (!host.empty())
    set("channel", fmt::format("memcached://{}:{}", host, port.empty() ? "11211" : port));
  else if (!tmp_bucket.empty())
    set("channel", "s3://" + tmp_bucket);

  // Caches, tables and parameter servers keep no results, so those go to a bucket of the payload.
  if (const std::string place = payload_text(payload, "cp_bucket"); !place.empty())
    set("checkpoint", "s3://" + place);
  else if (!options.text("channel").starts_with("s3://"))
    set("checkpoint", fmt::format("s3://{}/lambdaml", tmp_bucket.empty() ? bucket : tmp_bucket));
}

}  // namespace lambdaml::job
