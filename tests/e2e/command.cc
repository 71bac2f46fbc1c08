#include "e2e/command.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

fs::path data_folder() {
  if (const char* folder = std::getenv("LAMBDAML_TEST_DATA")) return folder;
  return fs::path(LAMBDAML_SOURCE_DIR) / ".." / "shared" / "data";
}

}  // namespace

nlohmann::json Result::json() const {
  std::string text = out;
  while (text.ends_with('\n')) text.pop_back();
  const std::size_t begin = text.rfind('\n');
  return nlohmann::json::parse(begin == std::string::npos ? text : text.substr(begin + 1));
}

Command::Command(const fs::path& folder, const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment)
    : Command(folder, folder, arguments, environment) {}

Command::Command(const fs::path& folder, const fs::path& outputs,
                 const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment) {
  static std::atomic<int> serial{0};
  const int number = serial++;
  out_ = outputs / (".out" + std::to_string(number));
  err_ = outputs / (".err" + std::to_string(number));
  const fs::path executable = fs::path(LAMBDAML_BIN_DIR) / "lambdaml";
  pid_ = ::fork();
  if (pid_ != 0) return;
  const int out = ::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const int err = ::open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const int in = ::open("/dev/null", O_RDONLY);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  if (::chdir(folder.c_str()) != 0) ::_exit(126);
  for (const std::string& pair : environment) ::putenv(::strdup(pair.c_str()));
  std::vector<char*> argv{const_cast<char*>(executable.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(executable.c_str(), argv.data());
  ::_exit(127);
}

Command::~Command() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::string Command::out_so_far() const { return slurp(out_); }

std::string Command::err_so_far() const { return slurp(err_); }

void Command::signal(int number) const { ::kill(pid_, number); }

std::vector<pid_t> Command::workers() const {
  std::vector<pid_t> out;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string stat = slurp(entry.path() / "stat");
    const std::size_t end = stat.rfind(')');
    if (end == std::string::npos) continue;
    char state = 0;
    pid_t parent = 0;
    if (std::sscanf(stat.c_str() + end + 1, " %c %d", &state, &parent) != 2) continue;
    if (parent == pid_ && state != 'Z') out.push_back(std::stoi(name));
  }
  return out;
}

bool Command::runs() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

Result Command::wait() {
  int status = 0;
  struct rusage usage {};
  ::wait4(pid_, &status, 0, &usage);
  pid_ = -1;
  Result result;
  result.most_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) << 10U;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = slurp(out_);
  result.err = slurp(err_);
  return result;
}

bool wait_for_epochs(const Command& command, const fs::path& metrics, std::size_t lines) {
  const Deadline patience = Deadline::in(90);
  while (!patience.passed()) {
    const bool runs = command.runs();
    std::error_code error;
    if (fs::exists(metrics, error)) {
      std::size_t have = 0;
      FILE* file = std::fopen(metrics.c_str(), "r");
      for (int c = 0; file != nullptr && (c = std::fgetc(file)) != EOF;) have += c == '\n' ? 1 : 0;
      if (file != nullptr) std::fclose(file);
      if (have >= lines) return true;
    }
    if (!runs) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

Result CliTest::lambdaml(const std::vector<std::string>& arguments,
                         const std::vector<std::string>& environment) const {
  return Command(folder(), arguments, environment).wait();
}

nlohmann::json CliTest::train(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), {"train", "--json", "-q"});
  const Result result = lambdaml(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  if (result.exit_code != 0) return nlohmann::json::object();
  return result.json();
}

fs::path CliTest::write(const std::string& name, const std::string& text) const {
  const fs::path path = folder() / name;
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

std::string CliTest::read(const fs::path& path) { return slurp(path); }

bool have_real_data() { return fs::exists(data_folder() / "higgs.train.libsvm"); }

std::string real_data(const std::string& name) {
  return fs::weakly_canonical(data_folder() / name).string();
}

}  // namespace lambdaml::e2e
