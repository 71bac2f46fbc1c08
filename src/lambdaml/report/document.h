#pragma once

#include <span>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace lambdaml::report {

struct Request {
  /// Rows to measure the models with: a path or URI; empty: the run's own test data, if they are a
  /// file of this machine of at most 256 MB.
  std::string data;
  bool measures = true;  ///< false: reads no data
};

/// What a report shows of the runs and searches in `places`: one JSON object with `version` (of
/// this form: 1), `program`, `made` (UTC) and `items`, one object per place
/// (docs/how-to/report.md). What is damaged, missing or from an old version is named in an item's
/// `notes`, and the rest is there. Contains no secrets. Throws not_found for a place with nothing
/// of a run or search, what reading and measuring Request::data throws, and what the stores throw.
nlohmann::ordered_json document_of(std::span<const std::string> places, const Request& request);

/// When a run's workers did what, in the Chrome trace event format. Throws not_found if the run has
/// no workers.jsonl, invalid_argument for a search, and what the stores throw.
std::string trace_of(const std::string& place);

}  // namespace lambdaml::report
