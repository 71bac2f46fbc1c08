#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/moment.h"
#include "apps/cli/search_status.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/dashboard/places.h"
#include "lambdaml/report/search_now.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::cli {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_uri(const std::string& where) { return where.find("://") != std::string::npos; }

/// The searches in a folder, or below a URI.
std::vector<std::string> searches_in(const std::string& where) {
  std::vector<std::string> out;
  const auto folder = storage::local_file(Uri::parse(where));
  for (const dashboard::Place& place : dashboard::find_places(where).places) {
    if (place.kind != dashboard::Place::Kind::search) continue;
    if (is_uri(where))
      out.push_back(place.where);
    else if (folder && folder->string() == place.where)
      out.push_back(where);
    else
      out.push_back((fs::path(where) / fs::path(place.where).filename()).string());
  }
  std::ranges::sort(out);
  return out;
}

json search_row(const std::string& place) {
  json row{{"run", utf8_path(place)}};
  try {
    const json known(report::search_now(place));
    for (const char* name : {"search_id", "state", "strategy", "metric", "best_trial",
                             "trials_done", "trials_stopped", "trials_failed", "trials_running",
                             "begun_ms", "left_s", "cost_so_far_usd", "cost_usd_at_end"})
      if (known.contains(name)) row[name] = known[name];
    if (known.contains("search_wall_s")) row["elapsed_s"] = known["search_wall_s"];
    const std::string metric = text_at(known, "metric");
    if (known.contains(metric)) row[metric] = known[metric];
    if (text_at(known, "state") == "done" && known.contains("search_cost_usd"))
      row["cost_usd"] = known["search_cost_usd"];
    row["trials"] = known.value("trials", json::array()).size();
  } catch (const Error& error) {
    row["state"] = "unknown";
    row["error"] = error.what();
  }
  return row;
}

/// When it began, and how long it has run as far as is known.
std::string times_of(const json& row) {
  return fmt::format(
      "{:<16}  {:>8}",
      row.contains("begun_ms") ? local_time(count_at(row, "begun_ms")).substr(0, 16) : "",
      row.contains("elapsed_s") ? human_seconds(number_at(row, "elapsed_s")) : "");
}

/// A search or run of which nothing more can be said.
void print_unknown(const json& row) {
  print_line(fmt::format("{:<12} {}: {}", text_at(row, "state"), text_at(row, "run"),
                         text_at(row, "error")));
}

void print_search(const json& row) {
  const std::string best = best_of_search(row);
  print_line(fmt::format("{:<12} {:<10} {:<10} {:>4} trials   {}  {:<20}  {}{}",
                         text_at(row, "state"), "search", text_at(row, "strategy"),
                         count_at(row, "trials"), times_of(row), dollars_of(row),
                         text_at(row, "run"), best.empty() ? "" : "  best " + best));
}

}  // namespace

void add_ls_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "ls", "the jobs and searches of a folder or store");
  const auto where = std::make_shared<std::string>("runs");
  command->add_option("WHERE", *where,
                      "a folder of runs or checkpoints, or a checkpoint URI; default: runs");
  command->callback([where, &globals] {
    json all = json::array(), searches = json::array();
    Uri::parse(*where);  // a slip in a URI is no folder
    const std::vector<std::string> runs = view::JobView::list(*where);
    const std::vector<std::string> places = searches_in(*where);
    for (const std::string& place : places) {
      searches.push_back(search_row(place));
      if (globals.json) continue;
      if (searches.back().contains("error"))
        print_unknown(searches.back());
      else
        print_search(searches.back());
    }
    for (const std::string& run : runs) {
      // The jobs of a search's trials belong to it.
      if (std::ranges::any_of(places, [&](const std::string& place) {
            return Uri::parse(run).text().starts_with(Uri::parse(place).text() + "/");
          }))
        continue;
      nlohmann::ordered_json status{{"run", utf8_path(run)}};
      try {
        const nlohmann::ordered_json known = view::JobView::open(run).status();
        for (const char* name :
             {"job_id", "state", "model", "optim", "workers", "epochs", "metrics", "begun_ms",
              "elapsed_s", "left_s", "cost_so_far_usd", "cost_usd_at_end"})
          if (known.contains(name)) status[name] = known[name];
        if (const auto summary = known.find("summary"); summary != known.end())
          for (const auto& [name, of_summary] :
               {std::pair("cost_usd", "cost_usd"), std::pair("elapsed_s", "wall_s")})
            if (summary->contains(of_summary)) status[name] = (*summary)[of_summary];
      } catch (const Error& error) {
        status["state"] = "unknown";
        status["error"] = error.what();
      }
      if (!globals.json && status.contains("error"))
        print_unknown(json(status));
      else if (!globals.json)
        print_line(fmt::format("{:<12} {:<10} {:<10} {:>4} workers  {}  {:<20}  {}",
                               text_at(status, "state"), text_at(status, "model"),
                               text_at(status, "optim"), count_at(status, "workers"),
                               times_of(json(status)), dollars_of(json(status)), utf8_path(run)));
      all.push_back(nlohmann::json(status));
    }
    if (all.empty() && searches.empty() && !globals.json)
      print_line(fmt::format("no jobs in {}", without_secrets(*where)));
    if (globals.json) print_json(json_text(json{{"runs", all}, {"searches", searches}}));
  });
}

}  // namespace lambdaml::cli
