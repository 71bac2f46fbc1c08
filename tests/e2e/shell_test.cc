// Commands among others in a shell: ignored signals, closed pipes, sockets, questions.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <regex>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "e2e/command.h"
#include "lambdaml/base/deadline.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class InAShell : public CliTest {
 protected:
  /// Runs `lambdaml ARGUMENTS…` in a process that `prepare` has given other descriptors; its exit
  /// code, or 128 + the signal that ended it. What it says on stderr is in the file `err`.
  int run_with(const std::function<void()>& prepare, const std::vector<std::string>& arguments) {
    const pid_t child = ::fork();
    if (child == 0) {
      const int err = ::open((folder() / "err").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      ::dup2(err, STDERR_FILENO);
      if (::chdir(folder().c_str()) != 0) ::_exit(126);
      prepare();
      const std::string program = std::string(LAMBDAML_BIN_DIR) + "/lambdaml";
      std::vector<char*> argv{const_cast<char*>(program.c_str())};
      for (const std::string& argument : arguments)
        argv.push_back(const_cast<char*>(argument.c_str()));
      argv.push_back(nullptr);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string err() const { return read(folder() / "err"); }
  /// What `lambdaml ARGUMENTS…` shows on a terminal of 80 columns.
  std::string shown_on_a_terminal(const char* locale, const std::vector<std::string>& arguments) {
    const int screen = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT_GE(screen, 0);
    EXPECT_TRUE(::grantpt(screen) == 0 && ::unlockpt(screen) == 0);
    const winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    EXPECT_EQ(::ioctl(screen, TIOCSWINSZ, &size), 0);
    const int terminal = ::open(::ptsname(screen), O_RDWR | O_NOCTTY | O_CLOEXEC);
    EXPECT_GE(terminal, 0);
    std::string shown;
    std::thread reader([&] {
      char buffer[4096];
      for (ssize_t n = 0; (n = ::read(screen, buffer, sizeof buffer)) > 0;)
        shown.append(buffer, static_cast<std::size_t>(n));
    });
    const auto on_it = [&] {
      ::dup2(terminal, STDOUT_FILENO);
      ::dup2(terminal, STDERR_FILENO);
      ::setenv("TERM", "xterm", 1);
      ::setenv("NO_COLOR", "1", 1);
      ::setenv("LC_ALL", locale, 1);
    };
    EXPECT_EQ(run_with(on_it, arguments), 0);
    ::close(terminal);  // the last one who could write: the reader ends
    reader.join();
    ::close(screen);
    return shown;
  }
};

TEST_F(InAShell, WhatNobodyReadsEndsTheCommandQuietly) {
  write("data.libsvm", "1 1:1\n0 1:2\n1 1:3\n0 1:1\n");
  ASSERT_EQ(lambdaml({"train", "--data", "data.libsvm", "--workers", "1", "--epochs", "1", "--lr",
                      "0.1", "--output", "run", "-q"})
                .exit_code,
            0);
  const auto closed_pipe = [] {
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(125);
    ::close(ends[0]);  // as when head(1) has ended
    ::dup2(ends[1], STDOUT_FILENO);
  };
  const std::vector<std::vector<std::string>> commands = {
      {"ls", "."},
      {"status", "run"},
      {"status", "run", "--json"},
      {"logs", "run"},
      {"options"},
      {"data", "info", "data.libsvm"},
      {"data", "synth", "higgs", "--rows", "10", "-o", "-"},
      {"storage", "ls", "run"},
      {"storage", "get", "run", "run.json"},
      {"predict", "--model", "run/model.safetensors", "--data", "data.libsvm", "-q"},
      {"resume", "run", "-q"}};
  for (const std::vector<std::string>& command : commands) {
    EXPECT_EQ(run_with(closed_pipe, command), 141) << command.front();
    EXPECT_EQ(err(), "") << command.front();
  }
  // A disk that is full is an error as before.
  const auto full = [] { ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO); };
  EXPECT_EQ(run_with(full, {"options"}), 1);
  EXPECT_THAT(err(), HasSubstr("writing to standard output: No space left on device"));
}

TEST_F(InAShell, ClosedStreamsTakeNothingFromFiles) {
  write("data.libsvm", "1 1:1\n0 1:2\n1 1:3\n0 1:1\n");
  const auto closed = [] {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(stream);
  };
  EXPECT_EQ(run_with(closed, {"train", "--data", "data.libsvm", "--workers", "2", "--epochs", "1",
                              "--lr", "0.1", "--output", "run"}),
            0);
  EXPECT_EQ(lambdaml({"model", "run"}).exit_code, 0);
  EXPECT_EQ(run_with([] { ::close(STDIN_FILENO); }, {"data", "info", "-"}), 2);
  EXPECT_THAT(err(), HasSubstr("the data set is empty"));
}

TEST_F(InAShell, StandardInputMayBeASocket) {
  const auto socket_of = [](const std::string& text) {
    return [text] {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) ::_exit(125);
      if (::write(ends[1], text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        ::_exit(125);
      ::close(ends[1]);
      ::dup2(ends[0], STDIN_FILENO);
    };
  };
  const std::string rows = "1 1:1\n0 1:2\n1 1:3\n0 1:1\n";
  EXPECT_EQ(run_with(socket_of("hello"), {"storage", "put", "store", "key", "-"}), 0) << err();
  EXPECT_EQ(lambdaml({"storage", "get", "store", "key", "-"}).out, "hello");
  EXPECT_EQ(run_with(socket_of(rows), {"data", "info", "/dev/stdin", "-q"}), 0) << err();
  EXPECT_EQ(run_with(socket_of(rows), {"train", "--data", "/dev/stdin", "--workers", "1",
                                       "--epochs", "1", "--output", "run", "-q"}),
            0)
      << err();
  EXPECT_EQ(run_with(socket_of(rows),
                     {"predict", "--model", "run/model.safetensors", "--data", "/dev/stdin", "-q"}),
            0)
      << err();
  const std::string job = "{data: rows, workers: 1, epochs: 1, output: again}";
  write("rows", rows);
  EXPECT_EQ(run_with(socket_of(job), {"train", "/dev/stdin", "-q"}), 0) << err();
}

TEST_F(InAShell, ASignalThatWasIgnoredAtTheStartStaysIgnored) {
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "4000", "-o", "data.libsvm"}).exit_code,
            0);
  const auto with_ignored = [&](int signal, const std::vector<std::string>& arguments) {
    ::signal(signal, SIG_IGN);  // as nohup(1) does, or a shell for a job in the background
    auto command = std::make_unique<Command>(folder(), arguments);
    ::signal(signal, SIG_DFL);
    return command;
  };
  for (const int signal : {SIGHUP, SIGINT}) {
    const std::string run = "run-" + std::to_string(signal);
    const auto job =
        with_ignored(signal, {"train", "--data", "data.libsvm", "--workers", "2", "--batch-size",
                              "100", "--epochs", "30", "--output", run, "-q"});
    ASSERT_TRUE(wait_for_epochs(*job, folder() / run / "metrics.jsonl", 1));
    job->signal(signal);
    const Result result = job->wait();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(fs::exists(folder() / run / "model.safetensors"));
  }
  for (const char* server : {"emulate", "ps"}) {
    const auto command = with_ignored(SIGHUP, {server, "--port", "0"});
    const Deadline end = Deadline::in(60);
    while (command->out_so_far().find("listening on ") == std::string::npos && !end.passed())
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    command->signal(SIGHUP);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    EXPECT_TRUE(command->runs()) << server;
    command->signal(SIGTERM);
    EXPECT_EQ(command->wait().exit_code, 0) << server;
  }
}

TEST_F(InAShell, StorageCommandsRefuseWhatCannotBeMeant) {
  write("model.bin", "model");
  fs::create_directories(folder() / "o1");
  write("o1/model.bin", "model");
  const std::string store = (folder() / "store").string();
  const std::vector<std::pair<std::vector<std::string>, std::string>> commands = {
      // Arguments as of cp: an object and a file, and no key.
      {{"put", store + "/model.bin", "o1/model.bin"}, "'o1/model.bin' is a file of this machine"},
      {{"put", store + "/m/absent.bin", "o2/absent.bin"}, "'o2/absent.bin' end in absent.bin"},
      {{"put", store, "key", "o1"}, "o1: it is a folder"},
      {{"put", store, "key", "s3://b/key"}, "'s3://b/key' is a URI"},
      {{"put", "model.bin", "file://" + store + "/model.bin"}, "is no key"},
      {{"put", store, "key"}, "standard input is empty"},
      {{"put", store, "-"}, "'-' is no key"},
      {{"put", store, "", "model.bin"}, "is no key"},
      {{"put", store, "a/", "model.bin"}, "is no key"},
      {{"put", store, "/a", "model.bin"}, "is no key"},
      {{"put", store, "key", "none"}, "none: no such file"},
      {{"get", store, "-"}, "'-' is no key"},
      {{"get", store, "s3://b/key"}, "is no key"},
      {{"rm", store, "s3://b/key"}, "is no key"}};
  for (const auto& [arguments, why] : commands) {
    std::vector<std::string> all{"storage"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Result result = lambdaml(all);  // its standard input is /dev/null
    EXPECT_EQ(result.exit_code, 2) << why;
    EXPECT_THAT(result.err, HasSubstr(why));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
  }
  EXPECT_FALSE(fs::exists(store)) << "something was saved";
  // An empty value, if that is what is meant.
  EXPECT_EQ(lambdaml({"storage", "put", store, "empty", "-"}).exit_code, 0);
  EXPECT_EQ(lambdaml({"storage", "put", store, "key", "model.bin"}).exit_code, 0);
  EXPECT_EQ(lambdaml({"storage", "get", store, "empty", "-"}).out, "");
  EXPECT_EQ(lambdaml({"storage", "get", store, "key", "copy"}).exit_code, 0);
  EXPECT_EQ(lambdaml({"storage", "get", store, "key", "-o", "copy2"}).exit_code, 0);
  EXPECT_EQ(read(folder() / "copy") + read(folder() / "copy2"), "modelmodel");
}

TEST_F(InAShell, ProgressShowsWholePartsOnANarrowTerminal) {
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "4000", "-o", "data.libsvm"}).exit_code,
            0);
  // In the locale C a column is a byte.
  const std::string shown = shown_on_a_terminal("C", {"train", "--data", "data.libsvm", "--workers",
                                                      "4", "--batch-size", "50", "--epochs", "40"});

  const std::string redraw = "\r\x1b[K";
  const std::regex part(
      R"(epoch \d+/40( \+\d?\d %)?|[a-z ]+ \d[\d.e+-]*|workers \d/4|.+ left|\$\d[\d.e+-]*|compute \d+ % comm \d+ %)");
  std::size_t frames = 0;
  for (std::size_t at = shown.find(redraw); at != std::string::npos; ++frames) {
    at += redraw.size();
    const std::size_t end = shown.find(redraw, at);
    std::string frame = shown.substr(at, end - at);
    frame = frame.substr(0, frame.find('\r'));
    EXPECT_LT(frame.size(), 80U + 1) << frame;  // "µ" has two bytes
    for (std::size_t begin = 0; begin < frame.size();) {
      const std::size_t next = std::min(frame.find("  ", begin), frame.size());
      EXPECT_TRUE(std::regex_match(frame.substr(begin, next - begin), part)) << "'" << frame << "'";
      begin = next + 2;
    }
    at = end;
  }
  EXPECT_GT(frames, 1U) << shown;
  EXPECT_THAT(shown, testing::AllOf(HasSubstr(" left  $"), HasSubstr("  loss ")))
      << "what matters most is shown";
}

TEST_F(InAShell, EightyColumnsHoldTheSparklineAndTheSummary) {
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "4000", "-o", "data.libsvm"}).exit_code,
            0);
  const std::string shown = shown_on_a_terminal(
      "C.UTF-8", {"train", "--data", "data.libsvm", "--workers", "4", "--optim", "model_avg",
                  "--batch-size", "50", "--epochs", "40", "--servers", "2*cache.t4g.small"});
  std::size_t lines = 0, begin = 0;
  for (std::size_t end = 0; begin < shown.size(); begin = end + 1, ++lines) {
    end = std::min(shown.find_first_of("\r\n", begin), shown.size());
    std::string line = shown.substr(begin, end - begin);
    if (line.starts_with("\x1b[K")) line.erase(0, 3);
    const auto columns = std::ranges::count_if(line, [](char c) { return (c & 0xC0) != 0x80; });
    EXPECT_TRUE(columns <= 80 || line.starts_with("model     ")) << line;
  }
  EXPECT_GT(lines, 10U) << shown;
  EXPECT_TRUE(std::regex_search(
      shown, std::regex("\r\x1b\\[Kepoch [^\r]*  (▁|▂|▃|▄|▅|▆|▇|█)+  loss [^\r]*")))
      << shown;
  EXPECT_THAT(shown, HasSubstr("compute and checkpoints "));
  EXPECT_THAT(shown, HasSubstr(" before and after them"));
}

TEST_F(InAShell, UnknownOptionsAreHintedAtByTheirNamesNotTheirDashes) {
  const auto error = [&](const std::string& option) {
    return lambdaml({"train", option, "1"}).err;
  };
  EXPECT_THAT(error("--learning-rate"), HasSubstr("did you mean '--lr'?"));
  EXPECT_THAT(error("--epoch"), HasSubstr("did you mean '--epochs'?"));
  for (const char* other : {"--k", "--q", "---"})
    EXPECT_THAT(error(other), testing::Not(HasSubstr("did you mean"))) << other;
}

}  // namespace
}  // namespace lambdaml::e2e
