#pragma once

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
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

/// One function for each mode. `words` are the mode and its arguments.
namespace modes {

using Words = std::vector<std::string>;

inline std::string echo(const Invocation& invocation, const Words&) {
  return invocation.payload.substr(5);
}
inline std::string size(const Invocation& invocation, const Words&) {
  return std::to_string(invocation.payload.size());
}
inline std::string answer(const Invocation&, const Words& words) {
  return std::string(std::stoul(words.at(1)), 'a');
}
inline std::string id(const Invocation& invocation, const Words&) { return invocation.request_id; }
inline std::string pid(const Invocation&, const Words&) { return std::to_string(getpid()); }
inline std::string seconds_left(const Invocation& invocation, const Words&) {
  return std::to_string(invocation.deadline.seconds_left());
}
inline std::string variable(const Invocation&, const Words& words) {
  const char* value = std::getenv(words.at(1).c_str());
  return value ? value : "(unset)";
}
inline std::string throw_error(const Invocation&, const Words& words) {
  fail(code_from_string(words.at(1)), "{}", words.at(2));
}
inline std::string throw_first(const Invocation&, const Words& words) {
  if (!was_here_before(words.at(1))) fail(Code::unavailable, "not yet");
  return "second";
}
inline std::string id_twice(const Invocation& invocation, const Words& words) {
  const bool second = std::filesystem::exists(words.at(1));
  std::ofstream(words.at(1), std::ios::app) << invocation.request_id << '\n';
  if (!second) fail(Code::unavailable, "not yet");
  return invocation.request_id;
}
inline std::string append(const Invocation& invocation, const Words& words) {
  std::ofstream(words.at(1), std::ios::app) << invocation.request_id + "\n";
  return "appended";
}
inline std::string sleep(const Invocation&, const Words& words) {
  pause_for(std::stod(words.at(1)));
  return "slept";
}
/// Returns only when that many events run at the same time.
inline std::string rendezvous(const Invocation& invocation, const Words& words) {
  const std::filesystem::path folder = words.at(1);
  std::ofstream(folder / invocation.request_id) << "here";
  const std::size_t all = std::stoul(words.at(2));
  for (double pause_s = 0.002;; pause_s = std::min(2 * pause_s, 0.1)) {
    std::size_t here = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++here;
    if (here == all) return "met";
    if (invocation.deadline.passed()) fail(Code::internal, "{} of {} came", here, all);
    pause_for(pause_s);
  }
}

// The following modes require processes.

[[noreturn]] inline void wait_forever() {
  while (true) pause();
}

inline std::string exit(const Invocation&, const Words& words) {
  std::_Exit(std::stoi(words.at(1)));
}
inline std::string abort(const Invocation&, const Words&) { std::abort(); }
inline std::string kill_first(const Invocation&, const Words& words) {
  if (!was_here_before(words.at(1))) ::kill(getpid(), SIGKILL);
  return "second";
}
inline std::string stop(const Invocation&, const Words&) {
  ::kill(getpid(), SIGSTOP);
  return "went on";
}
inline std::string hang(const Invocation&, const Words& words) {
  std::ofstream(words.at(1)) << getpid();
  wait_forever();
}
inline std::string hang_with_child(const Invocation&, const Words& words) {
  const pid_t child = fork();
  if (child == 0) wait_forever();
  std::ofstream(words.at(1)) << getpid() << ' ' << child;
  wait_forever();
}
inline std::string allocate(const Invocation&, const Words& words) {
  return std::to_string(take_memory(std::stoul(words.at(1))).size());
}
inline std::string allocate_unlimited(const Invocation&, const Words& words) {
  rlimit limit{};
  getrlimit(RLIMIT_DATA, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_DATA, &limit);
  const auto held = take_memory(std::stoul(words.at(1)));
  while (!held.empty()) pause();
  return "nothing to hold";
}
inline std::string log(const Invocation&, const Words& words) {
  const int lines = std::stoi(words.at(1));
  for (int i = 0; i < lines; ++i) fprintf(stderr, "line %d of the log\n", i);
  fprintf(stdout, "and this on stdout");
  fflush(stdout);
  if (words.size() > 2) std::_Exit(std::stoi(words.at(2)));
  return "logged";
}
inline std::string descriptors(const Invocation&, const Words&) {
  std::vector<std::string> open;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    open.push_back(std::filesystem::read_symlink(entry.path()).string());
  return join(open, "\n");
}

using Mode = std::string (*)(const Invocation&, const Words&);

inline const std::map<std::string, Mode>& all() {
  static const std::map<std::string, Mode> table = {{"echo", echo},
                                                    {"size", size},
                                                    {"answer", answer},
                                                    {"id", id},
                                                    {"pid", pid},
                                                    {"seconds_left", seconds_left},
                                                    {"variable", variable},
                                                    {"throw", throw_error},
                                                    {"throw_first", throw_first},
                                                    {"id_twice", id_twice},
                                                    {"append", append},
                                                    {"sleep", sleep},
                                                    {"rendezvous", rendezvous},
                                                    {"exit", exit},
                                                    {"abort", abort},
                                                    {"kill_first", kill_first},
                                                    {"stop", stop},
                                                    {"hang", hang},
                                                    {"hang_with_child", hang_with_child},
                                                    {"allocate", allocate},
                                                    {"allocate_unlimited", allocate_unlimited},
                                                    {"log", log},
                                                    {"descriptors", descriptors}};
  return table;
}

}  // namespace modes

inline std::string handle(const Invocation& invocation) {
  // A service accepts only JSON events, so there the words are in a string.
  if (invocation.payload.size() > 1 && invocation.payload.front() == '"') {
    Invocation plain = invocation;
    plain.payload = invocation.payload.substr(1, invocation.payload.size() - 2);
    return handle(plain);
  }
  const std::vector<std::string> words = split(invocation.payload, ' ');
  const auto mode = modes::all().find(words.at(0));
  if (mode == modes::all().end()) fail(Code::invalid_argument, "no such mode: {}", words.at(0));
  return mode->second(invocation, words);
}

}  // namespace lambdaml::faas::testing
