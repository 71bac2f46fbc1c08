#pragma once

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "e2e/command.h"
#include "integration/process.h"
#include "lambdaml/base/error.h"
#include "lambdaml/ps/address.h"

namespace lambdaml::e2e {

/// Runs `lambdaml ps` in the test's folder.
class PsTest : public CliTest {
 protected:
  /// A server with these arguments beside `--port`; waits until it listens.
  std::unique_ptr<servers::Process> serve(std::vector<std::string> arguments, int port) {
    arguments.insert(arguments.begin(),
                     {LAMBDAML_BIN_DIR "/lambdaml", "ps", "--port", std::to_string(port)});
    return start(arguments, "server.log", "listening on ");
  }
  /// Starts a program and waits until it has said `word` once more than before.
  std::unique_ptr<servers::Process> start(const std::vector<std::string>& command,
                                          const std::string& log, const std::string& word) {
    const auto times = [&] {
      std::size_t n = 0;
      const std::string text = read(folder() / log);
      for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; ++at) ++n;
      return n;
    };
    const std::size_t before = times();
    auto process = std::make_unique<servers::Process>(command, folder(), log);
    const Deadline patience = Deadline::in(20);
    while (times() == before) {
      if (!process->runs() || patience.passed())
        fail(Code::unavailable, "it does not start: {}", process->last_lines());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return process;
  }
  static ps::Address address_at(int port, const std::string& token = {}) {
    ps::Address address;
    address.host = "127.0.0.1";
    address.port = static_cast<std::uint16_t>(port);
    address.token = token;
    return address;
  }
};

/// Of a process, in KiB.
inline std::size_t resident_memory(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;)
    if (word == "VmRSS:") {
      std::size_t kib = 0;
      status >> kib;
      return kib;
    }
  return 0;
}

}  // namespace lambdaml::e2e
