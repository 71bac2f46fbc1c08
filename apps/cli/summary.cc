#include "apps/cli/summary.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::cli {

void print_summary(const std::string& text, const Globals& globals) {
  if (globals.json) return print_json(text);
  const nlohmann::json summary = parse_json(text);
  const auto number = [&](const char* name) { return number_at(summary, name); };
  print_line(fmt::format("{} by {} over {}, {} workers, {} epochs of {} rows, {} features",
                         text_at(summary, "model"), text_at(summary, "optim"),
                         text_at(summary, "sync_mode"), count_at(summary, "workers"),
                         count_at(summary, "epochs"), human_count(count_at(summary, "rows")),
                         human_count(count_at(summary, "features"))));
  print_line(fmt::format(
      "time      {}: start-up {}, load {}, compute {}, communication {} (means over workers)",
      human_seconds(number("wall_s")), human_seconds(number("startup_s")),
      human_seconds(number("load_s")), human_seconds(number("compute_s")),
      human_seconds(number("comm_s"))));
  for (const char* set : {"train", "valid", "test"}) {
    const std::string loss = std::string(set) + "_loss";
    const std::string accuracy = std::string(set) + "_accuracy";
    if (summary.contains(loss))
      print_line(fmt::format("{:<9} loss {:.4f}, accuracy {:.4f}", set, number(loss.c_str()),
                             number(accuracy.c_str())));
  }
  if (summary.contains("inertia")) print_line(fmt::format("inertia   {:.6g}", number("inertia")));
  if (const std::string by = text_at(summary, "ended_by", "epochs"); by != "epochs")
    print_line("ended by  " + by);
  print_line(fmt::format("model     {}", text_at(summary, "model_path")));
}

}  // namespace lambdaml::cli
