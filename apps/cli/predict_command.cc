#include <memory>

#include <fmt/core.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/output.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/predict/predict.h"

namespace lambdaml::cli {

void add_predict_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "predict", "predict rows with a trained model");
  struct Arguments {
    std::string model, data, out, format = "auto";
  };
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("--model", arguments->model, "model file: path or URI")->required();
  command->add_option("--data", arguments->data, "rows: a file or a prepared data set")->required();
  command->add_option("--out", arguments->out,
                      "file for the predicted labels, one a line [standard output]");
  const auto flags = add_format_flags(*command, arguments->format);
  command->callback([arguments, flags, &globals] {
    job::TrainedModel model = job::read_model(arguments->model);
    const predict::Predictions result =
        predict::predict(model, Uri::parse(arguments->data), arguments->format, flags->read());
    std::string lines;
    for (const std::int32_t label : result.labels)
      fmt::format_to(std::back_inserter(lines), "{}\n", label);
    if (!arguments->out.empty()) {
      write_output(arguments->out, as_bytes(lines));
    } else if (!globals.json && !lines.empty()) {
      lines.pop_back();
      print_text(lines);
    }
    nlohmann::ordered_json summary{{"rows", result.rows}};
    std::string text = fmt::format("{} rows", human_count(result.rows));
    if (result.unknown_labels > 0) {
      summary["unknown_labels"] = result.unknown_labels;
      text += fmt::format(", {} with unknown labels", human_count(result.unknown_labels));
    }
    for (const auto& [name, value] : result.values) {
      summary[name] = value;
      text += fmt::format(", {} {:.6g}", name, value);
    }
    if (globals.json)
      print_json(json_text(summary));
    else if (!arguments->out.empty())
      print_line(text);
    else if (!globals.quiet)
      tell_line(text);
  });
}

}  // namespace lambdaml::cli
