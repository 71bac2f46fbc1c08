#include "lambdaml/train/job.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <ctime>
#include <random>
#include <set>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/train/until.h"

namespace lambdaml::train {
namespace {

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const model::Plugin& plugin : model::registry().entries()) {
    names.push_back(plugin.name);
    names.insert(names.end(), plugin.aliases.begin(), plugin.aliases.end());
  }
  return names;
}

std::vector<std::string> models_of_a_file() {
  std::vector<std::string> names;
  for (const model::Plugin& plugin : model::registry().entries())
    if (!plugin.file_option.empty()) names.push_back(plugin.name);
  return names;
}

std::vector<std::string> formats() {
  std::vector<std::string> names = data::format_names();
  names.insert(names.begin(), "auto");
  return names;
}

std::vector<Option> own_options() {
  using Int = std::int64_t;
  using Text = std::string;
  return {
      {.name = "data",
       .default_value = Text(),
       .help = "training data: a file or a prepared data set, as a path or storage URI",
       .aliases = {"train_file"},
       .circumstance = true},
      {.name = "test_data",
       .default_value = Text(),
       .help = "data evaluated after each epoch beside the validation split",
       .aliases = {"test_file"},
       .circumstance = true},
      {.name = "format",
       .default_value = Text("auto"),
       .help = "format of the data files",
       .choices = formats(),
       .aliases = {"dataset_type"}},
      {.name = "shuffle",
       .default_value = true,
       .help = "visit the rows in a random order drawn from the seed, not in that of the file"},
      {.name = "model",
       .default_value = Text("lr"),
       .help = "what is trained",
       .choices = model_names(),
       .open_choices = models_of_a_file()},
      {.name = "optim",
       .default_value = Text("grad_avg"),
       .help = "how workers' results are combined; k-means uses em",
       .choices = optim::registry().names()},
      {.name = "sync_mode",
       .default_value = Text("reduce"),
       .help = "pattern by which workers merge their vectors",
       .choices = comm::registry().names()},
      {.name = "staleness",
       .default_value = Int{-1},
       .help = "async over ps://: merges that a worker may be ahead of the slowest; -1: any number",
       .minimum = -1,
       .maximum = 1e9},
      {.name = "channel",
       .default_value = Text("file"),
       .help = "store where workers meet: a URI, or a bare name for that store's default place",
       .circumstance = true},
      {.name = "compress",
       .default_value = Text("none"),
       .help = "smaller messages of gradients and updates; what is left out is added to the next",
       .choices = comm::compression_names()},
      {.name = "compress_share",
       .default_value = 0.01,
       .help = "share of the values that topk sends",
       .above = 0,
       .maximum = 1},
      {.name = "workers",
       .default_value = Int{4},
       .help = "functions that train together",
       .minimum = 1,
       .maximum = 10000,
       .aliases = {"n_workers"}},
      {.name = "epochs",
       .default_value = Int{10},
       .help = "passes over the data (ADMM: inner passes per outer epoch)",
       .minimum = 1,
       .maximum = 1e9,
       .aliases = {"n_epochs"}},
      {.name = "batch_size",
       .default_value = Int{1000},
       .help = "rows of one batch, per worker",
       .unit = "rows",
       .minimum = 1,
       .maximum = 4e9},
      {.name = "lr",
       .default_value = 0.1,
       .help = "learning rate",
       .above = 0,
       .aliases = {"learning_rate"}},
      {.name = "lr_schedule",
       .default_value = Text("constant"),
       .help = "how the learning rate falls over the epochs",
       .choices = {"constant", "step", "cosine", "inverse"}},
      {.name = "lr_decay",
       .default_value = 0.1,
       .help = "factor of a step, or the slope of inverse: lr / (1 + decay · epoch)",
       .minimum = 0},
      {.name = "lr_step",
       .default_value = Int{10},
       .help = "epochs between two steps",
       .minimum = 1},
      {.name = "warmup_epochs",
       .default_value = 0.0,
       .help = "epochs over which the learning rate rises from 0",
       .minimum = 0},
      {.name = "momentum",
       .default_value = 0.0,
       .help = "momentum of gradient steps",
       .minimum = 0,
       .maximum = 0.9999},
      {.name = "l2",
       .default_value = 0.0,
       .help = "penalty l2/2 · ‖w‖² on the mean loss, without the biases",
       .minimum = 0,
       .aliases = {"weight_decay"}},
      {.name = "valid_ratio",
       .default_value = 0.1,
       .help = "share of the rows held out for validation",
       .minimum = 0,
       .maximum = 0.99},
      {.name = "seed",
       .default_value = Int{1},
       .help = "the start of every random choice",
       .minimum = 0},
      {.name = "until",
       .default_value = Text(),
       .help = "stop early, e.g. valid_loss<=0.66 or valid_accuracy>=0.9"},
      {.name = "platform",
       .default_value = Text("local"),
       .help = "where functions run",
       .choices = faas::registry().names(),
       .circumstance = true},
      {.name = "function",
       .default_value = Text(),
       .help = "name or ARN of the deployed function, for the platform aws",
       .aliases = {"function_name"},
       .circumstance = true},
      {.name = "memory_mb",
       .default_value = Int{1769},
       .help = "memory limit of one function",
       .unit = "MB",
       .minimum = 128,
       .maximum = 10240,
       .circumstance = true},
      {.name = "timeout_s",
       .default_value = 900.0,
       .help = "time limit of one function",
       .unit = "s",
       .above = 0,
       .maximum = 1e6,
       .circumstance = true},
      {.name = "retries",
       .default_value = Int{2},
       .help = "more tries of a worker that crashed, at most",
       .minimum = 0,
       .maximum = 2,
       .circumstance = true},
      {.name = "patience_s",
       .default_value = 300.0,
       .help = "longest wait for other workers within a round",
       .unit = "s",
       .above = 0,
       .circumstance = true},
      {.name = "threads",
       .default_value = Int{0},
       .help = "threads of one worker; 0 shares the processors among the workers",
       .minimum = 0,
       .maximum = 1024},
      {.name = "deadline",
       .default_value = 0.0,
       .help = "stop the job after this time, with exit code 3; 0 is never",
       .unit = "s",
       .minimum = 0,
       .circumstance = true},
      {.name = "checkpoint",
       .default_value = Text(),
       .help = "where checkpoints go: a URI; by default the run's folder",
       .circumstance = true},
      {.name = "checkpoint_every",
       .default_value = Int{1},
       .help = "epochs between two checkpoints",
       .unit = "epochs",
       .minimum = 1,
       .circumstance = true},
      {.name = "stop_after",
       .default_value = Int{0},
       .help = "epochs after which the job pauses, to be resumed; what depends on its length sees "
               "all of its epochs; 0: at the end",
       .unit = "epochs",
       .minimum = 0},
      {.name = "run_epochs",
       .default_value = Int{0},
       .help =
           "epochs of one invocation, after which another goes on; 0: as many as its time allows",
       .unit = "epochs",
       .minimum = 0,
       .circumstance = true},
      {.name = "output",
       .default_value = Text(),
       .help = "new folder for model, metrics and logs; by default runs/JOB-ID",
       .circumstance = true},
      {.name = "keep",
       .default_value = false,
       .help = "leave the job's keys in the channel when it ends",
       .circumstance = true},
      {.name = "log_level",
       .default_value = Text("info"),
       .help = "what workers log",
       .choices = {"debug", "info", "warning", "error", "off"},
       .circumstance = true},
  };
}

void add_plugin_options(const std::vector<Option>& more, std::vector<Option>& all) {
  for (const Option& option : more) {
    const bool known = std::any_of(all.begin(), all.end(),
                                   [&](const Option& other) { return other.name == option.name; });
    if (!known) all.push_back(option);
  }
}

void set_from_yaml(const YAML::Node& node, const std::string& what, Options& options,
                   std::string_view section) {
  if (!node.IsDefined() || node.IsNull()) return;
  if (!node.IsMap())
    fail(Code::invalid_argument, "{}: a job file is a map from option names to values", what);
  std::set<std::string_view> seen;
  for (const auto& pair : node) {
    const std::string where = fmt::format("{}:{}", what, pair.first.Mark().line + 1);
    if (!pair.first.IsScalar()) fail(Code::invalid_argument, "{}: a key must be a name", where);
    const std::string& key = pair.first.Scalar();
    if (!section.empty() && key == section) continue;
    if (!pair.second.IsScalar())
      fail(Code::invalid_argument, "{}: {} must be one value, not a list or a map", where,
           printable(key));
    const Option* option = options.find(key);
    if (option != nullptr && !seen.insert(option->name).second)
      fail(Code::invalid_argument, "{}: {} stands twice; remove one", where, option->name);
    options.parse(key, pair.second.Scalar(), where);
  }
}

/// Throws when the job will never have that metric.
void check_until(const std::string& metric, const Options& options, bool supervised) {
  const auto never = [&](const std::string& why) {
    fail(Code::invalid_argument, "until '{}': there will be no {}: {}", options.text("until"),
         metric, why);
  };
  if (supervised != (metric != "inertia"))
    never(fmt::format("{} has {}", options.text("model"),
                      supervised ? "losses" : "the metric inertia"));
  if (metric.starts_with("valid_") && options.real("valid_ratio") == 0) never("valid_ratio is 0");
  if (metric.starts_with("test_") && options.text("test_data").empty()) never("give --test-data");
}

/// `NAME:FILE` as a value of --model.
void split_model_file(Options& options) {
  const std::string text = options.text("model");
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return;
  const model::Plugin& plugin = model::registry().get(text.substr(0, colon));
  options.set("model", Option::Value(plugin.name), "model");
  options.set(plugin.file_option, Option::Value(text.substr(colon + 1)), "model");
}

void check_compression(const Options& options) {
  const std::string& name = options.text("compress");
  if (name == "none") return;
  const optim::Plugin& optimizer = optim::registry().get(options.text("optim"));
  if (!optimizer.merges_increments)
    fail(Code::invalid_argument,
         "compress {}: {} merges states, which travel whole; compress gradients and updates, as "
         "grad_avg's and model_avg's",
         name, optimizer.name);
  if (name == "topk" && !comm::registry().get(options.text("sync_mode")).bulk_synchronous)
    fail(Code::invalid_argument,
         "compress topk: {} publishes sums of many updates, which are not sparse; use bf16 or int8",
         options.text("sync_mode"));
}

}  // namespace

Options job_options() {
  std::vector<Option> all = own_options();
  for (const model::Plugin& plugin : model::registry().entries())
    add_plugin_options(plugin.options, all);
  for (const optim::Plugin& plugin : optim::registry().entries())
    add_plugin_options(plugin.options, all);
  return Options(std::move(all));
}

void read_job_text(std::string_view text, const std::string& what, Options& options,
                   std::string_view section) {
  YAML::Node node;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.size() > 1)
      fail(Code::invalid_argument, "{}: a job file is one YAML document, and here are {}", what,
           documents.size());
    if (!documents.empty()) node = documents.front();
  } catch (const YAML::Exception& error) {
    fail(Code::invalid_argument, "{}:{}: {}", what, error.mark.line + 1, printable(error.msg));
  }
  try {
    set_from_yaml(node, what, options, section);
  } catch (const YAML::Exception& error) {
    fail(Code::invalid_argument, "{}:{}: {}", what, error.mark.line + 1, printable(error.msg));
  }
}

void read_job_file(const std::string& path, Options& options, std::string_view section) {
  const std::optional<Buffer> bytes = read_file(path);
  if (!bytes) fail(Code::not_found, "job file {}: no such file", without_secrets(path));
  read_job_text(bytes->text(), path, options, section);
}

void read_environment(Options& options, std::string_view prefix) {
  for (const Option& option : options.declared()) {
    if (option.name == "test_data")
      continue;  // LAMBDAML_TEST_DATA is the folder of this project's tests
    std::string name = std::string(prefix) + option.name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::toupper(c); });
    if (const char* text = std::getenv(name.c_str())) options.parse(option.name, text, name);
  }
}

static bool is_among(Values which, const Option& option, const Options& options) {
  switch (which) {
    case Values::given:
      return options.is_set(option.name);
    case Values::deciding:
      return !option.circumstance;
    case Values::all:
      break;
  }
  return true;
}

std::string to_yaml(const Options& options, Values which) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  for (const Option& option : options.declared()) {
    if (!is_among(which, option, options)) continue;
    const Option::Value& value = options.value(option.name);
    out << YAML::Key << option.name << YAML::Value;
    if (const auto* text = std::get_if<std::string>(&value))
      out << YAML::DoubleQuoted << *text;
    else
      out << to_text(value);
  }
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

std::string to_json(const Options& options, Values which) {
  nlohmann::json object = nlohmann::json::object();
  for (const Option& option : options.declared())
    if (is_among(which, option, options))
      std::visit([&](const auto& value) { object[option.name] = value; },
                 options.value(option.name));
  return json_text(object);
}

void from_json(std::string_view json, const std::string& what, Options& options) {
  const nlohmann::json object = parse_json(json);
  if (!object.is_object()) fail(Code::invalid_argument, "{}: options must be a JSON object", what);
  for (const auto& [key, value] : object.items()) {
    if (value.is_boolean())
      options.set(key, value.get<bool>(), what);
    else if (value.is_number_integer())
      options.set(key, value.get<std::int64_t>(), what);
    else if (value.is_number())
      options.set(key, value.get<double>(), what);
    else if (value.is_string())
      options.set(key, value.get<std::string>(), what);
    else
      fail(Code::invalid_argument, "{}: {} must be a text, a number, true or false", what,
           printable(key));
  }
}

void resolve(Options& options) {
  if (options.text("data").empty())
    fail(Code::invalid_argument, "no training data: give --data FILE, or data: in a job file");
  for (const model::Plugin& plugin : model::registry().entries()) {
    const auto& aliases = plugin.aliases;
    if (std::find(aliases.begin(), aliases.end(), options.text("model")) != aliases.end())
      options.set("model", Option::Value(plugin.name), "model");
  }
  split_model_file(options);
  const model::Plugin& model = model::registry().get(options.text("model"));
  if (!options.is_set("optim"))
    options.set("optim", Option::Value(model.default_optimizer), "optim");

  check_compression(options);
  const auto make_absolute = [&](std::string_view name) {
    const std::string& text = options.text(name);
    if (!text.empty()) options.set(name, Option::Value(Uri::parse(text).text()), name);
  };
  make_absolute("data");
  make_absolute("test_data");
  make_absolute("checkpoint");
  if (!model.file_option.empty()) make_absolute(model.file_option);
  options.set("channel", Option::Value(storage::resolve(options.text("channel")).text()),
              "channel");
  if (options.integer("staleness") >= 0 &&
      (options.text("sync_mode") != "async" ||
       !storage::open_plain(Uri::parse(options.text("channel")))->capabilities().sums))
    fail(Code::invalid_argument,
         "staleness bounds how far workers that do not wait may get apart: it needs --sync-mode "
         "async and --channel ps://HOST:PORT");
  if (!options.text("until").empty())
    check_until(Until::parse(options.text("until")).metric(), options, model.needs_labels);
  if (options.integer("threads") == 0) {
    const auto workers = static_cast<std::size_t>(options.integer("workers"));
    options.set(
        "threads",
        Option::Value(static_cast<std::int64_t>(std::max<std::size_t>(1, processors() / workers))),
        "threads");
  }
}

std::string id_of_request(std::string_view prefix, std::string_view request_id) {
  std::string id(prefix);
  for (const char c : request_id.substr(0, 80))
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-') id += c;
  return id;
}

std::string new_job_id() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y%m%d-%H%M%S", &utc);
  std::random_device random;
  return fmt::format("{}-{:08x}{:04x}", text.data(), random(), random() & 0xffffU);
}

}  // namespace lambdaml::train
