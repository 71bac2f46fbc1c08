#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/programs/own_file.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/deploy/image_push.h"
#include "lambdaml/deploy/k8s_job.h"
#include "lambdaml/deploy/package.h"

namespace lambdaml::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct PackageArguments {
  std::string output;
  std::string worker;
  std::string with;
  std::string sysroot;
  std::string push;  ///< the image's name in a registry
  bool oci = false;
  bool k8s = false;
  deploy::K8sJob job = {};
  std::vector<std::string> variables = {};

  fs::path worker_path() const {
    return worker.empty() ? own_file("lambdaml-worker") : fs::path(worker);
  }
};

fs::path torch_library() {
  const fs::path library = own_file("liblambdaml_torch.so");
  if (!fs::exists(library))
    fail(Code::invalid_argument, "package --with torch: this build has no deep models");
  return library;
}

void make_container(const PackageArguments& arguments, const Globals& globals) {
  const fs::path library = torch_library();
  const std::string output = arguments.output.empty() ? "lambdaml-torch" : arguments.output;
  const std::uint64_t bytes =
      deploy::make_container({arguments.worker_path(), library, output, LAMBDAML_VERSION});
  if (globals.json)
    return print_json(json_text(nlohmann::ordered_json{{"path", output}, {"bytes", bytes}}));
  print_line(fmt::format("{}: {:.1f} MB; build the image with: docker build {}", output,
                         static_cast<double>(bytes) / 1e6, output));
}

deploy::PackageOptions options_of(const PackageArguments& arguments) {
  deploy::PackageOptions options;
  options.worker = arguments.worker_path();
  options.bootstrap = own_file("lambdaml-bootstrap");
  if (fs::exists(own_file("stand-ins"))) options.stand_ins = own_file("stand-ins");
  if (!arguments.sysroot.empty()) {
    // What belongs to a worker for another machine is beside it.
    const fs::path folder = options.worker.parent_path();
    options.sysroot = arguments.sysroot;
    options.bootstrap = folder / "lambdaml-bootstrap";
    options.stand_ins = fs::exists(folder / "stand-ins") ? folder / "stand-ins" : fs::path();
  }
  if (arguments.with == "torch") options.torch = torch_library();
  options.output = arguments.output;
  if (arguments.output.empty()) options.output = arguments.oci ? "lambdaml-image" : "lambdaml.zip";
  options.version = LAMBDAML_VERSION;
  return options;
}

void make_image(const PackageArguments& arguments, const Globals& globals) {
  std::optional<deploy::ImageName> name;
  if (!arguments.push.empty()) name = deploy::ImageName::parse(arguments.push);
  const deploy::PackageOptions options = options_of(arguments);
  const deploy::Package package = deploy::make_image(options);
  const std::string path = options.output.string();
  Json about{{"path", utf8_path(path)},
             {"architecture", package.architecture},
             {"bytes", package.zip_bytes}};
  const std::string size = fmt::format("{}: {}, {:.1f} MB", path, package.architecture,
                                       static_cast<double>(package.zip_bytes) / 1e6);
  if (!name) {
    if (globals.json) return print_json(json_text(about));
    return print_line(size + "; push it with --push REGISTRY/NAME:TAG");
  }
  const auto say = [&globals](const std::string& text) {
    if (!globals.quiet) tell_line(text);
  };
  const deploy::PushedImage pushed = deploy::push_image(options.output, *name, say);
  about["image"] = name->text();
  about["digest"] = pushed.digest;
  about["sent_bytes"] = pushed.sent_bytes;
  if (globals.json) return print_json(json_text(about));
  print_line(size);
  const std::string exact = name->host + "/" + name->name + "@" + pushed.digest;
  // Functions run images of ECR alone.
  const bool is_ecr = name->host.find(".dkr.ecr.") != std::string::npos;
  print_line(fmt::format("{}: {}; {}{}", name->text(),
                         pushed.sent_bytes == 0 ? "the registry had it" : "pushed",
                         is_ecr ? "deploy it with: lambdaml deploy --image " : "it is ", exact));
}

void make_k8s_job(const PackageArguments& arguments, const Globals& globals) {
  deploy::K8sJob job = arguments.job;
  for (const std::string& variable : arguments.variables) {
    const std::size_t equals = variable.find('=');
    if (equals == std::string::npos || equals == 0)
      fail(Code::invalid_argument, "package --k8s: --env {}: give NAME=VALUE", printable(variable));
    job.environment[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  const std::string text = deploy::manifest_of(job);
  const fs::path output = arguments.output.empty() ? "lambdaml-job.yaml" : arguments.output;
  write_file(output, as_bytes(text));
  if (globals.json)
    return print_json(json_text(
        nlohmann::ordered_json{{"path", utf8_path(output.string())}, {"workers", job.workers}}));
  print_line(fmt::format("{0}: an Indexed Job of {1} workers; start it with: kubectl apply -f {0}",
                         output.string(), job.workers));
}

}  // namespace

void add_package_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "package", "make the zip that functions are deployed from");
  const auto arguments = std::make_shared<PackageArguments>();
  command->add_option("-o,--output", arguments->output,
                      "the zip, or the container's folder; default: lambdaml.zip, lambdaml-torch, "
                      "lambdaml-image");
  command->add_option("--worker", arguments->worker,
                      "another function executable than the lambdaml-worker of this build");
  command->add_option(
      "--sysroot", arguments->sysroot,
      "with --worker of another architecture: a folder of Debian's packages for it");
  command->add_option("--with", arguments->with,
                      "torch: a container for the deep models, with --oci an image");
  command->add_flag("--oci", arguments->oci,
                    "a container image instead of a zip: a folder in the OCI image layout");
  command->add_option("--push", arguments->push,
                      "with --oci: push it to a registry as HOST[:PORT]/NAME[:TAG]");
  CLI::Option* k8s =
      command->add_flag("--k8s", arguments->k8s,
                        "the manifest of a Kubernetes Indexed Job for the platform array instead");
  deploy::K8sJob& job = arguments->job;
  const auto of_job = [&](const char* flag, auto& value, const char* help) {
    return command->add_option(flag, value, std::string(help) + ", with --k8s")->needs(k8s);
  };
  of_job("--image", job.image, "the workers' image");
  of_job("--workers", job.workers, "number of workers")->check(CLI::Range(1, 10'000));
  of_job("--events", job.events, "where the workers find their events");
  of_job("--name", job.name, "the Job's name; default: lambdaml");
  of_job("--memory-mb", job.memory_mb, "memory of each worker")->check(CLI::Range(128, 1 << 20));
  of_job("--retries", job.retries, "retries of each worker; default: 2")->check(CLI::Range(0, 100));
  of_job("--secret", job.secret, "the Secret whose values are the workers' environment");
  of_job("--env", arguments->variables, "NAME=VALUE for the workers' environment");
  command->callback([arguments, &globals] {
    if (arguments->k8s) {
      if (arguments->oci || !arguments->with.empty() || !arguments->push.empty())
        fail(Code::invalid_argument, "package: --k8s is without --oci, --push and --with");
      return make_k8s_job(*arguments, globals);
    }
    if (!arguments->sysroot.empty() && (arguments->worker.empty() || !arguments->with.empty()))
      fail(Code::invalid_argument,
           "package --sysroot: it is for --worker of another architecture, and without --with");
    if (!arguments->with.empty() && arguments->with != "torch")
      fail(Code::invalid_argument, "package --with {}: the only choice is torch", arguments->with);
    if (!arguments->push.empty() && !arguments->oci)
      fail(Code::invalid_argument, "package --push: it pushes an image, so give --oci too");
    if (arguments->oci) return make_image(*arguments, globals);
    if (arguments->with == "torch") return make_container(*arguments, globals);
    const deploy::PackageOptions options = options_of(*arguments);
    const deploy::Package package = deploy::make_package(options);
    const bool direct = package.zip_bytes <= deploy::kDirectZipBytes;
    if (globals.json)
      return print_json(
          json_text(nlohmann::ordered_json{{"path", utf8_path(options.output.string())},
                                           {"architecture", package.architecture},
                                           {"zip_bytes", package.zip_bytes},
                                           {"unzipped_bytes", package.unzipped_bytes},
                                           {"libraries", package.libraries.size()},
                                           {"direct_upload", direct}}));
    print_line(fmt::format(
        "{}: {}, {:.1f} MB, {:.1f} MB unzipped (limit 250), {} libraries{}",
        options.output.string(), package.architecture, static_cast<double>(package.zip_bytes) / 1e6,
        static_cast<double>(package.unzipped_bytes) / 1e6, package.libraries.size(),
        direct ? "" : "; above 50 MB: deploy it with --code-bucket"));
  });
}

}  // namespace lambdaml::cli
