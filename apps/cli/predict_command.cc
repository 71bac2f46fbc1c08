#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/output.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/predict/output_format.h"
#include "lambdaml/predict/predict.h"
#include "lambdaml/trigger/prediction.h"

namespace lambdaml::cli {
namespace {

struct PredictArguments {
  std::string model, data, out, to, format = "auto", out_format = "csv";
  predict::Request request;
};

std::vector<std::string> names_of_output_formats() {
  std::vector<std::string> names;
  for (const predict::OutputFormat& format : predict::output_formats())
    names.push_back(format.name);
  return names;
}

/// The measures go to standard output unless the predictions do.
void print_quality(const predict::Quality& quality, const model::Plugin& plugin,
                   const model::Shape& shape, bool to_standard_output, const Globals& globals) {
  for (const std::string& line : lines_of(quality, plugin, shape))
    if (to_standard_output)
      print_line(line);
    else if (!globals.quiet)
      tell_line(line);
}

void predict_here(const PredictArguments& arguments, const Options& format_options,
                  const Globals& globals) {
  const predict::OutputFormat& format = predict::output_format(arguments.out_format);
  job::TrainedModel model = job::read_model(arguments.model);
  predict::require_possible(model, arguments.request,
                            "model " + Uri::parse(arguments.model).display());
  const predict::Predictions result =
      predict::predict(model, data::Places::parse(arguments.data), arguments.format, format_options,
                       arguments.request);
  if (!arguments.out.empty())
    write_output(arguments.out, format.write(result.table));
  else if (!globals.json)
    write_output("-", format.write(result.table));
  const model::Plugin& plugin = model.plugin();
  if (globals.json)
    print_json(json_text(json_of(result.quality, plugin, model.shape)));
  else
    print_quality(result.quality, plugin, model.shape, !arguments.out.empty(), globals);
}

void predict_there(const PredictArguments& arguments, const Options& format_options,
                   Options options, const Globals& globals) {
  options.set("format", Option::Value(arguments.format), "--format");
  for (const Option& option : format_options.declared())
    if (format_options.is_set(option.name))
      options.set(option.name, format_options.value(option.name), option.name);
  const trigger::PredictionEnd end =
      trigger::predict_in_functions({.model = arguments.model,
                                     .data = arguments.data,
                                     .to = arguments.to,
                                     .out_format = arguments.out_format,
                                     .request = arguments.request},
                                    std::move(options));
  const model::Plugin& plugin = *end.plugin;
  const std::string to = Uri::parse(arguments.to).display();
  if (globals.json) {
    nlohmann::ordered_json json = json_of(end.quality, plugin, end.shape);
    json["job_id"] = end.job_id;
    json["workers"] = end.workers;
    json["parts"] = end.parts;
    json["path"] = to;
    return print_json(json_text(json));
  }
  print_quality(end.quality, plugin, end.shape, true, globals);
  print_line(fmt::format("results   {} parts in {}", human_count(end.parts), to));
}

/// Options that only a job of functions has, on the command line of one without.
void require_no_job(const OptionFlags& job_flags) {
  Options typed = trigger::options_of_predictions();
  job_flags.apply_to(typed);
  for (const Option& option : typed.declared())
    if (typed.is_set(option.name))
      fail(Code::invalid_argument,
           "{} is for predictions by functions, whose results go to a folder or URI prefix: give "
           "it with --to",
           flag_of(option.name));
}

}  // namespace

void add_predict_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "predict",
                                  "predict rows with a trained model, here or by functions");
  const auto arguments = std::make_shared<PredictArguments>();
  PredictArguments& a = *arguments;
  command
      ->add_option("--model", a.model,
                   "a model file, or the folder of a run or search: path or URI")
      ->required();
  command->add_option("--data", a.data, "rows: a file or a prepared data set")->required();
  CLI::Option* out =
      command->add_option("--out", a.out, "file for the predictions [standard output]");
  command
      ->add_option("--to", a.to,
                   "predict by functions, which save the results of their parts in this folder or "
                   "URI prefix")
      ->excludes(out);
  command->add_flag("--proba", a.request.shown.probabilities, "the probability of each class too");
  command->add_flag("--scores", a.request.shown.class_scores,
                    "the score of each class too (linear models: the margin)");
  command->add_option("--out-format", a.out_format,
                      join(names_of_output_formats(), ", ") +
                          " [csv: the labels, one a line; with several columns a header]");
  command->add_flag("--ignore-labels", a.request.ignore_labels,
                    "the rows' labels are not the model's: measure nothing");
  const auto format_flags = add_format_flags(*command, a.format);
  const Options format_options = data::format_options();
  std::vector<Option> of_formats = format_options.declared();
  of_formats.push_back({.name = "format", .default_value = std::string(), .help = ""});
  const auto job_flags = std::make_shared<OptionFlags>(*command, trigger::options_of_predictions(),
                                                       Options(std::move(of_formats)), false);
  command->callback([arguments, format_flags, job_flags, &globals] {
    if (!arguments->to.empty())
      return predict_there(*arguments, format_flags->read(), job_flags->read(), globals);
    require_no_job(*job_flags);
    predict_here(*arguments, format_flags->read(), globals);
  });
}

}  // namespace lambdaml::cli
