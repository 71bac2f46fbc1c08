#include "lambdaml/dashboard/resumed.h"

#include <cerrno>
#include <csignal>
#include <optional>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::dashboard {
namespace {

namespace fs = std::filesystem;

/// A child with no input, whose output goes to the file.
pid_t spawn(std::vector<std::string> words, int output) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, usual;
  sigemptyset(&none);
  sigfillset(&usual);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, arguments.front(), &files, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) fail_errno(error, "starting " + words.front());
  return pid;
}

std::string last_line_of(const fs::path& log) {
  const std::optional<Buffer> text = read_file(log);
  if (!text) return {};
  const std::string_view lines = trim(text->text());
  return printable(lines.substr(lines.rfind('\n') + 1), 500);
}

}  // namespace

void Resumed::start(const Place& place, const std::string& id) {
  const std::optional<fs::path> folder = storage::local_file(Uri::parse(place.where));
  if (!folder || program_.empty())
    fail(Code::invalid_argument, "{}: it is resumed where its folder is", place.where);
  const std::lock_guard lock(mutex_);
  if (processes_.contains(id))
    fail(Code::already_exists, "{}: it is being resumed already", utf8_path(folder->string()));
  const fs::path log = *folder / "resume.log";
  const FileDescriptor output = open_to_append(log);
  std::vector<std::string> words{program_};
  if (place.kind == Place::Kind::search)
    words.insert(words.end(), {"tune", "--resume"});
  else
    words.emplace_back("resume");
  words.push_back(folder->string());
  processes_[id] = {spawn(std::move(words), output.get()), log};
}

std::vector<Resumed::End> Resumed::ended() {
  std::vector<End> out;
  const std::lock_guard lock(mutex_);
  std::erase_if(processes_, [&](const auto& entry) {
    int status = 0;
    if (::waitpid(entry.second.pid, &status, WNOHANG) == 0) return false;
    const bool succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    out.push_back({entry.first, succeeded ? "" : last_line_of(entry.second.log)});
    return true;
  });
  return out;
}

}  // namespace lambdaml::dashboard
