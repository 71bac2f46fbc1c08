#include "lambdaml/faas/sandbox/process.h"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LAMBDAML_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define LAMBDAML_SANITIZED 1
#endif
#endif

namespace lambdaml::faas::sandbox {
namespace {

#ifdef LAMBDAML_SANITIZED
constexpr bool kLimitMemory = false;
#else
constexpr bool kLimitMemory = true;
#endif

/// Everything that the child needs between vfork and exec, prepared in advance: the child shares
/// the parent's memory there and must neither allocate nor lock.
struct Launch {
  const char* path;
  const char* folder;  ///< null: the parent's
  char* const* argv;
  char* const* envp;
  int null;
  int output;
  int report;  ///< gets errno when exec fails; closed by exec otherwise
  pid_t parent;
  int memory_mb;
  int descriptors;
};

/// The child's descriptor for `report`; inherited descriptors must be above it.
constexpr int kReport = 3;

/// Moves a descriptor out of the range of the child's standard descriptors, in case the parent has
/// none of these open.
FileDescriptor checked(int fd, const std::string& doing) {
  FileDescriptor out(fd);
  if (out && out.get() <= kReport) out = FileDescriptor(fcntl(fd, F_DUPFD_CLOEXEC, kReport + 1));
  if (!out) fail_errno(errno, doing);
  return out;
}

struct Pipe {
  explicit Pipe(const std::string& doing) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) fail_errno(errno, doing);
    out = FileDescriptor(ends[0]);
    in = checked(ends[1], doing);
  }
  FileDescriptor out;
  FileDescriptor in;
};

void close_all_from(int first, int soft_limit) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
#endif
  for (int fd = first; fd < soft_limit; ++fd) close(fd);
}

[[noreturn]] void run_child(const Launch& launch) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before that call; then nothing would kill this process.
  if (getppid() != launch.parent) _exit(127);
  setsid();
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(launch.null, STDIN_FILENO);
  dup2(launch.output, STDOUT_FILENO);
  dup2(launch.output, STDERR_FILENO);
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  dup3(launch.report, kReport, O_CLOEXEC);
  close_all_from(kReport + 1, static_cast<int>(limit.rlim_cur));
  if (launch.descriptors > 0 && static_cast<rlim_t>(launch.descriptors) < limit.rlim_max) {
    limit.rlim_cur = static_cast<rlim_t>(launch.descriptors);
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (kLimitMemory && launch.memory_mb > 0 && getrlimit(RLIMIT_DATA, &limit) == 0) {
    const rlim_t bytes = static_cast<rlim_t>(launch.memory_mb) << 20;
    if (bytes < limit.rlim_max) {
      limit.rlim_cur = bytes;
      setrlimit(RLIMIT_DATA, &limit);
    }
  }
  if (launch.folder == nullptr || chdir(launch.folder) == 0)
    execve(launch.path, launch.argv, launch.envp);
  const int error = errno;
  [[maybe_unused]] const ssize_t n = write(kReport, &error, sizeof(error));
  _exit(127);
}

/// Uses vfork because fork copies the page tables, which is slow for a parent that holds a data
/// set. A separate function, so that no variable of the caller is clobbered.
__attribute__((noinline)) pid_t launch_child(const Launch& launch) {
  const pid_t child = vfork();
  if (child == 0) run_child(launch);
  return child;
}

/// Null-terminated, as exec requires; the strings must outlive it.
std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Process::Process(const ProcessSettings& settings) {
  const std::string doing = fmt::format("cannot start {}", settings.executable.string());
  Pipe output(doing), report(doing);
  const FileDescriptor null = checked(open("/dev/null", O_RDONLY | O_CLOEXEC), doing);

  const std::string path = settings.executable.string();
  const std::string folder = settings.folder.string();
  const std::vector<std::string> arguments{path};
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(settings.environment);
  const Launch launch{.path = path.c_str(),
                      .folder = folder.empty() ? nullptr : folder.c_str(),
                      .argv = argv.data(),
                      .envp = envp.data(),
                      .null = null.get(),
                      .output = output.in.get(),
                      .report = report.in.get(),
                      .parent = getpid(),
                      .memory_mb = settings.memory_mb,
                      .descriptors = settings.descriptors};
  // No signal handler of the parent may run in the child while the two share memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  id_ = launch_child(launch);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (id_ < 0) fail(Code::resource_exhausted, "{}: {}", doing, strerror(error));
  report.in.reset();
  if (int exec_error = 0; read(report.out.get(), &exec_error, sizeof(exec_error)) > 0) {
    waitpid(id_, nullptr, 0);
    fail_errno(exec_error, doing);
  }
  fcntl(output.out.get(), F_SETFL, O_NONBLOCK);
  output_ = std::move(output.out);
#ifdef SYS_pidfd_open
  end_ = FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, id_, 0)));
#endif
}

Process::~Process() {
  if (id_ < 0 || status_) return;
  kill();
  while (waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Process::kill() {
  // Once the process is reaped, its id may belong to another one.
  if (!status_) ::kill(-id_, SIGKILL);
}

void Process::freeze(bool frozen) {
  if (!status_) ::kill(-id_, frozen ? SIGSTOP : SIGCONT);
}

std::optional<int> Process::try_reap() {
  if (status_) return status_;
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
    // The host program ignores SIGCHLD or waits for every child.
    if (errno == ECHILD) status_ = kStatusUnknown;
    return status_;
  }
  if (info.si_pid == 0) return std::nullopt;
  // While the process is a zombie, its group id is not reused.
  kill();
  int status = 0;
  if (waitpid(id_, &status, 0) != id_) return std::nullopt;
  status_ = status;
  return status_;
}

std::string describe_status(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return fmt::format("killed by signal {} (SIG{})", WTERMSIG(status), name ? name : "?");
  }
  if (!WIFEXITED(status)) return "ended in an unknown way";
  return fmt::format("exited with code {}", WEXITSTATUS(status));
}

std::size_t private_memory(pid_t process) {
  // statm is several times cheaper to read than status and equivalent: RssAnon = resident - shared.
  const FileDescriptor file(
      open(fmt::format("/proc/{}/statm", process).c_str(), O_RDONLY | O_CLOEXEC));
  char text[128];
  const ssize_t n = file ? read(file.get(), text, sizeof(text) - 1) : 0;
  if (n <= 0) return 0;
  text[n] = '\0';
  unsigned long size = 0, resident = 0, shared = 0;
  if (std::sscanf(text, "%lu %lu %lu", &size, &resident, &shared) != 3 || shared > resident)
    return 0;
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (resident - shared) * page;
}

int reserve_descriptors(std::size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail_errno(errno, "cannot read the limit on files");
  const auto before = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
  // The lowest free descriptor is assigned first, so the next one roughly tells how many are open.
  const FileDescriptor next(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!next) fail_errno(errno, "cannot open /dev/null");
  const rlim_t needed = static_cast<rlim_t>(next.get()) + wanted;
  if (needed <= limit.rlim_cur) return before;
  if (needed > limit.rlim_max)
    fail(Code::resource_exhausted,
         "{} open files are needed and {} allowed; raise the limit (ulimit -n) or start fewer "
         "workers",
         needed, limit.rlim_max);
  limit.rlim_cur = needed;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail_errno(errno, "cannot raise the limit on files");
  return before;
}

}  // namespace lambdaml::faas::sandbox
