#include <cstdlib>
#include <filesystem>
#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/programs/own_file.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/deploy/package.h"

namespace lambdaml::cli {
namespace {

namespace fs = std::filesystem;

struct PackageArguments {
  std::string output;
  std::string worker;
  std::string with;
  bool oci = false;

  fs::path worker_path() const {
    return worker.empty() ? own_file("lambdaml-worker") : fs::path(worker);
  }
};

void make_container(const PackageArguments& arguments, const Globals& globals) {
  const fs::path library = own_file("liblambdaml_torch.so");
  if (!fs::exists(library))
    fail(Code::invalid_argument, "package --with torch: this build has no deep models");
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
  options.output = arguments.output;
  if (arguments.output.empty()) options.output = arguments.oci ? "lambdaml-image" : "lambdaml.zip";
  options.version = LAMBDAML_VERSION;
  return options;
}

void make_image(const PackageArguments& arguments, const Globals& globals) {
  const deploy::PackageOptions options = options_of(arguments);
  const deploy::Package package = deploy::make_image(options);
  const std::string path = options.output.string();
  if (globals.json)
    return print_json(json_text(nlohmann::ordered_json{{"path", utf8_path(path)},
                                                       {"architecture", package.architecture},
                                                       {"bytes", package.zip_bytes}}));
  print_line(
      fmt::format("{0}: {1}, {2:.1f} MB; push it with: skopeo copy oci:{0}:latest "
                  "docker://REGISTRY/NAME:TAG",
                  path, package.architecture, static_cast<double>(package.zip_bytes) / 1e6));
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
  command->add_option("--with", arguments->with, "torch: a container for the deep models");
  command->add_flag("--oci", arguments->oci,
                    "a container image instead of a zip: a folder in the OCI image layout");
  command->callback([arguments, &globals] {
    if (arguments->oci && !arguments->with.empty())
      fail(Code::invalid_argument, "package: --oci is without --with");
    if (arguments->oci) return make_image(*arguments, globals);
    if (arguments->with == "torch") return make_container(*arguments, globals);
    if (!arguments->with.empty())
      fail(Code::invalid_argument, "package --with {}: the only choice is torch", arguments->with);
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
