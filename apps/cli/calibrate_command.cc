#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/output.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/plan/calibration.h"

namespace lambdaml::cli {
namespace {

struct CalibrateFlags {
  std::string channel;
  std::string out = "profile.yaml";
  double seconds = 5;
  std::vector<std::string> from;
};

}  // namespace

void add_calibrate_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "calibrate",
                                  "measure a store, for a profile of simulations and plans");
  const auto flags = std::make_shared<CalibrateFlags>();
  command->add_option("--channel", flags->channel, "the store, by URI or name")->required();
  command->add_option("--seconds", flags->seconds, "about how long to measure [5]")
      ->check(CLI::Range(0.1, 3600.0));
  command->add_option("--from", flags->from, "folders of finished jobs, for how workers start");
  command->add_option("-o,--out", flags->out, "where the profile goes [profile.yaml]");
  command->callback([flags, &globals] {
    const plan::Calibration measured = plan::calibrate(flags->channel, flags->seconds, flags->from);
    write_output(flags->out, as_bytes(measured.profile));
    if (globals.json)
      print_json(json_text(nlohmann::ordered_json{
          {"profile", flags->out},
          {"measured", measured.requests},
          {"ended_by", measured.ended_by ? nlohmann::ordered_json(*measured.ended_by) : nullptr}}));
    else
      print_line(fmt::format("{}: {} requests", flags->out, measured.requests));
    if (measured.ended_by)
      fail(Code::invalid_argument, "calibrate: ended early, what was measured is kept in {}: {}",
           flags->out, *measured.ended_by);
  });
}

}  // namespace lambdaml::cli
