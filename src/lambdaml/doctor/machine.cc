// What is on this machine: programs, libraries, memory, folders.
#include <filesystem>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/programs/command.h"
#include "lambdaml/base/text.h"
#include "lambdaml/doctor/checks.h"
#include "lambdaml/model/engine.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/trigger/platform.h"

namespace lambdaml::doctor {
namespace {

namespace fs = std::filesystem;
using State = Check::State;

constexpr double kProgram_s = 5;  ///< for a program to print its version
constexpr std::size_t kMostOutput = 1000;
/// Below the first no job's messages fit, below the second those of larger models do not.
constexpr double kLeastMB = 16, kSmallMB = 256;
/// Each worker's connections and files, and some more.
constexpr rlim_t kFewDescriptors = 256;

void warn(Check& check, const std::string& advice) {
  check.state = State::warning;
  check.advice = advice;
}

std::string amount(double mb) {
  return mb >= 10'000 ? fmt::format("{:.0f} GB", mb / 1000) : fmt::format("{:.0f} MB", mb);
}

/// The nearest folder above that exists, or the path itself.
fs::path nearest_existing(fs::path path) {
  std::error_code error;
  while (!fs::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path;
}

double free_mb(const fs::path& path) {
  std::error_code error;
  const fs::space_info space = fs::space(nearest_existing(path), error);
  if (error) fail_errno(error.value(), fmt::format("the free space of {}", path.string()));
  return static_cast<double>(space.available) / 1e6;
}

}  // namespace

void check_programs(Check& check) { check.detail = "lambdaml " LAMBDAML_VERSION; }

void check_worker(Check& check) {
  const std::string path = trigger::worker_executable().string();
  check.advice =
      "install lambdaml-worker beside lambdaml or on PATH, or name it by LAMBDAML_WORKER";
  if (::access(path.c_str(), X_OK) != 0) {
    check.state = State::failed;
    check.detail = fmt::format("{}: no such program", printable(path));
    return;
  }
  const CommandResult result = run_command(quoted_for_shell(path) + " --version", kProgram_s,
                                           kMostOutput, "the worker's version");
  const std::string version(trim(result.output));
  check.detail = fmt::format("{}: {}", printable(path), printable(version));
  if (result.succeeded() && version == "lambdaml-worker " LAMBDAML_VERSION) {
    check.advice.clear();
    return;
  }
  check.state = State::failed;
  if (!result.succeeded())
    check.detail = fmt::format("{}: it does not tell its version: {}", printable(path),
                               result.reason.empty() ? "no answer" : result.reason);
  check.advice = "install the worker of version " LAMBDAML_VERSION;
}

void check_deep_models(Check& check) {
  try {
    model::engine_library();
    check.detail = "the library that runs networks is loaded";
  } catch (const Error& error) {
    check.detail = error.what();
    // Built without it: nothing is broken.
    check.state = error.code() == Code::invalid_argument ? State::skipped : State::warning;
    if (check.state == State::warning)
      check.advice = "only deep models need it: install libtorch, and lambdaml's library beside it";
  }
}

void check_shared_memory(Check& check) {
  const Uri uri = storage::resolve("file");
  const std::optional<fs::path> path = storage::local_file(uri);
  if (!path) {
    check.state = State::skipped;
    return;
  }
  const double mb = free_mb(*path);
  storage::require_own_place(uri);
  check_store(check, "file");
  check.detail = fmt::format("{}: {} free", path->string(), amount(mb));
  const std::string advice =
      "give it more (docker run --shm-size=1g, or mount -o remount,size=1g), or use "
      "--channel /FOLDER of a disk";
  if (mb < kSmallMB) warn(check, advice);
  if (mb < kLeastMB) check.state = State::failed;
}

void check_memory(Check& check, const Options& job) {
  const double machine = static_cast<double>(machine_memory_bytes()) / 1e6;
  const auto workers = static_cast<double>(job.integer("workers"));
  const auto each = static_cast<double>(job.integer("memory_mb"));
  check.detail = fmt::format("{:.0f} workers of at most {:.0f} MB, on a machine with {}", workers,
                             each, amount(machine));
  if (workers * each > machine)
    warn(check, "if they need so much at once, use fewer --workers or a smaller --memory-mb");
}

void check_descriptors(Check& check) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) fail_errno(errno, "the limit of descriptors");
  check.detail =
      limit.rlim_cur == RLIM_INFINITY ? "no limit" : fmt::format("{} at once", limit.rlim_cur);
  if (limit.rlim_cur < kFewDescriptors) warn(check, "raise the limit: ulimit -n 1024");
}

void check_output(Check& check, const Options& job) {
  const std::string& output = job.text("output");
  const fs::path path = fs::absolute(output.empty() ? "runs" : output);
  const fs::path folder = nearest_existing(path);
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    fail_errno(errno, fmt::format("writing into {}", folder.string()));
  check.detail = fmt::format("{}: {} free", path.string(), amount(free_mb(path)));
}

}  // namespace lambdaml::doctor
