#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

/// A search as it is now, from outside: its records, and what its running trials' jobs tell.
namespace lambdaml::report {

/// Whether a place is a search, and not a run: its folder, or the URI of its records. One GET of a
/// place in a store.
bool is_search(const std::string& place);

/// One JSON object: as the summary of a finished search (tune/report.h), of which it is a copy if
/// the search has ended, and `state`: done, running, interrupted, or, where that cannot be seen,
/// "not ended"; advice for an interrupted one in a folder. Before the end a running trial counts
/// with the epochs, time, dollars and metrics that its job has so far, and cost_so_far_usd and, if
/// some epochs are done, left_s and cost_usd_at_end are there (estimates: as if the other trials
/// took as long per epoch). Costs one LIST, a GET per segment, and per running trial what
/// JobView::status() costs. Throws not_found, data_corrupt, and what the stores throw.
nlohmann::ordered_json search_now(const std::string& place);

}  // namespace lambdaml::report
