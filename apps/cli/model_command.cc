#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/json.h"
#include "lambdaml/predict/description.h"

namespace lambdaml::cli {

void add_model_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "model", "what a trained model is: classes, coefficients, metrics");
  struct Arguments {
    std::string place;
    bool all = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("MODEL", arguments->place,
                   "a model file, or the folder of a run or search: path or URI")
      ->required();
  command->add_flag("--all", arguments->all, "every coefficient, not only the largest");
  command->callback([arguments, &globals] {
    const job::ModelFile file = job::find_model(arguments->place);
    const job::TrainedModel model = job::model_from_bytes(file.bytes, file.what);
    if (globals.json) return print_json(json_text(predict::describe(model, file.folder.get())));
    for (const std::string& line : predict::lines_of(model, file.folder.get(), arguments->all))
      print_line(line);
  });
}

}  // namespace lambdaml::cli
