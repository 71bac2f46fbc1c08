#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lambdaml::deploy {

struct PackageOptions {
  std::filesystem::path worker;     ///< the function executable
  std::filesystem::path bootstrap;  ///< the static program that starts it
  /// Files that replace the worker's libraries of the same names; may be missing.
  std::filesystem::path stand_ins;
  /// The library that runs deep models, which comes along with libtorch and what else it needs;
  /// empty: none.
  std::filesystem::path torch;
  /// A folder of Debian's packages for the worker's architecture, in which its libraries are;
  /// empty: this machine's own, found by its loader.
  std::filesystem::path sysroot;
  std::filesystem::path output;  ///< the zip; replaced when it exists; or the image's folder
  std::string version;
};

struct Package {
  std::string architecture;  ///< x86_64 or arm64
  std::uint64_t zip_bytes = 0;
  std::uint64_t unzipped_bytes = 0;
  std::vector<std::string> libraries;  ///< file names
};

// Lambda's limits, in bytes.
inline constexpr std::uint64_t kDirectZipBytes = 50ULL << 20;  ///< more goes through S3
inline constexpr std::uint64_t kUnzippedBytes = 250ULL << 20;

/// Creates the zip that a function is deployed from: `bootstrap`, `bin/lambdaml-worker`, `lib/`
/// with the loader and every library that the worker needs, `etc/ca-certificates.crt`, and
/// `lambdaml.json`, which names version, architecture, handlers, sizes and libraries. It runs on a
/// machine that has none of these, with any glibc. The same inputs give the same bytes. Throws
/// not_found (a file), data_corrupt (not ELF), invalid_argument (a library is missing, or the
/// bootstrap is for another architecture than the worker), resource_exhausted (beyond Lambda's
/// limit of 250 MB unzipped; nothing is written).
Package make_package(const PackageOptions& options);

/// Creates a container image of the same files, without container software: a folder in the OCI
/// image layout (oci_image.h). Its entry point is `bootstrap`, its command the handler `worker`.
/// `zip_bytes` is the size of the image. Throws what make_package() throws, without its limits.
Package make_image(const PackageOptions& options);

struct ContainerOptions {
  std::filesystem::path worker;   ///< the function executable
  std::filesystem::path library;  ///< the library that runs deep models
  std::filesystem::path output;   ///< the folder; its other files are kept
  std::string version;
};

/// Creates the folder from which a container image for deep models is built, because a zip cannot
/// hold libtorch: a Dockerfile, which installs Debian's libraries and starts the worker as the
/// function, and `bin/`. Does not build the image. Returns the bytes of the files. Throws not_found
/// (a file), already_exists (`output` is not a folder), and errors of writing files.
std::uint64_t make_container(const ContainerOptions& options);

}  // namespace lambdaml::deploy
