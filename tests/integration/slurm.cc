#include "integration/slurm.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string_view>

#include <pwd.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/programs/command.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::servers {
namespace {

namespace fs = std::filesystem;

constexpr double kStart_s = 60;

std::string short_host_name() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  const std::string whole = name;
  return whole.substr(0, whole.find('.'));
}

std::string user_name() {
  const passwd* user = getpwuid(getuid());
  return user == nullptr ? "root" : user->pw_name;
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

std::string Slurm::missing() {
  for (const char* program : {"munged", "slurmctld", "slurmd", "sbatch"})
    if (find_program(program).empty()) return program;
  return {};
}

Slurm::Slurm(const fs::path& folder)
    : folder_(folder), controller_port_(free_port()), node_port_(free_port()) {
  for (const char* part : {"state", "spool"}) fs::create_directories(folder_ / part);
  write_configuration();
  std::ofstream(folder_ / "munge.key") << std::string(1024, 'k');
  fs::permissions(folder_ / "munge.key", fs::perms::owner_read | fs::perms::owner_write);
  const auto option = [&](const char* name, const char* file) {
    return fmt::format("--{}={}", name, (folder_ / file).string());
  };
  munged_ = std::make_unique<Process>(
      std::vector<std::string>{find_program("munged"), "--foreground", "--force",
                               option("key-file", "munge.key"), option("socket", "munge.socket"),
                               option("pid-file", "munged.pid"), option("log-file", "munged.log"),
                               option("seed-file", "munged.seed")},
      folder_, "munged.out");
  const Deadline deadline = Deadline::in(kStart_s);
  while (!fs::exists(folder_ / "munge.socket") && !deadline.passed()) pause_for(0.02);
  const std::string configuration = (folder_ / "slurm.conf").string();
  controller_ = std::make_unique<Process>(
      std::vector<std::string>{find_program("slurmctld"), "-D", "-c", "-f", configuration}, folder_,
      "slurmctld.out");
  node_ =
      std::make_unique<Process>(std::vector<std::string>{find_program("slurmd"), "-D", "-N",
                                                         short_host_name(), "-f", configuration},
                                folder_, "slurmd.out");
  std::string state;
  while (!deadline.passed()) {
    const CommandResult asked =
        run_command(environment() + " sinfo --noheader --format=%T", 10, 1 << 16, "running sinfo");
    state = std::string(trim(asked.output)) + asked.reason;
    if (state == "idle") return;
    pause_for(0.1);
  }
  fail(Code::unavailable, "Slurm takes no jobs ({}): {}; {}", state, controller_->last_lines(),
       node_->last_lines());
}

Slurm::~Slurm() {
  try {
    run("scancel --me");
    const Deadline deadline = Deadline::in(10);
    while (!trim(run("squeue --noheader")).empty() && !deadline.passed()) pause_for(0.1);
  } catch (const std::exception&) {
    // It is about to be killed.
  }
}

std::string Slurm::environment() const { return "SLURM_CONF=" + (folder_ / "slurm.conf").string(); }

std::string Slurm::run(const std::string& command) const {
  const CommandResult result =
      run_command(environment() + " " + command, 60, 1 << 20, "running " + command);
  if (!result.succeeded()) fail(Code::internal, "{}: {}", command, result.reason);
  return result.output;
}

pid_t Slurm::process_of(int rank) const {
  const std::string rank_variable = fmt::format("SLURM_ARRAY_TASK_ID={}", rank);
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const auto id = to_integer(entry.path().filename().string());
    if (!id || content_of(entry.path() / "comm") != "lambdaml-worker\n") continue;
    const std::string variables = content_of(entry.path() / "environ");
    const auto has = [&](const std::string& variable) {
      return ('\0' + variables).find('\0' + variable + '\0') != std::string::npos;
    };
    if (has(rank_variable) && has(environment())) return static_cast<pid_t>(*id);
  }
  return 0;
}

void Slurm::write_configuration() const {
  std::ofstream(folder_ / "slurm.conf") << fmt::format(
      R"(ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={at}/munge.socket
SlurmctldPort={controller}
SlurmdPort={node}
SlurmctldPidFile={at}/slurmctld.pid
SlurmdPidFile={at}/slurmd.pid
StateSaveLocation={at}/state
SlurmdSpoolDir={at}/spool
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={processors} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
)",
      fmt::arg("host", short_host_name()), fmt::arg("user", user_name()),
      fmt::arg("at", folder_.string()), fmt::arg("controller", controller_port_),
      fmt::arg("node", node_port_), fmt::arg("processors", int{kProcessors}));
}

}  // namespace lambdaml::servers
