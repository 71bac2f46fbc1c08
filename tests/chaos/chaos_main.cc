// As: lambdaml_chaos [--first N] [--count N] [--jobs N] [--defect NAME] [--stop]
//     lambdaml_chaos --replay SEED --faults CALL:KIND:SECONDS,… [--defect NAME]
// Runs short simulated jobs under faults that are drawn from seeds. For each that fails it prints
// the fewest faults with which it still does, and the command that replays it with a trace. Exit
// code 1 if one failed.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include "chaos/case.h"
#include "lambdaml/base/error.h"

namespace {

using namespace lambdaml;
using namespace lambdaml::chaos;

struct Arguments {
  std::uint64_t first = 1, count = 300;
  std::uint64_t replay = 0;
  std::string faults;
  Defect defect = Defect::none;
  bool stops = false;
  std::uint64_t jobs = 1;  ///< processes
};

std::uint64_t g_seed = 0;

/// Says which seed a crash was of, and ends the process by it.
void tell_seed(int signal) {
  char text[64];
  const int n = std::snprintf(text, sizeof text, "lambdaml_chaos: seed %llu crashed\n",
                              static_cast<unsigned long long>(g_seed));
  if (::write(STDERR_FILENO, text, static_cast<std::size_t>(n)) < 0) {
    // There is nothing else to tell it by.
  }
  std::signal(signal, SIG_DFL);
  ::raise(signal);
}

Defect defect_named(const std::string& name) {
  for (int i = 0; i <= kDefects; ++i)
    if (name == to_string(static_cast<Defect>(i))) return static_cast<Defect>(i);
  fail(Code::invalid_argument, "no defect '{}'", name);
}

Arguments arguments_of(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&] {
      if (++i >= argc) fail(Code::invalid_argument, "{} needs a value", name);
      return std::string(argv[i]);
    };
    if (name == "--first")
      out.first = std::stoull(value());
    else if (name == "--count")
      out.count = std::stoull(value());
    else if (name == "--replay")
      out.replay = std::stoull(value());
    else if (name == "--faults")
      out.faults = value();
    else if (name == "--defect")
      out.defect = defect_named(value());
    else if (name == "--stop")
      out.stops = true;
    else if (name == "--jobs")
      out.jobs = std::max<std::uint64_t>(1, std::stoull(value()));
    else
      fail(Code::invalid_argument, "unknown argument {}", name);
  }
  return out;
}

std::string command_of(std::uint64_t seed, const std::vector<PlannedFault>& faults, Defect defect) {
  std::string out = fmt::format("lambdaml_chaos --replay {} --faults '{}'", seed, text_of(faults));
  if (defect != Defect::none) out += fmt::format(" --defect {}", to_string(defect));
  return out;
}

int replay(const Arguments& arguments) {
  const Case of = draw_case(arguments.replay);
  const std::vector<PlannedFault> faults = faults_from(arguments.faults);
  fmt::print("{}\n", of.describe());
  const Outcome undisturbed = run(of, {}, Defect::none);
  const Outcome disturbed =
      run(of, faults, arguments.defect, [](const std::string& line) { fmt::print("{}\n", line); });
  const std::string wrong = complaint(of, faults, undisturbed, disturbed);
  fmt::print("{} calls in {:.3f} s, schedule {:016x}: {}\n", disturbed.calls, disturbed.seconds,
             disturbed.fingerprint,
             !wrong.empty()            ? wrong
             : disturbed.error.empty() ? "as undisturbed"
                                       : "documented error: " + disturbed.error);
  return wrong.empty() ? 0 : 1;
}

/// Every jobs-th seed, from `first` on.
int run_share(const Arguments& arguments, std::uint64_t first) {
  std::uint64_t failed = 0, errors = 0, skipped = 0, done = 0;
  const std::uint64_t end = arguments.first + arguments.count;
  for (std::uint64_t seed = first; seed < end; seed += arguments.jobs, ++done) {
    // What a crash leaves on the screen is the seed.
    g_seed = seed;
    const Case of = draw_case(seed);
    const Outcome undisturbed = run(of, {}, Defect::none);
    if (lacks_time(of, undisturbed)) {
      ++skipped;
      continue;
    }
    const std::vector<PlannedFault> faults = draw_faults(of, undisturbed.calls);
    const Outcome disturbed = run(of, faults, arguments.defect);
    const std::string wrong = complaint(of, faults, undisturbed, disturbed);
    errors += disturbed.error.empty() ? 0 : 1;
    if (wrong.empty()) continue;
    ++failed;
    const std::vector<PlannedFault> fewest = shrink(of, faults, undisturbed, arguments.defect);
    fmt::print("{}\n  {}\n  {}\n", of.describe(), wrong,
               command_of(seed, fewest, arguments.defect));
    std::fflush(stdout);
    if (arguments.stops) break;
  }
  fmt::print(
      "{} jobs from seed {} on: {} failed, {} ended by a documented error, {} skipped (their time "
      "limit is too short without faults)\n",
      done, first, failed, errors, skipped);
  std::fflush(stdout);
  return failed == 0 ? 0 : 1;
}

/// In a process of its own.
int run_share_or_say(const Arguments& arguments, std::uint64_t first) {
  try {
    return run_share(arguments, first);
  } catch (const std::exception& error) {
    fmt::print(stderr, "lambdaml_chaos: seed {}: {}\n", g_seed, error.what());
    return 2;
  }
}

int run_all(const Arguments& arguments) {
  std::signal(SIGABRT, tell_seed);
  std::signal(SIGSEGV, tell_seed);
  if (arguments.jobs == 1) return run_share(arguments, arguments.first);
  int result = 0, status = 0;
  for (std::uint64_t i = 0; i < arguments.jobs; ++i) {
    const pid_t child = ::fork();
    if (child == 0) std::_Exit(run_share_or_say(arguments, arguments.first + i));
    if (child < 0) {
      // Its seeds are not run: the others' success is none.
      fmt::print(stderr, "lambdaml_chaos: no process for a share: {}\n", std::strerror(errno));
      result = 2;
      break;
    }
  }
  while (::wait(&status) > 0)
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) result = std::max(result, 1);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Arguments arguments = arguments_of(argc, argv);
    return arguments.replay > 0 ? replay(arguments) : run_all(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "lambdaml_chaos: {}\n", error.what());
    return 2;
  }
}
