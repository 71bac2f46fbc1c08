#include "lambdaml/report/search_part.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <map>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/report/curves.h"
#include "lambdaml/report/model_part.h"
#include "lambdaml/report/options_part.h"
#include "lambdaml/report/search_now.h"
#include "lambdaml/tune/records.h"

namespace lambdaml::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMostPoints = 40'000;  ///< of the curves of all trials
constexpr std::size_t kLeastPoints = 20;     ///< of a trial's
constexpr std::size_t kMostPointsOfTrial = 300;

class SearchPart {
 public:
  SearchPart(const Source& source, const Request& request) : source_(source), request_(request) {}

  ordered_json item() {
    item_ = {{"kind", "search"}, {"place", source_.display()}, {"state", "unknown"}};
    ordered_json summary = ordered_json::object();
    if (const std::optional<Buffer> text = source_.read("summary.json")) {
      summary = parse_ordered_json(text->text());
      if (!summary.is_object()) {
        summary = ordered_json::object();
        note("summary.json is damaged.");
      } else {
        item_["state"] = "done";
      }
    }
    read_records(summary);
    ordered_json trials = summary.value("trials", ordered_json::array());
    if (!trials.is_array()) trials = ordered_json::array();
    summary.erase("trials");
    add_curves(trials);
    item_["search_id"] = text_at(summary, "search_id");
    item_["summary"] = std::move(summary);
    item_["metrics"] = metrics_json(text_at(item_["summary"], "model"));
    item_["trials"] = std::move(trials);
    item_["model"] = model_json(source_, request_.measures ? request_.data : std::string(),
                                !request_.data.empty(), nullptr, notes_);
    item_["notes"] = notes_;
    return std::move(item_);
  }

 private:
  template <class... Arguments>
  void note(fmt::format_string<Arguments...> form, Arguments&&... arguments) {
    notes_.push_back(fmt::format(form, std::forward<Arguments>(arguments)...));
  }

  /// Where the records are: below the folder, where its search.json says, or here.
  std::string place_of_records() const {
    if (source_.folder().empty()) return source_.place();
    const fs::path own = source_.folder() / "records";
    std::error_code error;
    if (fs::is_directory(own, error)) return own.string();
    const std::optional<Buffer> text = source_.read("search.json");
    const nlohmann::json pointer = parse_json(text ? text->text() : "");
    // The records themselves have no pointer.
    return pointer.is_object() && pointer.contains("records") ? text_at(pointer, "records")
                                                              : source_.place();
  }

  void read_records(ordered_json& summary) {
    try {
      tune::Records records(place_of_records());
      const std::optional<tune::Search> search = records.search();
      if (!search) return note("The search's records are not there.");
      add_settings(*search);
      if (summary.contains("trials")) return;
      summary = search_now(source_.place());
      item_["state"] = summary["state"];
      summary.erase("state");
      if (item_["state"] != "done")
        note("The search has not ended, so its trials are shown as they are now.");
      if (std::string advice = text_at(summary, "advice"); !advice.empty()) {
        advice.front() =
            static_cast<char>(std::toupper(static_cast<unsigned char>(advice.front())));
        note("{}.", advice);
      }
      summary.erase("advice");
    } catch (const Error& error) {
      note("The search's records cannot be read: {}", error.what());
    }
  }

  void add_settings(const tune::Search& search) {
    const Options settings = search.settings.without_passwords();
    item_["settings"] = options_json(settings);
    item_["options"] = options_json(search.job.without_passwords());
    item_["repeat"] = command_of_search(settings);
    item_["job_file"] = tune::job_file_of(search);
    item_["higher_is_better"] = tune::higher_is_better(search);
    ordered_json space = ordered_json::array();
    for (const tune::Parameter& parameter : search.space.parameters())
      space.push_back({{"name", parameter.name},
                       {"kind", tune::kind_name(parameter.kind)},
                       {"low", parameter.low},
                       {"high", parameter.high}});
    item_["space"] = std::move(space);
  }

  /// Of a trial, by fold (0 without folds) and by the epochs to which its segments went.
  using FoldersOfTrial = std::map<std::uint64_t, std::map<std::uint64_t, fs::path>>;

  /// The trials' run folders: NUMBER-EPOCHS or, with folds, NUMBER-EPOCHS-FOLD.
  std::map<std::uint64_t, FoldersOfTrial> folders_of_trials() const {
    std::map<std::uint64_t, FoldersOfTrial> out;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(source_.folder() / "trials", error)) {
      std::vector<std::uint64_t> numbers;
      for (const std::string& part : split(entry.path().filename().string(), '-')) {
        const std::size_t zeros = std::min(part.find_first_not_of('0'), part.size() - 1);
        const auto number =
            part.empty() ? std::nullopt : to_integer(std::string_view(part).substr(zeros));
        if (!number || *number < 0) break;
        numbers.push_back(static_cast<std::uint64_t>(*number));
      }
      if (numbers.size() < 2 || numbers.size() > 3) continue;
      out[numbers[0]][numbers.size() == 3 ? numbers[2] : 0][numbers[1]] = entry.path();
    }
    return out;
  }

  void add_curves(ordered_json& trials) {
    if (source_.folder().empty()) return;
    const auto folders = folders_of_trials();
    const std::size_t most = std::clamp(kMostPoints / std::max<std::size_t>(1, trials.size()),
                                        kLeastPoints, kMostPointsOfTrial);
    std::uint64_t every = 1;
    for (ordered_json& trial : trials) {
      if (!trial.is_object()) continue;
      const auto found = folders.find(count_at(trial, "trial"));
      if (found == folders.end()) continue;
      add_curves_of(trial, found->second, most, every);
    }
    if (every > 1) note("The curves of trials show some of the epochs, down to one in {}.", every);
  }

  /// One fold's curves follow those of the other.
  static void add_curves_of(ordered_json& trial, const FoldersOfTrial& folders, std::size_t most,
                            std::uint64_t& every) {
    std::string text;
    std::optional<fs::file_time_type> end;
    for (const auto& [fold, segments] : folders) {
      // The folder of a segment has the epochs of those before it too.
      std::string newest;
      for (const auto& [epochs, folder] : segments) {
        const std::optional<Buffer> lines = read_file(folder / "metrics.jsonl");
        if (lines && !lines->empty()) newest = lines->text();
        std::error_code error;
        const auto time = fs::last_write_time(folder / "summary.json", error);
        if (!error && (!end || time > *end)) end = time;
      }
      text += newest;
    }
    if (end)
      trial["ended_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(
                              std::chrono::file_clock::to_sys(*end).time_since_epoch())
                              .count();
    const Curves curves = read_curves(text, most);
    every = std::max(every, curves.every);
    if (!curves.epoch.empty()) trial["curves"] = curves.to_json();
  }

  const Source& source_;
  const Request& request_;
  ordered_json item_;
  ordered_json notes_ = ordered_json::array();
};

}  // namespace

ordered_json search_json(const Source& source, const Request& request) {
  return SearchPart(source, request).item();
}

}  // namespace lambdaml::report
