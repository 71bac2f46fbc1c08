#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

/// Pushing an image that write_oci_image() wrote to a registry, by the OCI distribution
/// specification (github.com/opencontainers/distribution-spec), which Docker Hub, ECR, GitHub,
/// Harbor and the `registry` image speak. Needs no container software.
namespace lambdaml::deploy {

/// HOST[:PORT]/NAME[:TAG], as docker has it.
struct ImageName {
  std::string host;  ///< with its port; of Docker Hub, which has several names, docker.io
  std::string name;  ///< of the repository, without the host
  std::string tag = "latest";
  /// https, but http to this machine (localhost, 127.0.0.1, [::1]).
  std::string scheme;

  std::string text() const { return host + "/" + name + ":" + tag; }
  /// Throws invalid_argument, saying what is missing.
  static ImageName parse(const std::string& text);
};

struct PushedImage {
  std::string digest;            ///< of the manifest: "sha256:…"
  std::uint64_t sent_bytes = 0;  ///< of blobs that the registry did not have
};

/// Pushes the image in the folder. What the registry has already is not sent again. A registry that
/// wants a login gets that of registry_login(), sent by TLS or to this machine only, and never
/// shown. Two requests for each of two blobs, one for the manifest, two more where there is a
/// login. Throws invalid_argument (a refused name), permission_denied (a login is missing or
/// refused), not_found (no image in the folder), data_corrupt, unavailable.
PushedImage push_image(const std::filesystem::path& folder, const ImageName& image,
                       const std::function<void(const std::string&)>& say = {});

}  // namespace lambdaml::deploy
