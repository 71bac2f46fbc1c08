#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"

namespace lambdaml::job {

/// Whether a JSON object has keys that occur only in payloads of the original Python system.
bool is_original_payload(const nlohmann::json& payload);

/// Sets the options that such a payload specifies: buckets become s3://, host and port memcached://
/// or, for hybrid jobs, ps://, tables dynamodb://; most other keys are options under their own
/// names or aliases. A payload with `n_clusters` and without `model` is a k-means job. Without
/// `cp_bucket`, checkpoints and results of a job that meets elsewhere than in S3 go below
/// `lambdaml/` of `tmp_bucket`, or of `data_bucket`. Accepts and ignores keys whose values are
/// derived from the data (n_features, n_classes), assigned by the trigger (worker_index, file) or
/// not needed (merged_bucket, merged_table_name, key_col, start_epoch). Throws invalid_argument,
/// naming the payload's key.
void from_original_payload(const nlohmann::json& payload, Options& options);
/// A message with the options that it names as flags (--epochs) called as in such a payload
/// (n_epochs).
std::string in_words_of_original(std::string_view text);
/// A text would become a JSON string.
bool is_original_payload(const std::string&) = delete;
void from_original_payload(const std::string&, Options&) = delete;

}  // namespace lambdaml::job
