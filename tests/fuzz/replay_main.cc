// Runs inputs of the fuzz targets again, without a fuzzer: NAME FILE-OR-FOLDER… A regression test
// by any compiler: what once ended a target must not do so again, nor take too long or too much
// memory, nor keep it.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/log.h"
#include "target.h"

namespace lambdaml::fuzz {

namespace {

namespace fs = std::filesystem;

constexpr unsigned kMostSeconds = 30;  ///< for an input, on a loaded machine
constexpr std::size_t kMostKept = 1 << 20;
constexpr long kMostMemory_kb = 2 << 20;  ///< at once, as the fuzzer's -rss_limit_mb

std::size_t in_use() { return ::mallinfo2().uordblks; }

/// Whether all is well; what is not is said.
bool replay(const Target& target, const fs::path& path) {
  const Buffer input = *read_file(path);
  const auto* data = reinterpret_cast<const std::uint8_t*>(input.data());
  std::printf("%s %s: ", target.name, path.filename().c_str());
  std::fflush(stdout);
  // What is made once stays: the second time nothing may.
  ::alarm(kMostSeconds);
  target.run(data, input.size());
  const std::size_t before = in_use();
  target.run(data, input.size());
  ::alarm(0);
  const std::size_t after = in_use();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const bool keeps = after > before + kMostKept;
  const bool is_large = usage.ru_maxrss > kMostMemory_kb;
  std::printf("%s\n", keeps ? "it keeps memory" : is_large ? "it takes too much memory" : "ok");
  return !keeps && !is_large;
}

int run(const std::vector<std::string>& arguments) {
  bool all_well = arguments.size() >= 2;
  std::size_t inputs = 0;
  for (const Target& target : kTargets) {
    if (arguments.empty() || arguments.front() != target.name) continue;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
      std::vector<fs::path> paths;
      if (fs::is_directory(arguments[i]))
        for (const auto& entry : fs::directory_iterator(arguments[i]))
          paths.push_back(entry.path());
      else
        paths.emplace_back(arguments[i]);
      for (const fs::path& path : paths) {
        all_well = replay(target, path) && all_well;
        ++inputs;
      }
    }
  }
  std::printf("%zu inputs\n", inputs);
  return all_well && inputs > 0 ? 0 : 1;
}

}  // namespace
}  // namespace lambdaml::fuzz

int main(int count, char** arguments) {
  lambdaml::log::configure(lambdaml::log::Level::off, lambdaml::log::Format::text);
  return lambdaml::fuzz::run({arguments + 1, arguments + count});
}
