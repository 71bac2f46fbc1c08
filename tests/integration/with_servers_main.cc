// Real servers beside any command, or under the orders of another program.
//
// lambdaml_with_servers SCHEME… -- COMMAND …: runs a command with real servers beside it. The
// command finds their stores' URIs in LAMBDAML_STORE_S3, LAMBDAML_STORE_REDIS, … and what else they
// need in its environment.
//
// lambdaml_with_servers SCHEME…: prints that environment, a NAME=VALUE a line, and then "ready".
// After that it obeys the lines of its standard input, each answered by "done" or an error:
//   stop SCHEME            kills the server
//   start SCHEME           starts it again on the same port and waits until it answers
//   signal SCHEME NUMBER   sends it a signal
// The servers end with the input. Exit code 3 says that a server's program is not on this machine.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "integration/servers.h"

namespace {

using namespace lambdaml;

constexpr int kMissing = 3;

std::string variable_of(const std::string& scheme) {
  std::string name = "LAMBDAML_STORE_" + scheme;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::toupper(c); });
  return name;
}

int run_command(char** command) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::execvp(command[0], command);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void obey(const std::string& order) {
  std::istringstream words(order);
  std::string verb, scheme;
  int number = 0;
  words >> verb >> scheme;
  const servers::Server& server = servers::get(scheme);
  if (verb == "stop")
    server.stop();
  else if (verb == "start")
    server.start();
  else if (verb == "signal" && words >> number)
    server.signal(number);
  else
    throw std::runtime_error("unknown order '" + order + "'");
}

void obey_all() {
  for (std::string order; std::getline(std::cin, order);) {
    try {
      obey(order);
      std::cout << "done" << std::endl;
    } catch (const std::exception& error) {
      std::string text = error.what();
      std::replace(text.begin(), text.end(), '\n', ' ');
      std::cout << text << std::endl;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  int at = 1;
  std::vector<std::string> environment;
  try {
    for (; at < argc && std::string(argv[at]) != "--"; ++at) {
      const servers::Server& server = servers::get(argv[at]);
      environment.push_back(variable_of(argv[at]) + "=" + server.uri);
      ::setenv(variable_of(argv[at]).c_str(), server.uri.c_str(), 1);
      environment.insert(environment.end(), server.environment.begin(), server.environment.end());
    }
  } catch (const servers::Missing& missing) {
    std::fprintf(stderr, "lambdaml_with_servers: %s\n", missing.what());
    return kMissing;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lambdaml_with_servers: %s\n", error.what());
    return 1;
  }
  if (at + 1 < argc) return run_command(argv + at + 1);
  if (argc == 1 || at < argc) {
    std::fprintf(stderr, "as: lambdaml_with_servers s3 redis [-- COMMAND …]\n");
    return 2;
  }
  for (const std::string& pair : environment) std::cout << pair << '\n';
  std::cout << "ready" << std::endl;
  obey_all();
  return 0;
}
