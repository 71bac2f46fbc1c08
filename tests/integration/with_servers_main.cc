// lambdaml_with_servers SCHEME… -- COMMAND …: runs a command with real servers beside it. The
// command finds their stores' URIs in LAMBDAML_STORE_S3, LAMBDAML_STORE_REDIS, … and what else they
// need in its environment.
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "integration/servers.h"

int main(int argc, char** argv) {
  using namespace lambdaml;
  int at = 1;
  try {
    for (; at < argc && std::string(argv[at]) != "--"; ++at) {
      std::string name = std::string("LAMBDAML_STORE_") + argv[at];
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return std::toupper(c); });
      ::setenv(name.c_str(), servers::get(argv[at]).uri.c_str(), 1);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lambdaml_with_servers: %s\n", error.what());
    return 1;
  }
  if (at + 1 >= argc) {
    std::fprintf(stderr, "as: lambdaml_with_servers s3 redis -- COMMAND …\n");
    return 2;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::execvp(argv[at + 1], argv + at + 1);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
