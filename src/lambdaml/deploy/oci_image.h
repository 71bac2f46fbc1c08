#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lambdaml/deploy/zip_archive.h"

namespace lambdaml::deploy {

struct ImageOptions {
  std::string architecture;  ///< as the OCI names it: amd64, arm64
  std::string folder;        ///< of the entries in the image, absolute: "/var/task"
  std::vector<std::string> entrypoint = {};
  std::vector<std::string> command = {};
  std::vector<std::string> environment = {};  ///< NAME=VALUE
  std::string version;                        ///< a label
};

/// Writes a container image of one layer as a folder in the OCI image layout
/// (github.com/opencontainers/image-spec), as which skopeo, podman and docker load it and push it
/// to a registry. Needs no container software. The same inputs give the same bytes. Files of an
/// earlier layout in the folder are replaced or kept unused. Returns the bytes of the image. Throws
/// already_exists (`path` is a file, or a folder of something else), invalid_argument (a name too
/// long for the archive) and errors of writing files.
std::uint64_t write_oci_image(const std::filesystem::path& path, const ZipEntries& entries,
                              const ImageOptions& options);

}  // namespace lambdaml::deploy
