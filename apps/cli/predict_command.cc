#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/output.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/predict/output_format.h"
#include "lambdaml/predict/predict.h"

namespace lambdaml::cli {
namespace {

struct PredictArguments {
  std::string model, data, out, format = "auto", out_format = "csv";
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
  const predict::Predictions result = predict::predict(
      model, Uri::parse(arguments.data), arguments.format, format_options, arguments.request);
  if (!arguments.out.empty())
    write_output(arguments.out, format.write(result.table));
  else if (!globals.json)
    write_output("-", format.write(result.table));
  const model::Plugin& plugin = model::registry().get(model.name);
  if (globals.json)
    print_json(json_text(json_of(result.quality, plugin, model.shape)));
  else
    print_quality(result.quality, plugin, model.shape, !arguments.out.empty(), globals);
}

}  // namespace

void add_predict_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "predict", "predict rows with a trained model");
  const auto arguments = std::make_shared<PredictArguments>();
  PredictArguments& a = *arguments;
  command
      ->add_option("--model", a.model,
                   "a model file, or the folder of a run or search: path or URI")
      ->required();
  command->add_option("--data", a.data, "rows: a file or a prepared data set")->required();
  command->add_option("--out", a.out, "file for the predictions [standard output]");
  command->add_flag("--proba", a.request.shown.probabilities, "the probability of each class too");
  command->add_flag("--scores", a.request.shown.class_scores,
                    "the score of each class too (linear models: the margin)");
  command->add_option("--out-format", a.out_format,
                      join(names_of_output_formats(), ", ") +
                          " [csv: the labels, one a line; with several columns a header]");
  command->add_flag("--ignore-labels", a.request.ignore_labels,
                    "the rows' labels are not the model's: measure nothing");
  const auto flags = add_format_flags(*command, a.format);
  command->callback(
      [arguments, flags, &globals] { predict_here(*arguments, flags->read(), globals); });
}

}  // namespace lambdaml::cli
