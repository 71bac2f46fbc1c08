#include "lambdaml/tune/search.h"

#include <algorithm>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/formats/checked_json.h"
#include "lambdaml/base/formats/yaml.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/model/reporting.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/tune/registry.h"

namespace lambdaml::tune {
namespace {

using nlohmann::json;

/// The time of the fastest worker from its event to its first step, and for an epoch, in seconds.
constexpr double kLeastStart_s = 0.01;
constexpr double kLeastEpoch_s = 0.0005;

/// The one metric of a search that no model reports.
constexpr std::string_view kCost = "cost_usd";

Parameter::Kind kind_of(const std::string& name, const std::string& where) {
  const std::vector<std::string> names{"choice", "uniform", "log_uniform", "int"};
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    fail(Code::invalid_argument, "{}: unknown kind of space '{}'{}", where, printable(name),
         did_you_mean(name, names));
  return static_cast<Parameter::Kind>(found - names.begin());
}

double bound_from(const YAML::Node& node, const std::string& name, const std::string& where) {
  const std::optional<double> bound =
      node.IsScalar() ? to_real(node.Scalar()) : std::optional<double>();
  if (!bound)
    fail(Code::invalid_argument, "{}: a bound of {} is a number, not '{}'", where, name,
         node.IsScalar() ? without_secrets(node.Scalar()) : "a list or a map");
  return *bound;
}

Parameter parameter_from(const std::string& name, const YAML::Node& node, const Options& declared,
                         const std::string& where) {
  const Option* option = declared.find(name);
  Options probe = declared;
  if (option == nullptr) probe.parse(name, "", where);  // throws: unknown
  YAML::Node kind, values;
  if (node.IsMap())
    for (const auto& pair : node) {
      kind = pair.first;
      values = pair.second;
    }
  if (!node.IsMap() || node.size() != 1 || !kind.IsScalar())
    fail(Code::invalid_argument,
         "{}: write {}: {{choice: […]}}, or uniform, log_uniform or int: [a, b]", where,
         printable(name));
  Parameter out{.name = option->name, .kind = kind_of(kind.Scalar(), where)};
  if (!values.IsSequence())
    fail(Code::invalid_argument, "{}: the values of {} are a list: [a, b]", where, name);
  if (out.kind == Parameter::Kind::choice) {
    for (const auto& value : values) {
      if (!value.IsScalar())
        fail(Code::invalid_argument, "{}: a value of {} is one value, not a list or a map", where,
             name);
      probe.parse(name, value.Scalar(), where);
      out.choices.push_back(probe.value(name));
    }
  } else {
    if (values.size() != 2)
      fail(Code::invalid_argument, "{}: {} needs two bounds: {}: [a, b]", where, name,
           kind_name(out.kind));
    out.low = bound_from(values[0], name, where);
    out.high = bound_from(values[1], name, where);
  }
  check(out, declared, where);
  return out;
}

Space space_from(const YAML::Node& node, const Options& declared, const std::string& what) {
  const auto line = [&](const YAML::Node& at) {
    return fmt::format("{}:{}", what, at.Mark().line + 1);
  };
  if (!node.IsMap())
    fail(Code::invalid_argument, "{}: space is a map from option names to values", line(node));
  std::vector<Parameter> parameters;
  for (const auto& pair : node) {
    if (!pair.first.IsScalar())
      fail(Code::invalid_argument, "{}: a key must be a name", line(pair.first));
    parameters.push_back(
        parameter_from(pair.first.Scalar(), pair.second, declared, line(pair.first)));
    for (std::size_t i = 0; i + 1 < parameters.size(); ++i)
      if (parameters[i].name == parameters.back().name)
        fail(Code::invalid_argument, "{}: {} occurs twice in the space", line(pair.first),
             parameters[i].name);
  }
  return Space(std::move(parameters));
}

void section_from(const YAML::Node& section, const std::string& what, Search& search) {
  if (!section.IsDefined() || section.IsNull()) return;
  if (!section.IsMap())
    fail(Code::invalid_argument, "{}:{}: {} is a map of a search's settings", what,
         section.Mark().line + 1, kSection);
  for (const auto& pair : section) {
    const std::string where = fmt::format("{}:{}", what, pair.first.Mark().line + 1);
    if (!pair.first.IsScalar()) fail(Code::invalid_argument, "{}: a key must be a name", where);
    const std::string& key = pair.first.Scalar();
    if (key == "space") {
      if (!pair.second.IsNull()) search.space = space_from(pair.second, search.job, what);
      continue;
    }
    if (pair.second.IsNull() && search.settings.find(key) != nullptr) continue;
    if (!pair.second.IsScalar())
      fail(Code::invalid_argument, "{}: {} must be one value, not a list or a map", where,
           printable(key));
    search.settings.parse(key, pair.second.Scalar(), where);
  }
}

json space_json(const Space& space) {
  json out = json::array();
  for (const Parameter& parameter : space.parameters()) {
    json values = json::array();
    for (const Option::Value& value : parameter.choices) values += json(json_of(value));
    if (parameter.kind != Parameter::Kind::choice) values = {parameter.low, parameter.high};
    out.push_back({{"name", parameter.name}, {kind_name(parameter.kind), values}});
  }
  return out;
}

/// The resolved job or, if its values are incompatible (which its trial will report), the
/// unresolved one.
Options resolved_as_far_as_possible(Options options) {
  try {
    Options resolved = options;
    job::resolve(resolved);
    return resolved;
  } catch (const Error&) {
    return options;
  }
}

/// Most searches do not vary the epochs; then they are determined once.
std::function<std::uint64_t(const Assignments&)> epochs_by_assignments(const Search& search) {
  bool varies = search.space.contains("model") || search.space.contains("optim");
  for (const optim::Plugin& optimizer : optim::registry().entries())
    varies = varies || search.space.contains(optimizer.epochs_option);
  if (!varies) return [epochs = epochs_of(search.job)](const Assignments&) { return epochs; };
  return [search](const Assignments& assignments) {
    return epochs_of(options_of(search, assignments));
  };
}

/// The model of all trials; null if it is searched.
const model::Plugin* model_of(const Search& search) {
  if (search.space.contains("model")) return nullptr;
  return model::find_by_value(search.job.text("model"));
}

/// The declaration of the search's metric (other than the cost): that of the trials' model if it is
/// known and has it, otherwise the first model's that has it.
model::ReportedMetric metric_of(const Search& search) {
  const std::string& name = search.settings.text("metric");
  std::vector<model::ReportedMetric> all = model::epoch_metrics();
  if (const model::Plugin* model = model_of(search)) {
    std::vector<model::ReportedMetric> own = model::epoch_metrics(*model);
    if (model::find(own, name) != nullptr) all = std::move(own);
  }
  const model::ReportedMetric* found = model::find(all, name);
  if (found == nullptr) fail(Code::internal, "metric {}: no model reports it", name);
  return *found;
}

/// The values of the setting `metric`: models' metrics, those of held-out rows first, and the cost.
std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for (const model::RowSet rows :
       {model::RowSet::valid, model::RowSet::test, model::RowSet::train}) {
    for (const model::ReportedMetric& reported : model::epoch_metrics())
      if (reported.rows == rows) names.push_back(reported.name);
    if (rows == model::RowSet::valid) names.emplace_back(kCost);
  }
  return names;
}

void require_metric(const Search& search) {
  const std::string& metric = search.settings.text("metric");
  const auto never = [&](const std::string& why) {
    fail(Code::invalid_argument, "metric {}: no trial will have it: {}", metric, why);
  };
  if (metric == kCost && search.job.text("until").empty())
    fail(Code::invalid_argument,
         "metric cost_usd: the cheapest job is one that learns nothing; say what it must reach, as "
         "in --until 'valid_loss<=0.66'");
  if (metric == kCost) return;
  const model::ReportedMetric reported = metric_of(search);
  if (reported.rows == model::RowSet::valid && search.job.real("valid_ratio") == 0 &&
      !search.space.contains("valid_ratio") && search.settings.integer("folds") == 0)
    never("valid_ratio is 0");
  if (reported.rows == model::RowSet::test && search.job.text("test_data").empty())
    never("give --test-data");
  const model::Plugin* model = model_of(search);
  if (model != nullptr && model::find(model::epoch_metrics(*model), metric) == nullptr)
    never(fmt::format("{} has {}", model->name, model::describe_epoch_metrics(*model)));
}

/// A lower bound of any job's cost with these options: its workers' start, and one message of each
/// per epoch. One request where functions are deployed.
double least_cost(const Options& options, std::uint64_t epochs) {
  const cost::Prices prices = cost::Prices::current();
  const std::string region = faas::own_region();
  const auto workers = static_cast<std::uint64_t>(options.integer("workers"));
  storage::Usage usage;
  usage.put.requests = usage.get.requests = workers * epochs;
  const double requests =
      prices.of_requests({{storage::resolve(options.text("channel")).scheme, usage}}, region);
  const double seconds = kLeastStart_s + kLeastEpoch_s * static_cast<double>(epochs);
  const job::Functions functions = job::functions_of(options);
  const std::string row =
      job::billed_as(prices, options.text("platform"), functions.architecture, region);
  return requests +
         static_cast<double>(workers) *
             prices.of_function(row, seconds, static_cast<double>(functions.memory_mb), region);
}

void require_budget(const Search& search, Strategy& strategy) {
  const double budget = search.settings.real("budget");
  if (budget == 0) return;
  const Strategy::Next first = strategy.next({});
  const double least =
      least_cost(options_of(search, strategy.parameters(first.trial)), first.epochs);
  if (budget < least)
    fail(Code::invalid_argument,
         "budget {}: too small for one trial: the first costs at least {:.2g} dollars", budget,
         least);
}

}  // namespace

Options search_options() {
  using Int = std::int64_t;
  using Text = std::string;
  const std::vector<std::string> metrics = metric_names();
  std::vector<Option> all{
      {.name = "strategy",
       .default_value = Text("random"),
       .help = "how trials are chosen",
       .choices = registry().names()},
      {.name = "trials",
       .default_value = Int{0},
       .help = "trials at most; 0: all points of a grid, 16 of the other strategies",
       .minimum = 0,
       .maximum = 1e6},
      {.name = "folds",
       .default_value = Int{0},
       .help = "cross-validation: a trial is so many jobs, each of which holds out another part of "
               "the rows, and its metrics are their means; 0: one job",
       .minimum = 0,
       .maximum = 1000},
      {.name = "concurrency",
       .default_value = Int{4},
       .help = "trials at the same time",
       .minimum = 1,
       .maximum = 1000},
      {.name = "seed",
       .default_value = Int{1},
       .help = "seed of the search's random choices",
       .minimum = 0},
      {.name = "metric",
       .default_value = metrics.front(),
       .help = "what trials are compared by",
       .choices = metrics},
      {.name = "budget",
       .default_value = 0.0,
       .help = "stop the search when its trials have cost this, with exit code 3; 0 is no limit",
       .unit = "dollars",
       .minimum = 0},
      {.name = "deadline",
       .default_value = 0.0,
       .help = "stop the search after this time, with exit code 3; 0 is never",
       .unit = "s",
       .minimum = 0},
      {.name = "records",
       .default_value = Text(),
       .help = "where the search's records and checkpoints go: a URI; by default its folder"},
  };
  for (const Plugin& plugin : registry().entries())
    all.insert(all.end(), plugin.options.begin(), plugin.options.end());
  return Options(std::move(all));
}

Search::Search() : job(job::job_options()), settings(search_options()) {}

std::string Search::to_json() const {
  const auto kept = [](const Options& options) {
    return job::to_json(options.without_passwords(), job::Values::given);
  };
  return checked_json_text(json{{"id", id},
                                {"begun_ms", begun_ms},
                                {"job", kept(job)},
                                {"settings", kept(settings)},
                                {"space", space_json(space)},
                                {"distinct_points", distinct_points}});
}

std::string job_file_of(const Search& search) {
  std::string text = job::to_yaml(search.job.without_passwords(), job::Values::given);
  text += fmt::format("{}:\n  space:\n", kSection);
  for (json entry : space_json(search.space)) {
    const auto name = entry.at("name").get<std::string>();
    entry.erase("name");
    text += fmt::format("    {}: {}\n", name, json_text(entry));  // JSON is YAML
  }
  return text;
}

Search Search::from_json(std::string_view text, const std::string& what) {
  try {
    json object = parse_json(text);
    if (object.is_object() && take_checksum(object) == Checked::damaged)
      fail(Code::data_corrupt, "{}: its content does not fit its checksum: it was damaged", what);
    Search out;
    out.id = object.at("id").get<std::string>();
    if (!job::is_job_id(out.id))
      fail(Code::data_corrupt, "{}: '{}' is no id of a search", what, printable(out.id));
    out.begun_ms = count_at(object, "begun_ms");
    out.distinct_points = object.value("distinct_points", false);
    job::from_json(object.at("job"), what, out.job);
    job::from_json(object.at("settings"), what, out.settings);
    std::vector<Parameter> parameters;
    for (json entry : object.at("space")) {
      const auto name = entry.at("name").get<std::string>();
      entry.erase("name");
      // JSON is YAML: one reader, one set of checks.
      parameters.push_back(parameter_from(name, YAML::Load(json_text(entry)), out.job, what));
    }
    out.space = Space(std::move(parameters));
    return out;
  } catch (const json::exception&) {
    fail(Code::data_corrupt, "{}: it is damaged", what);
  } catch (const YAML::Exception&) {
    fail(Code::data_corrupt, "{}: it is damaged", what);
  }
}

void read_search_text(std::string_view text, const std::string& what, Search& search) {
  job::read_job_text(text, what, search.job, kSection);
  try {
    const YAML::Node root = load_yaml(text, what);
    if (root.IsMap()) section_from(root[std::string(kSection)], what, search);
  } catch (const YAML::Exception& error) {
    fail(Code::invalid_argument, "{}:{}: {}", what, error.mark.line + 1, printable(error.msg));
  }
}

void read_search_file(const std::string& path, Search& search) {
  const std::optional<Buffer> bytes = read_file(path);
  if (!bytes) fail(Code::not_found, "job file {}: no such file", without_secrets(path));
  read_search_text(bytes->text(), path, search);
}

Options options_of(const Search& search, const Assignments& assignments) {
  Options options = search.job;
  for (const Assignment& assignment : assignments)
    options.set(assignment.name, assignment.value, "space");
  // Trials are compared on rows that are held out, also if there are test data.
  if (!options.is_set("valid_ratio"))
    options.set("valid_ratio", options.value("valid_ratio"), "tune");
  return options;
}

std::string place_of_records(const Search& search) {
  std::string place = search.settings.text("records");
  if (place.empty()) place = search.job.text("checkpoint");
  if (place.empty()) place = (storage::resolve(search.job.text("channel")) / "searches").text();
  const Uri uri = Uri::parse(place);
  if (!trigger::is_within_reach(search.job, uri.text()) ||
      !storage::open_plain(uri)->capabilities().durable)
    fail(Code::invalid_argument,
         "records {}: functions cannot reach it, or it can lose what it holds; give the URI of "
         "another store",
         uri.display());
  return (uri / search.id).text();
}

std::uint64_t epochs_of(const Options& options) {
  const Options resolved = resolved_as_far_as_possible(options);
  const optim::Plugin* optimizer = optim::registry().find(resolved.text("optim"));
  return static_cast<std::uint64_t>(
      resolved.integer(optimizer == nullptr ? "epochs" : optimizer->epochs_option));
}

bool higher_is_better(const Search& search) {
  return search.settings.text("metric") != kCost && metric_of(search).metric.higher_is_better;
}

std::unique_ptr<Strategy> make_strategy(const Search& search) {
  if (search.space.parameters().empty())
    fail(Code::invalid_argument,
         "the space is empty: say in the job file what to search, as in tune: {{space: {{lr: "
         "{{log_uniform: [1e-4, 10]}}}}}}");
  require_metric(search);
  if (search.settings.integer("folds") == 1)
    fail(Code::invalid_argument, "folds 1: one part of one leaves no training rows; use 2 or more");
  const auto count = [&](const char* name) {
    return static_cast<std::uint64_t>(search.settings.integer(name));
  };
  const StrategyInputs inputs{.space = search.space,
                              .seed = count("seed"),
                              .trials = count("trials"),
                              .concurrency = count("concurrency"),
                              .higher_is_better = higher_is_better(search),
                              .distinct_points = search.distinct_points,
                              .settings = search.settings,
                              .epochs = epochs_by_assignments(search)};
  std::unique_ptr<Strategy> strategy =
      registry().get(search.settings.text("strategy")).make(inputs);
  require_budget(search, *strategy);
  return strategy;
}

}  // namespace lambdaml::tune
