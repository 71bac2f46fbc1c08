#include "lambdaml/deploy/package.h"

#include <array>
#include <memory>
#include <optional>

#include <dlfcn.h>
#include <link.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/programs/command.h"
#include "lambdaml/base/sonames.h"
#include "lambdaml/base/text.h"
#include "lambdaml/deploy/elf.h"
#include "lambdaml/deploy/oci_image.h"
#include "lambdaml/deploy/zip_archive.h"

namespace lambdaml::deploy {
namespace {

namespace fs = std::filesystem;

/// For the loader's answer; it names each library once, and symbols only if some are missing.
constexpr double kLoader_s = 60;
constexpr std::size_t kMostOfLoader = 4U << 20U;

constexpr std::array kCertificates{"/etc/ssl/certs/ca-certificates.crt",
                                   "/etc/pki/tls/certs/ca-bundle.crt"};

Buffer content_of(const fs::path& path) {
  std::optional<Buffer> bytes = read_file(path);
  if (!bytes) fail(Code::not_found, "packaging {}: no such file", path.string());
  return std::move(*bytes);
}

/// The libraries that the loader itself finds for the program, by file name; it searches `first`
/// before all other folders. nullopt if `first` is not empty and a symbol is missing with it.
std::optional<std::map<std::string, fs::path>> libraries_of(const fs::path& program,
                                                            const std::string& loader,
                                                            const fs::path& first) {
  std::string command =
      "LD_TRACE_LOADED_OBJECTS=1 LD_WARN=1 LD_BIND_NOW=1 " + quoted_for_shell(loader);
  if (!first.empty())
    command += " --library-path " + quoted_for_shell(fs::absolute(first).string());
  command += " " + quoted_for_shell(fs::absolute(program).string()) + " 2>&1";
  // A loader that misses something says so and fails, so its exit code says nothing more.
  const std::string what = fmt::format("packaging {}: asking {}", program.string(), loader);
  const CommandResult answer = run_command(command, kLoader_s, kMostOfLoader, what);
  if (answer.end == CommandResult::End::timed_out)
    fail(Code::deadline_exceeded, "{}: it did not end within {} s", what, kLoader_s);
  std::map<std::string, fs::path> libraries;
  for (const std::string& line : split(answer.output, '\n')) {
    const std::string text(trim(line));
    if (!first.empty() && text.starts_with("undefined symbol")) return {};
    const std::size_t arrow = text.find(" => ");
    if (arrow == std::string::npos) continue;
    const std::string name = text.substr(0, arrow);
    const std::string target = text.substr(arrow + 4);
    if (!target.starts_with("/"))
      fail(Code::invalid_argument, "packaging {}: its library {} is not installed here",
           program.string(), printable(name));
    libraries[name] = target.substr(0, target.rfind(" ("));
  }
  return libraries;
}

/// A library that the worker loads by name on first use, with its dependencies.
std::map<std::string, fs::path> library_on_demand(const char* soname, const std::string& loader,
                                                  const fs::path& stand_ins) {
  const std::unique_ptr<void, int (*)(void*)> library(dlopen(soname, RTLD_LAZY | RTLD_LOCAL),
                                                      dlclose);
  link_map* map = nullptr;
  if (!library || dlinfo(library.get(), RTLD_DI_LINKMAP, &map) != 0)
    fail(Code::not_found,
         "packaging: {} is not installed here, and workers may need it for their stores or data",
         soname);
  const fs::path path = map->l_name;
  auto libraries = libraries_of(path, loader, stand_ins);
  if (!libraries) libraries = libraries_of(path, loader, {});
  (*libraries)[soname] = path;
  return *libraries;
}

/// The libraries of a worker for another machine, in a folder of its packages: found by what each
/// file says that it needs.
class ForeignLibraries {
 public:
  ForeignLibraries(fs::path sysroot, fs::path stand_ins, const Elf& worker)
      : sysroot_(std::move(sysroot)),
        architecture_(worker.architecture),
        loader_(fs::path(worker.loader).filename()) {
    const std::string triplet =
        (architecture_ == "arm64" ? "aarch64" : architecture_) + std::string("-linux-gnu");
    if (!stand_ins.empty()) folders_.push_back(std::move(stand_ins));
    for (const char* root : {"usr/lib", "lib"})
      for (const fs::path& folder : {sysroot_ / root / triplet, sysroot_ / root})
        folders_.push_back(folder);
  }

  /// Adds what this file needs, and what that needs.
  void add_needs_of(const fs::path& file) {
    for (const std::string& name : read_elf(content_of(file), file.string()).needed)
      add(name, file);
  }
  void add(const std::string& name, const fs::path& user) {
    if (name.empty() || name.find('/') != std::string::npos)
      fail(Code::data_corrupt, "packaging {}: it needs '{}', which is no library's name",
           user.string(), printable(name));
    if (found_.contains(name) || name == loader_) return;
    for (const fs::path& folder : folders_) {
      std::error_code none;
      if (!fs::is_regular_file(folder / name, none)) continue;
      const Elf elf = read_elf(content_of(folder / name), (folder / name).string());
      if (elf.architecture != architecture_) continue;
      found_[name] = folder / name;
      return add_needs_of(folder / name);
    }
    fail(Code::invalid_argument, "packaging {}: its library {} is not in {}", user.string(),
         printable(name), sysroot_.string());
  }
  const std::map<std::string, fs::path>& found() const { return found_; }

 private:
  const fs::path sysroot_;
  const std::string architecture_;
  const std::string loader_;  ///< which is there already, under another name
  std::vector<fs::path> folders_;
  std::map<std::string, fs::path> found_;
};

/// Throws if no file can be written there, or if something other than a file would be replaced.
void require_place(const fs::path& output) {
  std::error_code none;
  const fs::file_status there = fs::status(output, none);
  if (fs::exists(there) && !fs::is_regular_file(there))
    fail(Code::invalid_argument, "package {}: it is no file; give another name with --output",
         output.string());
  const fs::path folder = fs::absolute(output).parent_path();
  if (!fs::is_directory(folder, none))
    fail(Code::not_found, "package {}: the folder {} is not there", output.string(),
         folder.string());
}

}  // namespace

namespace {

/// The files of a function, with what a user wants to know of them.
struct Files {
  ZipEntries entries;
  Package package;
};

Files collect(const PackageOptions& options) {
  Files files;
  ZipEntries& entries = files.entries;
  entries["bin/lambdaml-worker"] = {content_of(options.worker), true};
  entries["bootstrap"] = {content_of(options.bootstrap), true};
  const Elf worker = read_elf(entries["bin/lambdaml-worker"].content, options.worker.string());
  const Elf bootstrap = read_elf(entries["bootstrap"].content, options.bootstrap.string());
  if (worker.architecture != bootstrap.architecture || !bootstrap.loader.empty())
    fail(Code::invalid_argument,
         "packaging {}: it is for {}, and the bootstrap of this build for {}",
         options.worker.string(), worker.architecture, bootstrap.architecture);

  Package& package = files.package;
  package.architecture = worker.architecture;
  if (!worker.loader.empty()) {
    const bool is_foreign = !options.sysroot.empty();
    const fs::path loader = is_foreign ? options.sysroot / fs::path(worker.loader).relative_path()
                                       : fs::path(worker.loader);
    entries["lib/loader"] = {content_of(loader), true};
    // What unpacks data that functions read; with deep models also what decodes images.
    std::vector<const char*> on_demand = {soname::kBzip2,     soname::kCurl, soname::kLzma,
                                          soname::kMemcached, soname::kSsl,  soname::kZstd};
    if (!options.torch.empty()) {
      entries["bin/" + options.torch.filename().string()] = {content_of(options.torch), false};
      on_demand.insert(on_demand.end(), {soname::kPng, soname::kTurbojpeg});
    }
    std::map<std::string, fs::path> libraries;
    if (is_foreign) {
      ForeignLibraries foreign(options.sysroot, options.stand_ins, worker);
      foreign.add_needs_of(options.worker);
      if (!options.torch.empty()) foreign.add_needs_of(options.torch);
      for (const char* soname : on_demand) foreign.add(soname, options.worker);
      libraries = foreign.found();
    } else {
      libraries = *libraries_of(options.worker, worker.loader, {});
      if (!options.torch.empty()) libraries.merge(*libraries_of(options.torch, worker.loader, {}));
      for (const char* soname : on_demand)
        libraries.merge(library_on_demand(soname, worker.loader, options.stand_ins));
    }
    for (const auto& [name, path] : libraries) {
      entries["lib/" + name] = {content_of(path), false};
      package.libraries.push_back(name);
    }
  }
  for (const char* path : kCertificates) {
    std::optional<Buffer> certificates = read_file(path);
    if (!certificates) continue;
    entries["etc/ca-certificates.crt"] = {std::move(*certificates), false};
    break;
  }
  for (const auto& [name, entry] : entries) package.unzipped_bytes += entry.content.size();
  const std::string about =
      json_text(nlohmann::ordered_json{{"version", options.version},
                                       {"architecture", package.architecture},
                                       {"handlers", {"worker", "trigger", "tuner"}},
                                       {"unzipped_bytes", package.unzipped_bytes},
                                       {"libraries", package.libraries}},
                2) +
      "\n";
  entries["lambdaml.json"] = {Buffer(as_bytes(about)), false};
  package.unzipped_bytes += about.size();
  return files;
}

}  // namespace

Package make_package(const PackageOptions& options) {
  require_place(options.output);
  auto [entries, package] = collect(options);
  if (package.unzipped_bytes > kUnzippedBytes)
    fail(Code::resource_exhausted,
         "packaging {}: {} MB unzipped, and Lambda takes 250 MB; use a container image instead",
         options.worker.string(), package.unzipped_bytes >> 20);
  package.zip_bytes = write_zip(options.output, entries);
  return package;
}

Package make_image(const PackageOptions& options) {
  auto [entries, package] = collect(options);
  const bool arm = package.architecture == "arm64";
  package.zip_bytes = write_oci_image(options.output, entries,
                                      {.architecture = arm ? "arm64" : "amd64",
                                       .folder = "/var/task",
                                       .entrypoint = {"/var/task/bootstrap"},
                                       .command = {"worker"},
                                       .environment = {"LAMBDA_TASK_ROOT=/var/task"},
                                       .version = options.version});
  return package;
}

std::uint64_t make_container(const ContainerOptions& options) {
  // Library names are those of the release on which this build was made.
  constexpr std::string_view kDockerfile =
      R"(# LambdaML {} with deep models, as a container image for AWS Lambda:
#   docker build -t lambdaml .
# push it to ECR, and make the function from the image; the handler is the image's command.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
      ca-certificates libbz2-1.0 libcurl4 libfmt9 libhiredis0.14 liblzma5 libmemcached11 \
      libpng16-16 libpugixml1v5 libssl3 libtorch1.13 libturbojpeg0 libxxhash0 libyaml-cpp0.7 \
      libzip4 libzstd1 zlib1g && rm -rf /var/lib/apt/lists/*
COPY bin/ /var/task/bin/
# The handler is the command: lambdaml deploy --image URI --handler trigger
ENTRYPOINT ["/var/task/bin/lambdaml-worker"]
CMD ["worker"]
)";
  if (fs::exists(options.output) && !fs::is_directory(options.output))
    fail(Code::already_exists, "packaging {}: a container is a folder, and there is a file",
         options.output.string());
  std::uint64_t bytes = 0;
  const auto put = [&](const fs::path& name, Bytes content) {
    make_folder((options.output / name).parent_path(), Access::umask);
    write_file(options.output / name, content, {.access = Access::umask});
    bytes += content.size();
  };
  for (const fs::path& path : {options.worker, options.library}) {
    const Buffer content = content_of(path);
    put(fs::path("bin") / path.filename(), content.view());
    const fs::path copy = options.output / "bin" / path.filename();
    std::error_code error;
    fs::permissions(copy, fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec,
                    fs::perm_options::add, error);
    if (error) fail_errno(error.value(), "writing " + copy.string());
  }
  put("Dockerfile", as_bytes(fmt::format(kDockerfile, options.version)));
  return bytes;
}

}  // namespace lambdaml::deploy
