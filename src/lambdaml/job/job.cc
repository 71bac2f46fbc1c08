#include "lambdaml/job/job.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/data/places.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/optimizer_choice.h"
#include "lambdaml/job/stop_condition.h"
#include "lambdaml/job/unused_options.h"
#include "lambdaml/model/reporting.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::job {
namespace {

/// Throws if the job will never report that metric.
void check_until(const std::string& metric, const Options& options, const model::Plugin& model) {
  const auto never = [&](const std::string& why) {
    fail(Code::invalid_argument, "until '{}': there will be no {}: {}", options.text("until"),
         metric, why);
  };
  const std::vector<model::ReportedMetric> all = model::epoch_metrics(model);
  const model::ReportedMetric* reported = model::find(all, metric);
  if (reported == nullptr)
    never(fmt::format("{} has {}", model.name, model::describe_epoch_metrics(model)));
  if (reported->rows == model::RowSet::valid && options.real("valid_ratio") == 0 &&
      options.integer("folds") == 0)
    never("valid_ratio is 0");
  if (reported->rows == model::RowSet::test && options.text("test_data").empty())
    never("give --test-data");
}

/// Parses `NAME:FILE` as a value of --model.
void split_model_file(Options& options) {
  const std::string text = options.text("model");
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return;
  const model::Plugin& plugin = model::registry().get(text.substr(0, colon));
  options.set("model", Option::Value(plugin.name), "model");
  options.set(plugin.file_option, Option::Value(text.substr(colon + 1)), "model");
}

/// Events and records are JSON, which holds places of other bytes only as URIs.
void require_utf8(const Options& options) {
  for (const Option& option : options.declared()) {
    const auto* text = std::get_if<std::string>(&options.value(option.name));
    if (text != nullptr && option.name != "output" && !is_utf8(*text))
      fail(Code::invalid_argument, "{} '{}': it is not UTF-8", option.name, printable(*text));
  }
}

/// Sets the model's and then the optimizer's defaults of options of their own, of the job and of
/// this model.
void set_defaults(Options& options, const model::Plugin& model) {
  const auto declares = [](const model::Plugin& plugin, const std::string& name) {
    return std::ranges::find(plugin.options, name, &Option::name) != plugin.options.end();
  };
  const auto set = [&](const auto& defaults, const std::string& origin) {
    if (!defaults) return;
    for (const auto& [name, value] : defaults(options)) {
      const bool is_a_models = std::ranges::any_of(
          model::registry().entries(),
          [&, &option = name](const model::Plugin& plugin) { return declares(plugin, option); });
      if (options.is_set(name) || (is_a_models && !declares(model, name))) continue;
      options.parse(name, value, origin);
    }
  };
  const optim::Plugin& optimizer = optim::registry().get(options.text("optim"));
  set(model.defaults, "model " + model.name);
  set(optimizer.defaults, "optim " + optimizer.name);
}

/// Workers that do not wait have models of their own, of which none is the best epoch's.
void check_patience(const Options& options) {
  const std::string& mode = options.text("sync_mode");
  if (options.integer("patience") > 0 && !comm::registry().get(mode).bulk_synchronous)
    fail(Code::invalid_argument,
         "patience needs workers that wait for each other, and those of sync_mode {} do not: use "
         "--sync-mode reduce, or --until",
         mode);
}

/// A file on standard input can be opened again, and would be the training data a second time; a
/// pipe would be empty.
void require_one_use_of_stdin(const Options& options) {
  std::size_t uses = 0;
  for (const char* name : {"data", "test_data"})
    if (!options.text(name).empty())
      for (const Uri& uri : data::Places::parse(options.text(name)).uris)
        uses += uri.text() == Uri::parse("/dev/stdin").text() ? 1 : 0;
  if (uses > 1)
    fail(Code::invalid_argument,
         "data, test_data: standard input can be read once: give one of them as a file");
}

void check_folds(const Options& options) {
  const std::int64_t folds = options.integer("folds"), fold = options.integer("fold");
  if (folds == 1)
    fail(Code::invalid_argument, "folds 1: one part of one leaves no training rows; use 2 or more");
  if (fold > 0 && fold >= folds)
    fail(Code::invalid_argument, "fold {}: there are folds 0 to {}, by --folds", fold,
         std::max<std::int64_t>(folds - 1, 0));
}

void check_pattern(const Options& options) {
  const optim::Plugin& optimizer = optim::registry().get(options.text("optim"));
  comm::check_pattern(
      options.text("sync_mode"),
      {.options = comm::pattern_options(options),
       .optimizer = optimizer.name,
       .merges_increments = optimizer.merges_increments,
       .needs_all_workers = optimizer.needs_all_workers,
       .open_channel = [&] { return storage::open_plain(Uri::parse(options.text("channel"))); }});
}

/// Their prices are needed when the job has ended.
void check_servers(const Options& options) {
  const std::string& servers = options.text("servers");
  if (!servers.empty()) cost::Prices::current().of_servers(servers, 0, faas::own_region());
}

}  // namespace

void resolve(Options& options, Defaults defaults) {
  if (options.text("data").empty())
    fail(Code::invalid_argument, "no training data: give --data FILE, or data: in a job file");
  warn_of_unused(options);
  for (const model::Plugin& plugin : model::registry().entries()) {
    const auto& aliases = plugin.aliases;
    if (std::find(aliases.begin(), aliases.end(), options.text("model")) != aliases.end())
      options.set("model", Option::Value(plugin.name), "model");
  }
  split_model_file(options);
  const model::Plugin& model = model::registry().get(options.text("model"));
  options.set("optim", Option::Value(choose_optimizer(options, model)), "optim");
  if (defaults == Defaults::choose) {
    check_optimizer(options, model);
    set_defaults(options, model);
  }

  const auto make_absolute = [&](std::string_view name) {
    const std::string& text = options.text(name);
    if (!text.empty()) options.set(name, Option::Value(Uri::parse(text).text()), name);
  };
  for (const char* name : {"data", "test_data"})
    if (!options.text(name).empty())
      options.set(name, Option::Value(data::Places::parse(options.text(name)).text()), name);
  if (options.find("labels_file") != nullptr) make_absolute("labels_file");
  require_one_use_of_stdin(options);
  make_absolute("init");
  make_absolute("checkpoint");
  if (!model.file_option.empty()) make_absolute(model.file_option);
  options.set("channel", Option::Value(storage::resolve(options.text("channel")).text()),
              "channel");
  require_utf8(options);
  check_pattern(options);
  check_patience(options);
  check_folds(options);
  check_servers(options);
  if (!options.text("until").empty())
    check_until(StopCondition::parse(options.text("until")).metric(), options,
                model.for_job(options, {}));
  choose_threads(options, 1);
}

void choose_threads(Options& options, std::int64_t jobs) {
  if (options.integer("threads") != 0) return;
  const faas::Plugin& platform = faas::registry().get(options.text("platform"));
  if (platform.processors) return;  // the function knows its memory; see threads_of_function()
  const std::int64_t share =
      static_cast<std::int64_t>(processors()) / (jobs * options.integer("workers"));
  options.set("threads", Option::Value(std::max<std::int64_t>(1, share)), "threads");
}

std::int64_t threads_of_function(const Options& options) {
  if (const std::int64_t chosen = options.integer("threads"); chosen != 0) return chosen;
  const faas::Plugin& platform = faas::registry().get(options.text("platform"));
  const double memory_mb =
      faas::own_memory_mb().value_or(static_cast<int>(options.integer("memory_mb")));
  const double share = platform.processors ? platform.processors(memory_mb) : 1;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(share));
}

Functions functions_of(const Options& options) {
  const faas::Plugin& platform = faas::registry().get(options.text("platform"));
  faas::DeployedFunction deployed;
  if (platform.deployed_function)
    deployed = platform.deployed_function(faas::own_options(platform, options));
  return {deployed.memory_mb ? *deployed.memory_mb : options.integer("memory_mb"),
          std::move(deployed.architecture)};
}

std::string id_of_request(std::string_view prefix, std::string_view request_id) {
  std::string id(prefix);
  for (const char c : request_id.substr(0, 80))
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-') id += c;
  return id;
}

bool is_job_id(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  const auto all_of = [](std::string_view part, std::string_view characters) {
    return part.find_first_not_of(characters) == std::string_view::npos;
  };
  if (text.starts_with("job-") || text.starts_with("tune-"))
    return text.size() <= 100 &&
           all_of(text, "0123456789-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
  // 20261122-101500-3f9c01d2a47b, in older versions with four random digits; a trial adds -0007.
  const std::vector<std::string> parts = split(text, '-');
  if (parts.size() < 3 || parts.size() > 4) return false;
  const bool has_trial = parts.size() == 4;
  return parts[0].size() == 8 && all_of(parts[0], kDigits) && parts[1].size() == 6 &&
         all_of(parts[1], kDigits) && parts[2].size() >= 4 && parts[2].size() <= 12 &&
         all_of(parts[2], "0123456789abcdef") &&
         (!has_trial ||
          (parts[3].size() >= 4 && parts[3].size() <= 20 && all_of(parts[3], kDigits)));
}

std::string new_job_id() {
  const std::time_t now = std::chrono::system_clock::to_time_t(wall_now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &utc);
  return fmt::format("{}-{:012x}", text.data(), unique_number() >> 16U);
}

bool is_remote(const Options& options) {
  return faas::registry().get(options.text("platform")).remote;
}

}  // namespace lambdaml::job
