#include <algorithm>
#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/output.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/column_notices.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/summary.h"
#include "lambdaml/data/synthetic.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/prediction.h"
#include "lambdaml/trigger/preparation.h"

namespace lambdaml::cli {
namespace {

using nlohmann::ordered_json;

void add_synth(CLI::App& group, Globals& globals) {
  CLI::App* command = add_command(group, globals, "synth", "make data of a given shape");
  const auto options = std::make_shared<data::SyntheticOptions>();
  const auto out = std::make_shared<std::string>();
  command->add_option("KIND", options->kind, join(data::synthetic_kinds(), ", "))->required();
  command->add_option("--rows", options->rows, "rows")
      ->required()
      ->check(CLI::Range(1ULL, 1ULL << 40));
  command->add_option("--features", options->features, "features [the kind's own]")
      ->check(CLI::Range(1ULL, 1ULL << 31));
  command->add_option("--nnz", options->nonzeros, "non-zeros per row of a sparse kind [75]")
      ->check(CLI::Range(1ULL, 1ULL << 31));
  command->add_option("--clusters", options->clusters, "blobs [10]")
      ->check(CLI::Range(1ULL, 1ULL << 20));
  command->add_option("--noise", options->noise, "share of flipped labels, or a blob's deviation")
      ->check(CLI::Range(0.0, 1e6));
  command->add_option("--seed", options->seed, "start of the random numbers [1]")
      ->check(CLI::NonNegativeNumber);
  command->add_option("-o,--out", *out, "file to write")->required();
  command->callback([=, &globals] {
    const data::Dataset dataset = data::synthesize(*options, processors());
    const bool images = options->kind == "cifar10";
    const Buffer bytes = data::registry().get(images ? "cifar10" : "libsvm").write(dataset);
    write_output(*out, bytes);
    if (*out == "-") return;  // nothing may follow the data
    if (globals.json)
      print_json(json_text(ordered_json{{"path", Uri::parse(*out).display()},
                                        {"rows", dataset.rows()},
                                        {"features", dataset.cols()},
                                        {"bytes", bytes.size()}}));
    else
      print_line(fmt::format("{}: {} rows, {} features, {}", Uri::parse(*out).display(),
                             human_count(dataset.rows()), human_count(dataset.cols()),
                             human_bytes(bytes.size())));
  });
}

struct SplitArguments {
  std::string file, to, format = "auto", as = "shard";
  std::size_t parts = 0;
  std::uint64_t seed = 1;
};

/// The number of parts: --parts or, without it, as many as there are workers.
std::size_t parts_of(const SplitArguments& arguments, const Options& job) {
  if (arguments.parts != 0) return arguments.parts;
  if (!job.is_set("workers"))
    fail(Code::invalid_argument, "data split: give the number of parts with --parts or --workers");
  return static_cast<std::size_t>(job.integer("workers"));
}

data::Manifest split_here(const SplitArguments& arguments, const Options& format_options,
                          const Options& job) {
  for (const Option& option : job.declared())
    if (job.is_set(option.name) && option.name != "workers")
      fail(Code::invalid_argument, "{} is for a set that functions cut: name their --platform",
           flag_of(option.name));
  const data::Dataset dataset = data::read(data::Places::parse(arguments.file), arguments.format,
                                           processors(), nullptr, format_options);
  data::warn_of_columns(data::Places::parse(arguments.file).display(), dataset);
  const auto store = storage::open(Uri::parse(arguments.to));
  return data::split(dataset, parts_of(arguments, job), *store, arguments.as, processors());
}

data::Manifest split_there(const SplitArguments& arguments, const Options& format_options,
                           Options job) {
  const std::size_t parts = parts_of(arguments, job);
  job.set("format", Option::Value(arguments.format), "--format");
  for (const Option& option : format_options.declared())
    if (format_options.is_set(option.name))
      job.set(option.name, format_options.value(option.name), option.name);
  trigger::Preparation wanted{.places = data::Places::parse(arguments.file)};
  wanted.parts = parts;
  wanted.workers = std::min(parts, static_cast<std::size_t>(job.integer("workers")));
  wanted.seed = arguments.seed;
  wanted.to = Uri::parse(arguments.to).text();
  wanted.as = arguments.as;
  return trigger::split_by_functions(wanted, std::move(job));
}

void add_split(CLI::App& group, Globals& globals) {
  CLI::App* command =
      add_command(group, globals, "split", "cut a data set into one part per worker");
  const auto arguments = std::make_shared<SplitArguments>();
  command->add_option("FILE", arguments->file, "a data set: path or URI")->required();
  command->add_option("--parts", arguments->parts, "parts [--workers]")
      ->check(CLI::Range(1, 100000));
  command->add_option("--to", arguments->to, "folder or URI prefix that gets the parts")
      ->required();
  const auto flags = add_format_flags(*command, arguments->format);
  command->add_option("--as", arguments->as, "shard or libsvm [shard]")
      ->check(CLI::IsMember({"shard", "libsvm"}));
  command
      ->add_option("--seed", arguments->seed, "of the order of the blocks that functions read [1]")
      ->check(CLI::NonNegativeNumber);
  const Options format_options = data::format_options();
  std::vector<Option> of_formats = format_options.declared();
  of_formats.push_back({.name = "format", .default_value = std::string(), .help = ""});
  const auto job_flags = std::make_shared<OptionFlags>(*command, trigger::options_of_predictions(),
                                                       Options(std::move(of_formats)), false);
  command->callback([=, &globals] {
    Options job = trigger::options_of_predictions();
    job_flags->apply_to(job);
    const data::Manifest manifest = job.is_set("platform")
                                        ? split_there(*arguments, flags->read(), job_flags->read())
                                        : split_here(*arguments, flags->read(), job);
    if (globals.json)
      print_json(json_text(ordered_json{{"path", Uri::parse(arguments->to).display()},
                                        {"parts", manifest.parts()},
                                        {"rows", manifest.rows()},
                                        {"features", manifest.features},
                                        {"bytes", manifest.bytes}}));
    else
      print_line(fmt::format("{}: {} parts, {} rows, {}, {}", Uri::parse(arguments->to).display(),
                             manifest.parts(), human_count(manifest.rows()),
                             manifest.tensors.empty() ? human_count(manifest.features) + " features"
                                                      : manifest.tensors.text(),
                             human_bytes(manifest.bytes)));
  });
}

/// As many of the texts as fit a line.
class Listing {
 public:
  void add(const std::string& text) {
    if (full_) return;
    full_ = line_.size() > 200;
    line_ += full_ ? " …" : (line_.empty() ? "" : ", ") + text;
  }
  std::string line() const { return line_.empty() ? "none" : line_; }

 private:
  std::string line_;
  bool full_ = false;
};

/// The text of a label, if labels have names.
std::string name_of_label(const data::Summary& info, std::int32_t label) {
  if (!info.names || info.names->labels.empty()) return std::to_string(label);
  return info.names->labels.at(static_cast<std::size_t>(label));
}

std::string spread_line(const char* name, const data::Summary::Spread& spread) {
  return fmt::format("{:9} from {:.6g} to {:.6g}, mean {:.6g}", name, spread.min, spread.max,
                     spread.mean);
}

std::string labels_line(const data::Summary& info) {
  if (info.targets) return spread_line("targets", *info.targets);
  Listing labels;
  for (const auto& [label, count] : info.labels)
    labels.add(fmt::format("{}: {}", name_of_label(info, label), human_count(count)));
  return fmt::format("labels    {}", labels.line());
}

ordered_json to_json(const data::Summary& info, const data::Places& uri, double density) {
  ordered_json labels = ordered_json::object();
  for (const auto& [label, count] : info.labels) labels[name_of_label(info, label)] = count;
  ordered_json out{{"path", uri.display()},     {"rows", info.rows},  {"features", info.features},
                   {"nonzeros", info.nonzeros}, {"density", density}, {"labels", labels},
                   {"bytes", info.bytes},       {"parts", info.parts}};
  const auto add = [&](const char* name, const std::optional<data::Summary::Spread>& spread) {
    if (spread) out[name] = {{"min", spread->min}, {"mean", spread->mean}, {"max", spread->max}};
  };
  add("targets", info.targets);
  add("weights", info.weights);
  if (info.names && !info.names->features.empty()) out["feature_names"] = info.names->features;
  for (const data::Summary::Range& range : info.tensors)
    out["tensors"].push_back({{"name", range.tensor.name},
                              {"type", data::to_string(range.tensor.element)},
                              {"shape", range.tensor.shape},
                              {"min", range.min},
                              {"mean", range.mean},
                              {"max", range.max},
                              {"target", range.to_learn}});
  return out;
}

void add_info(CLI::App& group, Globals& globals) {
  CLI::App* command = add_command(group, globals, "info", "what a data set holds");
  struct Arguments {
    std::string uri, format = "auto";
  };
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("URI", arguments->uri, "a file or a prepared data set")->required();
  const auto flags = add_format_flags(*command, arguments->format);
  command->callback([=, &globals] {
    const data::Places uri = data::Places::parse(arguments->uri);
    const data::Summary info = data::summarize(uri, arguments->format, processors(), flags->read());
    const double cells = static_cast<double>(info.rows) * static_cast<double>(info.features);
    const double density = cells > 0 ? static_cast<double>(info.nonzeros) / cells : 0;
    if (globals.json) return print_json(json_text(to_json(info, uri, density)));
    print_line(fmt::format("rows      {}", human_count(info.rows)));
    for (const data::Summary::Range& range : info.tensors)
      print_line(fmt::format("{}    {}, from {:.6g} to {:.6g}, mean {:.6g}",
                             range.to_learn ? "target" : "tensor", range.tensor.text(), range.min,
                             range.max, range.mean));
    if (info.tensors.empty()) {
      print_line(fmt::format("features  {}", human_count(info.features)));
      print_line(
          fmt::format("density   {:.4g} ({} non-zeros)", density, human_count(info.nonzeros)));
    }
    if (info.names && !info.names->features.empty()) {
      Listing names;
      for (const std::string& name : info.names->features) names.add(name);
      print_line(fmt::format("names     {}", names.line()));
    }
    if (info.tensors.empty() || !info.tensors.back().to_learn) print_line(labels_line(info));
    if (info.weights) print_line(spread_line("weights", *info.weights));
    print_line(fmt::format("bytes     {}{}", human_count(info.bytes),
                           info.parts > 0 ? fmt::format(" in {} parts", info.parts) : ""));
  });
}

}  // namespace

void add_data_command(CLI::App& app, Globals& globals) {
  CLI::App* group = app.add_subcommand("data", "make, cut and look at data sets");
  group->require_subcommand(1);
  add_synth(*group, globals);
  add_split(*group, globals);
  add_info(*group, globals);
}

}  // namespace lambdaml::cli
