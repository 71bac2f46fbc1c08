#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/bench_comm.h"

namespace lambdaml::cli {

void add_bench_command(CLI::App& app, Globals& globals) {
  CLI::App* bench = app.add_subcommand("bench", "measure how long the rounds of workers take");
  bench->require_subcommand(1);
  CLI::App* command = add_command(*bench, globals, "comm", "rounds of a pattern over a channel");
  const auto options = std::make_shared<trigger::BenchCommOptions>();
  options->channel = "file";
  command->add_option("--channel", options->channel, "where workers meet [file]");
  command->add_option("--workers", options->workers, "workers that merge [4]")
      ->check(CLI::Range(1, 1000));
  command->add_option("--bytes", options->bytes, "bytes of the vector [232]")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{1} << 33));
  command->add_option("--sync-mode", options->sync_mode,
                      "pattern: " + join(comm::registry().names(), ", ") + " [reduce]");
  command->add_option("--rounds", options->rounds, "rounds to measure [100]")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 30));
  command->callback([options, &globals] {
    const trigger::BenchCommResult result = trigger::bench_comm(*options);
    if (globals.json)
      return print_json(
          json_text(nlohmann::ordered_json{{"median_s", result.median_s},
                                           {"min_s", result.min_s},
                                           {"max_s", result.max_s},
                                           {"requests", result.requests},
                                           {"bytes", result.bytes},
                                           {"bitwise_equal", result.bitwise_equal},
                                           {"cost_usd", result.cost_usd},
                                           {"put_s", result.request.put_s},
                                           {"get_s", result.request.get_s},
                                           {"bytes_per_s", result.request.bytes_per_s},
                                           {"floor_s", result.floor_s}}));
    print_line(fmt::format(
        "{} of {} over {}, {} workers, {} rounds", options->sync_mode, human_bytes(options->bytes),
        storage::resolve(options->channel).display(), options->workers, options->rounds));
    print_line(fmt::format("a round   median {}, min {}, max {} (of the slowest worker)",
                           human_seconds(result.median_s), human_seconds(result.min_s),
                           human_seconds(result.max_s)));
    print_line(fmt::format("one alone put {}, get {}, {}/s; floor of a round {}, times {:.2f}",
                           human_seconds(result.request.put_s), human_seconds(result.request.get_s),
                           human_bytes(static_cast<std::uint64_t>(result.request.bytes_per_s)),
                           human_seconds(result.floor_s),
                           result.floor_s > 0 ? result.median_s / result.floor_s : 0.0));
    print_line(fmt::format("cost      {:.1f} requests, {}, ${:.3g} a round", result.requests,
                           human_bytes(static_cast<std::uint64_t>(result.bytes)), result.cost_usd));
    print_line(fmt::format("sums      {}", result.bitwise_equal ? "bitwise equal on all workers"
                                                                : "not bitwise equal"));
  });
}

}  // namespace lambdaml::cli
