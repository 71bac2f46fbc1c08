#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace lambdaml::cli {

/// The dollars in what is known of a job or search: at its end, or so far and at the end, both
/// estimated: `~$0.01 of $0.3`. Empty if they are not known.
std::string dollars_of(const nlohmann::json& known);

/// The search's best value: `valid_loss 0.61 (trial 3)`; empty if no trial has one. `search` is
/// what report::search_now() returns, here and below.
std::string best_of_search(const nlohmann::json& search);

/// What the best trial was given: `lr=0.3119 model=svm`; empty if no trial has a value.
std::string best_options_of_search(const nlohmann::json& search);

/// How a search stands, for `lambdaml status`.
std::vector<std::string> lines_of_search(const nlohmann::json& search);

}  // namespace lambdaml::cli
