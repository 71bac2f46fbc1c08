#pragma once

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/runtime.h"

/// The handler of the tests' events: the first word of the payload is the mode, the others are its
/// arguments. The same handler runs in faas_test_function and, for platforms without processes, in
/// the test itself.
namespace lambdaml::faas::testing {

/// False for the caller that creates the file: for what must happen on the first attempt only.
inline bool was_here_before(const std::string& path) {
  if (std::filesystem::exists(path)) return true;
  std::ofstream(path) << "here";
  return false;
}

[[nodiscard]] inline std::vector<std::vector<char>> take_memory(std::size_t megabytes) {
  std::vector<std::vector<char>> blocks;
  for (std::size_t i = 0; i < megabytes; ++i) {
    blocks.emplace_back(1 << 20);
    std::memset(blocks.back().data(), 1, blocks.back().size());
  }
  return blocks;
}

inline std::string handle(const Invocation& invocation) {
  // A service accepts only JSON events, so there the words are in a string.
  if (invocation.payload.size() > 1 && invocation.payload.front() == '"') {
    Invocation plain = invocation;
    plain.payload = invocation.payload.substr(1, invocation.payload.size() - 2);
    return handle(plain);
  }
  const std::vector<std::string> words = split(invocation.payload, ' ');
  const std::string& mode = words.at(0);
  if (mode == "echo") return invocation.payload.substr(5);
  if (mode == "size") return std::to_string(invocation.payload.size());
  if (mode == "answer") return std::string(std::stoul(words.at(1)), 'a');
  if (mode == "id") return invocation.request_id;
  if (mode == "pid") return std::to_string(getpid());
  if (mode == "seconds_left") return std::to_string(invocation.deadline.seconds_left());
  if (mode == "variable") {
    const char* value = std::getenv(words.at(1).c_str());
    return value ? value : "(unset)";
  }
  if (mode == "throw") fail(code_from_string(words.at(1)), "{}", words.at(2));
  if (mode == "throw_first") {
    if (!was_here_before(words.at(1))) fail(Code::unavailable, "not yet");
    return "second";
  }
  if (mode == "id_twice") {
    const bool second = std::filesystem::exists(words.at(1));
    std::ofstream(words.at(1), std::ios::app) << invocation.request_id << '\n';
    if (!second) fail(Code::unavailable, "not yet");
    return invocation.request_id;
  }
  if (mode == "append") {
    std::ofstream(words.at(1), std::ios::app) << invocation.request_id + "\n";
    return "appended";
  }
  if (mode == "sleep") {
    std::this_thread::sleep_for(std::chrono::duration<double>(std::stod(words.at(1))));
    return "slept";
  }
  // Returns only when that many events run at the same time.
  if (mode == "rendezvous") {
    const std::filesystem::path folder = words.at(1);
    std::ofstream(folder / invocation.request_id) << "here";
    const std::size_t all = std::stoul(words.at(2));
    for (int pause_ms = 2;; pause_ms = std::min(2 * pause_ms, 100)) {
      std::size_t here = 0;
      for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++here;
      if (here == all) return "met";
      if (invocation.deadline.passed()) fail(Code::internal, "{} of {} came", here, all);
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    }
  }
  // The following modes require processes.
  if (mode == "exit") std::_Exit(std::stoi(words.at(1)));
  if (mode == "abort") std::abort();
  if (mode == "kill_first") {
    if (!was_here_before(words.at(1))) kill(getpid(), SIGKILL);
    return "second";
  }
  if (mode == "stop") {
    kill(getpid(), SIGSTOP);
    return "went on";
  }
  if (mode == "hang") {
    std::ofstream(words.at(1)) << getpid();
    while (true) pause();
  }
  if (mode == "hang_with_child") {
    const pid_t child = fork();
    if (child == 0) {
      while (true) pause();
    }
    std::ofstream(words.at(1)) << getpid() << ' ' << child;
    while (true) pause();
  }
  if (mode == "allocate") {
    return std::to_string(take_memory(std::stoul(words.at(1))).size());
  }
  if (mode == "allocate_unlimited") {
    rlimit limit{};
    getrlimit(RLIMIT_DATA, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_DATA, &limit);
    const auto held = take_memory(std::stoul(words.at(1)));
    while (!held.empty()) pause();
  }
  if (mode == "log") {
    const int lines = std::stoi(words.at(1));
    for (int i = 0; i < lines; ++i) fprintf(stderr, "line %d of the log\n", i);
    fprintf(stdout, "and this on stdout");
    fflush(stdout);
    if (words.size() > 2) std::_Exit(std::stoi(words.at(2)));
    return "logged";
  }
  if (mode == "descriptors") {
    std::vector<std::string> open;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
      open.push_back(std::filesystem::read_symlink(entry.path()).string());
    return join(open, "\n");
  }
  fail(Code::invalid_argument, "no such mode: {}", mode);
}

}  // namespace lambdaml::faas::testing
