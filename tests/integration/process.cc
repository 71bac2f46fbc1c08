#include "integration/process.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::servers {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

sockaddr_in loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  address.sin_port = ::htons(static_cast<std::uint16_t>(port));
  return address;
}

/// What the server says within a second to `request`, at least `enough` bytes of it; empty when it
/// does not accept the connection or says less.
std::string ask(int port, std::string_view request, std::size_t enough) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) fail_errno(errno, "opening a socket");
  const timeval second = {.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
  const sockaddr_in address = loopback(port);
  std::string answer;
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::send(socket, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    char buffer[256];
    ssize_t n = 0;
    while (answer.size() < enough && (n = ::recv(socket, buffer, sizeof buffer, 0)) > 0)
      answer.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(socket);
  return answer;
}

}  // namespace

fs::path find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  for (const std::string& folder : split(std::string(path ? path : "") + ":/usr/sbin:/sbin", ':')) {
    const fs::path program = fs::path(folder) / name;
    if (!folder.empty() && ::access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

namespace {

/// The first of the ports that the kernel gives to clients.
int first_port_of_clients() {
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  int first = 0;
  return range >> first && first > 20'000 ? first : 32'768;
}

bool can_be_bound(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) fail_errno(errno, "opening a socket");
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = loopback(port);
  const bool bound =
      ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return bound;
}

/// Whether the port is this process's from now on, as far as other tests are concerned.
bool reserve(const fs::path& folder, int port) {
  const fs::path file = folder / std::to_string(port);
  const int lock = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) fail_errno(errno, "opening " + file.string());
  // The lock is given back when the process ends.
  if (::flock(lock, LOCK_EX | LOCK_NB) == 0) return true;
  ::close(lock);
  return false;
}

}  // namespace

int free_port() {
  constexpr int kPorts = 12'000;
  const int end = first_port_of_clients();
  const fs::path folder =
      fs::temp_directory_path() / ("lambdaml-test-ports-" + std::to_string(::getuid()));
  fs::create_directories(folder);
  // Processes begin at different ports, and go on from there.
  static int next = static_cast<int>(::getpid()) * 61;
  for (int i = 0; i < kPorts; ++i, ++next) {
    const int port = end - 1 - next % kPorts;
    if (reserve(folder, port) && can_be_bound(port)) return port;
  }
  fail(Code::resource_exhausted, "no port below {} is free", end);
}

Process::Process(std::vector<std::string> command, fs::path folder, const std::string& log)
    : name_(fs::path(command.at(0)).filename().string()), log_(folder / log) {
  std::vector<char*> argv;
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) fail_errno(errno, "starting " + name_);
  if (pid_ > 0) return;
  // Between fork and exec only calls that a program with threads may make here.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  const int in = ::open("/dev/null", O_RDONLY);
  const int out = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(out, 2);
  if (::chdir(folder.c_str()) == 0) ::execv(argv[0], argv.data());
  const char message[] = "the program could not be run\n";
  (void)!::write(2, message, sizeof message - 1);
  ::_exit(127);
}

void Process::signal(int number) {
  if (!runs()) return;
  ::kill(pid_, number);
  if (number != SIGSTOP) return;
  int status = 0;
  ::waitpid(pid_, &status, WUNTRACED);
}

void Process::kill() {
  if (!runs()) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, &status_, 0);
  pid_ = -1;
}

bool Process::runs() {
  if (pid_ > 0 && ::waitpid(pid_, &status_, WNOHANG) != 0) pid_ = -1;
  return pid_ > 0;
}

int Process::wait(Deadline deadline) {
  for (milliseconds pause(1); runs(); pause = std::min(pause * 2, milliseconds(10))) {
    if (deadline.passed())
      fail(Code::deadline_exceeded, "{} has not ended in time: {}", name_, last_lines());
    std::this_thread::sleep_for(pause);
  }
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
}

std::string Process::last_lines() const {
  constexpr std::size_t kLines = 8;
  std::ifstream file(log_);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    if (!trim(line).empty()) lines.push_back(printable(line, 300));
  if (lines.empty()) return "it left no word";
  if (lines.size() > kLines) lines.erase(lines.begin(), lines.end() - kLines);
  return "its last words: " + join(lines, " | ");
}

void run(const std::vector<std::string>& command, const fs::path& folder, const std::string& log,
         Deadline deadline) {
  Process process(command, folder, log);
  if (const int code = process.wait(deadline); code != 0)
    fail(Code::internal, "{} ended with {}; {}", join(command, " "), code, process.last_lines());
}

void await_answer(Process& server, int port, std::string_view request, std::string_view answer,
                  Deadline deadline) {
  const Stopwatch waited;
  for (milliseconds pause(1);; pause = std::min(pause * 2, milliseconds(20))) {
    const bool answered = ask(port, request, answer.size()).starts_with(answer);
    // One that has ended did not answer: somebody else has its port.
    if (!server.runs())
      fail(Code::unavailable, "{} has ended; {}", server.name(), server.last_lines());
    if (answered) return;
    if (deadline.passed())
      fail(Code::unavailable, "{} does not answer on port {} after {}; {}", server.name(), port,
           human_seconds(waited.seconds()), server.last_lines());
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace lambdaml::servers
