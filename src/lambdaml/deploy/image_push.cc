#include "lambdaml/deploy/image_push.h"

#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include "lambdaml/aws/sigv4.h"
#include "lambdaml/aws/wire.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/deploy/registry_login.h"

namespace lambdaml::deploy {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kBlob_s = 3600;
constexpr int kPushTries = 3;
constexpr double kPushPause_s = 1;
/// The host that answers for docker.io.
constexpr const char* kDockerHub = "registry-1.docker.io";

bool is_lower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_this_machine(std::string_view host) {
  const std::string_view name =
      host.substr(0, host.starts_with("[") ? host.find(']') + 1 : host.find(':'));
  return name == "localhost" || name == "127.0.0.1" || name == "[::1]";
}

std::string host_of(const std::string& url) {
  const std::size_t from = url.find("://");
  if (from == std::string::npos) return {};
  return url.substr(from + 3, url.find_first_of("/?#", from + 3) - from - 3);
}

/// The parameters of `WWW-Authenticate: Bearer realm="…",service="…"`.
std::map<std::string, std::string> parameters_of(std::string_view challenge) {
  std::map<std::string, std::string> out;
  std::size_t at = challenge.find(' ');
  while (at != std::string_view::npos && at < challenge.size()) {
    while (at < challenge.size() && (challenge[at] == ' ' || challenge[at] == ',')) ++at;
    const std::size_t equals = challenge.find("=\"", at);
    if (equals == std::string_view::npos) break;
    const std::size_t end = challenge.find('"', equals + 2);
    if (end == std::string_view::npos) break;
    std::string name(challenge.substr(at, equals - at));
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    out[name] = challenge.substr(equals + 2, end - equals - 2);
    at = end + 1;
  }
  return out;
}

struct Blob {
  std::string digest, type;
  Buffer content;
};

/// The image's manifest first, then what it refers to.
std::vector<Blob> blobs_of(const fs::path& folder) {
  const auto read_json = [&](const fs::path& path) {
    const std::optional<Buffer> text = read_file(path);
    if (!text)
      fail(Code::not_found, "pushing {}: there is no image; lambdaml package --oci makes one",
           folder.string());
    const json value = parse_json(text->text());
    if (!value.is_object())
      fail(Code::data_corrupt, "pushing {}: {} is no JSON", folder.string(),
           path.filename().string());
    return value;
  };
  const auto blob = [&](const json& descriptor) {
    Blob out{text_at(descriptor, "digest"), text_at(descriptor, "mediaType"), {}};
    const std::string hex = out.digest.substr(std::min<std::size_t>(7, out.digest.size()));
    const bool is_digest = out.digest.starts_with("sha256:") && hex.size() == 64 &&
                           hex.find_first_not_of("0123456789abcdef") == std::string::npos;
    std::optional<Buffer> content;
    if (is_digest) content = read_file(folder / "blobs" / "sha256" / hex);
    if (!content || aws::sha256_hex(*content) != hex)
      fail(Code::data_corrupt, "pushing {}: the blob '{}' is missing or damaged", folder.string(),
           printable(out.digest, 80));
    out.content = std::move(*content);
    return out;
  };
  try {
    std::vector<Blob> out;
    out.push_back(blob(read_json(folder / "index.json").at("manifests").at(0)));
    const json manifest = parse_json(out[0].content.text());
    out.push_back(blob(manifest.at("config")));
    for (const json& layer : manifest.at("layers")) out.push_back(blob(layer));
    return out;
  } catch (const json::exception& error) {
    fail(Code::data_corrupt, "pushing {}: it is no image: {}", folder.string(),
         printable(error.what()));
  }
}

/// A session with one repository of a registry.
class Repository {
 public:
  explicit Repository(const ImageName& image)
      : image_(image),
        server_(image.host == "docker.io" ? kDockerHub : image.host),
        base_(image.scheme + "://" + server_) {}

  bool has(const std::string& digest) {
    const auto answer = call("HEAD", path("blobs/" + digest), {}, "");
    // A registry that keeps its blobs elsewhere tells the place of one that it has.
    if (answer.status == 200 || answer.status == 302 || answer.status == 307) return true;
    if (answer.status != 404) refuse("looking for a layer", answer);
    return false;
  }

  void upload(const Blob& blob) {
    const auto begun = call("POST", path("blobs/uploads/"), {}, "");
    if (begun.status != 202) refuse("beginning an upload", begun);
    std::string place(begun.header("location"));
    if (place.starts_with("/")) place = base_ + place;
    const bool is_url = place.starts_with(image_.scheme + "://") || place.starts_with("https://");
    if (!is_url || host_of(place).empty())
      fail(Code::data_corrupt, "{}: it says no place for the upload: '{}'", image_.host,
           printable(place, 200));
    place += place.find('?') == std::string::npos ? "?" : "&";
    place += "digest=" + aws::encode(blob.digest);
    const auto done = call("PUT", place, blob.content, "application/octet-stream");
    if (done.status != 201) refuse("uploading a layer", done);
  }

  void put_manifest(const Blob& manifest) {
    const auto answer =
        call("PUT", path("manifests/" + image_.tag), manifest.content, manifest.type);
    if (answer.status != 201) refuse("naming the image", answer);
  }

 private:
  std::string path(const std::string& rest) const {
    return fmt::format("{}/v2/{}/{}", base_, image_.name, rest);
  }

  /// Logs in when asked to, once.
  aws::Response call(const std::string& method, const std::string& url, Bytes body,
                     const std::string& type) {
    aws::Response answer = send(method, url, body, type);
    if (answer.status != 401) return answer;
    log_in(answer);
    answer = send(method, url, body, type);
    if (answer.status == 401 || answer.status == 403) refuse("logging in", answer);
    return answer;
  }

  aws::Response send(const std::string& method, const std::string& url, Bytes body,
                     const std::string& type,
                     const std::optional<std::string>& own_authorization = {}) {
    const std::string authorization = own_authorization         ? *own_authorization
                                      : host_of(url) == server_ ? authorization_
                                                                : std::string();
    for (int tried = 1;; ++tried) {
      aws::Exchange exchange;
      exchange.method = method;
      exchange.url = url;
      if (!type.empty()) exchange.headers.emplace_back("content-type", type);
      if (!authorization.empty()) exchange.headers.emplace_back("authorization", authorization);
      exchange.body = body;
      wire_.perform(exchange, kBlob_s);
      const bool may_pass = exchange.failure.empty()
                                ? exchange.response.status == 429 || exchange.response.status >= 500
                                : exchange.failure_code == Code::unavailable;
      if (may_pass && tried < kPushTries) {
        pause_for(kPushPause_s);
        continue;
      }
      if (!exchange.failure.empty())
        fail(exchange.failure_code, "registry {}: {}", image_.host, exchange.failure);
      return std::move(exchange.response);
    }
  }

  void log_in(const aws::Response& refused) {
    const std::string_view challenge = refused.header("www-authenticate");
    const std::optional<std::string> login = registry_login(image_.host, image_.name);
    if (challenge.starts_with("Basic")) {
      if (!login) need_login();
      authorization_ = "Basic " + *login;
      return;
    }
    auto parameters = parameters_of(challenge);
    const std::string realm = parameters["realm"];
    const bool is_safe = realm.starts_with("https://") ||
                         (realm.starts_with("http://") && is_this_machine(host_of(realm)) &&
                          is_this_machine(image_.host));
    if (!challenge.starts_with("Bearer") || !is_safe)
      fail(Code::permission_denied,
           "registry {}: it wants a login of a kind that is not known: '{}'", image_.host,
           printable(challenge, 100));
    std::string url = realm + (realm.find('?') == std::string::npos ? "?" : "&");
    if (!parameters["service"].empty())
      url += "service=" + aws::encode(parameters["service"]) + "&";
    url += "scope=" + aws::encode(fmt::format("repository:{}:pull,push", image_.name));
    const aws::Response answer =
        send("GET", url, {}, "", login ? "Basic " + *login : std::string());
    if (answer.status == 401 || answer.status == 403) {
      if (!login) need_login();
      refuse("logging in", answer);
    }
    const json body = parse_json(answer.body.text());
    const std::string token =
        body.is_object() ? text_at(body, "token", text_at(body, "access_token")) : "";
    if (answer.status != 200 || token.empty())
      fail(Code::permission_denied, "registry {}: {} gives no token (HTTP {})", image_.host,
           printable(host_of(realm), 100), answer.status);
    authorization_ = "Bearer " + token;
  }

  [[noreturn]] void need_login() const {
    fail(Code::permission_denied,
         "registry {}: it wants a login: set {}=USER:PASSWORD, or log in with docker, podman or "
         "skopeo login (credential helpers are not asked)",
         image_.host, kRegistryAuthVariable);
  }

  [[noreturn]] void refuse(const std::string& doing, const aws::Response& answer) const {
    const json body = parse_json(answer.body.text());
    std::string why;
    if (body.is_object() && body.contains("errors") && body["errors"].is_array() &&
        !body["errors"].empty() && body["errors"][0].is_object())
      why = fmt::format(" {}: {}", text_at(body["errors"][0], "code"),
                        text_at(body["errors"][0], "message"));
    const bool is_denied = answer.status == 401 || answer.status == 403;
    fail(is_denied              ? Code::permission_denied
         : answer.status == 404 ? Code::not_found
         : answer.status >= 500 ? Code::unavailable
                                : Code::invalid_argument,
         "registry {}: {} in {}: HTTP {}{}{}", image_.host, doing, image_.name, answer.status,
         printable(why, 300),
         is_denied              ? "; the login is not valid, or may not push there"
         : answer.status == 404 ? "; does the repository exist?"
                                : "");
  }

  const ImageName& image_;
  const std::string server_;  ///< HOST[:PORT] of requests
  const std::string base_;
  aws::Wire wire_{{.connect_timeout_s = 10}};
  std::string authorization_;
};

}  // namespace

ImageName ImageName::parse(const std::string& text) {
  const auto refuse = [&](const char* why) {
    fail(Code::invalid_argument, "--push '{}': {}; give HOST[:PORT]/NAME[:TAG]", printable(text),
         why);
  };
  ImageName out;
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) refuse("it names no registry");
  out.host = text.substr(0, slash);
  const bool is_host = out.host.find_first_of(".:") != std::string::npos || out.host == "localhost";
  if (!is_host || !std::ranges::all_of(out.host, [](char c) {
        return is_lower(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == ':' ||
               c == '[' || c == ']';
      }))
    refuse("it names no registry");
  out.name = text.substr(slash + 1);
  if (const std::size_t colon = out.name.rfind(':'); colon != std::string::npos) {
    out.tag = out.name.substr(colon + 1);
    out.name.resize(colon);
  }
  const bool is_tag =
      !out.tag.empty() && out.tag.size() <= 128 && out.tag[0] != '.' && out.tag[0] != '-' &&
      std::ranges::all_of(out.tag, [](char c) {
        return is_lower(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_';
      });
  if (!is_tag) refuse("its tag may have letters, digits and .-_");
  for (const std::string& part : split(out.name, '/'))
    if (part.empty() || !is_lower(part.front()) || !is_lower(part.back()) ||
        !std::ranges::all_of(
            part, [](char c) { return is_lower(c) || c == '.' || c == '-' || c == '_'; }))
      refuse("its name may have lower-case letters, digits and, within, .-_/");
  out.host = registry_name(out.host);
  // As docker has it.
  if (out.host == "docker.io" && out.name.find('/') == std::string::npos)
    out.name = "library/" + out.name;
  out.scheme = is_this_machine(out.host) ? "http" : "https";
  return out;
}

PushedImage push_image(const fs::path& folder, const ImageName& image,
                       const std::function<void(const std::string&)>& say) {
  const std::vector<Blob> blobs = blobs_of(folder);
  Repository repository(image);
  PushedImage out{.digest = blobs.front().digest};
  for (std::size_t i = 1; i < blobs.size(); ++i) {
    if (repository.has(blobs[i].digest)) continue;
    if (say) say(fmt::format("sending {} to {}", human_bytes(blobs[i].content.size()), image.host));
    repository.upload(blobs[i]);
    out.sent_bytes += blobs[i].content.size();
  }
  repository.put_manifest(blobs.front());
  return out;
}

}  // namespace lambdaml::deploy
