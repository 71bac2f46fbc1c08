#include "services.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <pybind11/stl.h>
#include <unistd.h>

#include "gil.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/dashboard/live_views.h"
#include "lambdaml/deploy/deployment.h"
#include "lambdaml/deploy/own_service.h"
#include "lambdaml/deploy/package.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "work.h"

namespace lambdaml::python {
namespace {

namespace py = pybind11;
namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

template <class Value>
void take(const json& from, const char* name, Value& to) {
  if (const auto found = from.find(name); found != from.end()) to = found->get<Value>();
}
template <class Value>
void take(const json& from, const char* name, std::optional<Value>& to) {
  if (const auto found = from.find(name); found != from.end()) to = found->get<Value>();
}

deploy::DeployOptions deploy_options(const std::string& text) {
  const json from = json::parse(text);
  deploy::DeployOptions out;
  out.version = LAMBDAML_VERSION;
  take(from, "zip", out.zip);
  take(from, "image", out.image);
  take(from, "function", out.function);
  take(from, "handler", out.handler);
  take(from, "model", out.model);
  take(from, "role", out.role);
  take(from, "code_bucket", out.code_bucket);
  take(from, "memory_mb", out.memory_mb);
  take(from, "timeout_s", out.timeout_s);
  take(from, "ephemeral_mb", out.ephemeral_mb);
  take(from, "env", out.environment);
  take(from, "arch", out.architecture);
  take(from, "subnets", out.subnets);
  take(from, "security_groups", out.security_groups);
  take(from, "file_system", out.file_system);
  take(from, "reserved_concurrency", out.reserved_concurrency);
  take(from, "retries", out.retries);
  take(from, "max_event_age_s", out.max_event_age_s);
  take(from, "schedule", out.starts.schedule);
  take(from, "on_upload", out.starts.on_upload);
  take(from, "dry_run", out.dry_run);
  return out;
}

/// The job's options that are given by a file, or by the text of one, as the trigger takes them.
std::string event_of(const std::string& file, const std::string& text) {
  if (file.empty() && text.empty()) return "";
  Options options = job::job_options();
  if (text.empty())
    job::read_job_file(file, options);
  else
    job::read_job_text(text, "the job", options);
  return json_text(job::to_json(options, job::Values::given));
}

std::unique_ptr<Job> deploy_functions(const std::string& options, const std::string& job_file,
                                      const std::string& job_text) {
  return std::make_unique<Job>(
      [wanted = deploy_options(options), job_file, job_text](Progress&) mutable {
        wanted.starts.job = event_of(job_file, job_text);
        aws::LambdaClient client;
        ordered_json all = ordered_json::array();
        for (const deploy::Deployed& deployed : deploy::deploy(client, wanted))
          all.push_back(deploy::to_json(deployed));
        return all;
      });
}

std::unique_ptr<Job> destroy_functions(const std::vector<std::string>& names, bool all,
                                       bool dry_run) {
  const deploy::DestroyOptions wanted{.names = names, .all = all, .dry_run = dry_run};
  return std::make_unique<Job>([wanted](Progress&) {
    aws::LambdaClient client;
    const deploy::Destroyed result = deploy::destroy(client, wanted);
    return ordered_json{{"deleted", result.deleted},
                        {"absent", result.absent},
                        {"left", result.left},
                        {"rules", result.rules},
                        {"notes", result.notes}};
  });
}

/// `programs`: the folder of lambdaml-worker and what starts it.
std::unique_ptr<Job> make_package(const std::string& programs, const std::string& output) {
  const fs::path folder = programs;
  deploy::PackageOptions options;
  options.worker = folder / "lambdaml-worker";
  options.bootstrap = folder / "lambdaml-bootstrap";
  if (fs::exists(folder / "stand-ins")) options.stand_ins = folder / "stand-ins";
  options.output = output;
  options.version = LAMBDAML_VERSION;
  return std::make_unique<Job>([options](Progress&) {
    const deploy::Package package = deploy::make_package(options);
    return ordered_json{{"path", options.output.string()},
                        {"architecture", package.architecture},
                        {"zip_bytes", package.zip_bytes},
                        {"unzipped_bytes", package.unzipped_bytes}};
  });
}

/// A Lambda service of this process.
class Emulator {
 public:
  Emulator(std::uint16_t port, int concurrency, double retry_delay_s, double idle_s,
           bool deliver_twice, const std::string& log_folder, bool auth, int metrics_port) {
    const AtWork at_work;
    faas::EmulatorSettings settings;
    settings.port = port;
    settings.concurrency = concurrency;
    settings.retry_delay_s = retry_delay_s;
    settings.idle_s = idle_s;
    settings.deliver_twice = deliver_twice;
    settings.log_folder = log_folder;
    unlocked([&] {
      service_ = deploy::start_own_service(std::move(settings), auth);
      metrics_ = dashboard::serve_metrics(
          metrics_port, [this] { return service_.emulator->metrics(); },
          [this](const std::string&, const std::string& url) { metrics_url_ = url; });
    });
  }
  ~Emulator() { close(); }

  const std::string& endpoint() const { return service_.endpoint; }
  /// The generated key and its secret; none if requests are signed with those of the environment.
  std::optional<std::pair<std::string, std::string>> key() const {
    if (!service_.made) return {};
    return std::pair{service_.made->access_key, service_.made->secret_key};
  }
  /// Where its numbers are; empty: nowhere.
  const std::string& metrics_url() const { return metrics_url_; }
  /// Ends its functions.
  void close() {
    if (service_.emulator == nullptr) return;
    if (::getpid() == process_) {
      unlocked([&] {
        metrics_.reset();
        service_.emulator.reset();
      });
    } else {  // in a fork, their threads are missing
      metrics_.release();
      service_.emulator.release();
    }
  }

 private:
  const pid_t process_ = ::getpid();
  deploy::OwnService service_;
  std::unique_ptr<MetricsServer> metrics_;
  std::string metrics_url_;
};

}  // namespace

void add_services(py::module_& module) {
  module.def("deploy", deploy_functions, py::arg("options"), py::arg("job_file"),
             py::arg("job_text"));
  module.def("destroy", destroy_functions, py::arg("names"), py::arg("all"), py::arg("dry_run"));
  module.def("package", make_package, py::arg("programs"), py::arg("output"));
  py::class_<Emulator>(module, "Emulator")
      .def(py::init<std::uint16_t, int, double, double, bool, const std::string&, bool, int>(),
           py::arg("port"), py::arg("concurrency"), py::arg("retry_delay_s"), py::arg("idle_s"),
           py::arg("deliver_twice"), py::arg("log_folder"), py::arg("auth"),
           py::arg("metrics_port"))
      .def_property_readonly("endpoint", &Emulator::endpoint)
      .def_property_readonly("key", &Emulator::key)
      .def_property_readonly("metrics_url", &Emulator::metrics_url)
      .def("close", &Emulator::close);
}

}  // namespace lambdaml::python
