#include "lambdaml/deploy/image_push.h"

#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/aws/sigv4.h"
#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/deploy/oci_image.h"
#include "lambdaml/deploy/registry_login.h"

namespace lambdaml::deploy {
namespace {

using aws::ScopedEnvironment;
using aws::ScriptedAnswer;
using aws::ScriptedRequest;
using aws::ScriptedServer;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kBasic = "Basic bWU6c2VzYW1l";  // me:sesame

/// As much of the distribution specification as a push sees.
class FakeRegistry {
 public:
  enum class Login { none, basic, token };
  ScriptedAnswer answer(const ScriptedRequest& request) {
    const std::string path = request.target.substr(0, request.target.find('?'));
    const std::string given = request.header("authorization");
    if (path == "/token") {
      asked_for = request.target;
      if (given != kBasic && !is_public) return {.status = 401};
      return {.body = R"({"token":"t0k"})"};
    }
    const bool may =
        login == Login::none || given == (login == Login::basic ? kBasic : "Bearer t0k");
    if (!may)
      return {.status = 401,
              .headers = {{"WWW-Authenticate",
                           login == Login::basic
                               ? "Basic realm=\"r\""
                               : "Bearer realm=\"" + realm + "\",service=\"the registry\""}}};
    if (status != 0 && request.method != "HEAD")  // whose answers have no body
      return {.status = status, .body = R"({"errors":[{"code":"DENIED","message":"not\nyours"}]})"};
    const std::string digest = path.substr(path.rfind('/') + 1);
    if (request.method == "HEAD") return {.status = blobs.contains(digest) ? 200 : 404};
    if (request.method == "POST") return {.status = 202, .headers = {{"Location", location}}};
    if (path.find("/manifests/") != std::string::npos) {
      manifest = request.body;
      manifest_type = request.header("content-type");
      return {.status = 201};
    }
    const std::string named = request.target.substr(request.target.find("digest=sha256%3A") + 16);
    EXPECT_EQ(named, aws::sha256_hex(as_bytes(request.body)));
    blobs["sha256:" + named] = request.body;
    return {.status = 201};
  }

  Login login = Login::none;
  bool is_public = false;  ///< gives tokens to everybody
  int status = 0;
  std::string realm, location = "/v2/team/lambdaml/blobs/uploads/1?state=x";
  std::map<std::string, std::string> blobs;
  std::string manifest, manifest_type, asked_for;
};

class ImagePush : public ::testing::Test {
 protected:
  ImagePush() {
    ZipEntries entries;
    entries["bootstrap"] = {Buffer(as_bytes(std::string("#!"))), true};
    write_oci_image(folder_ / "image", entries,
                    {.architecture = "amd64", .folder = "/var/task", .version = "1"});
    registry_.realm = server_.url() + "/token";
  }

  PushedImage push() {
    return push_image(folder_ / "image",
                      ImageName::parse(server_.url().substr(7) + "/team/lambdaml:1"));
  }
  std::string refusal(Code code) {
    try {
      push();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), AllOf(Not(HasSubstr("\n")), Not(HasSubstr("sesame")),
                                      Not(HasSubstr("bWU6")), Not(HasSubstr("t0k"))));
      return error.what();
    }
    return "";
  }

  const Scratch scratch_{"lambdaml-push-"};
  const std::filesystem::path folder_ = scratch_.path();
  FakeRegistry registry_;
  const ScriptedServer server_{[this](const ScriptedRequest& r) { return registry_.answer(r); }};
  ScopedEnvironment environment_{{{"DOCKER_CONFIG", folder_.string()},
                                  {"REGISTRY_AUTH_FILE", ""},
                                  {"HOME", folder_.string()},
                                  {"XDG_RUNTIME_DIR", folder_.string()},
                                  {"XDG_CONFIG_HOME", ""},
                                  {"LAMBDAML_REGISTRY_AUTH", ""}}};
};

TEST_F(ImagePush, SendsWhatTheRegistryLacks) {
  const PushedImage first = push();
  EXPECT_EQ(first.digest, "sha256:" + aws::sha256_hex(as_bytes(registry_.manifest)));
  EXPECT_EQ(registry_.manifest_type, "application/vnd.oci.image.manifest.v1+json");
  EXPECT_EQ(registry_.blobs.size(), 2u);
  for (const auto& [digest, blob] : registry_.blobs)
    EXPECT_THAT(registry_.manifest, HasSubstr(digest));
  EXPECT_GT(first.sent_bytes, 0u);
  EXPECT_EQ(push().sent_bytes, 0u);
}

TEST_F(ImagePush, LogsInAsTheRegistryWants) {
  for (const auto login : {FakeRegistry::Login::basic, FakeRegistry::Login::token}) {
    registry_.login = login;
    environment_.set("LAMBDAML_REGISTRY_AUTH", "");
    EXPECT_THAT(refusal(Code::permission_denied),
                HasSubstr("LAMBDAML_REGISTRY_AUTH=USER:PASSWORD"));
    environment_.set("LAMBDAML_REGISTRY_AUTH", "me:wrong");
    EXPECT_THAT(refusal(Code::permission_denied), HasSubstr("the login is not valid"));
    environment_.set("LAMBDAML_REGISTRY_AUTH", "me:sesame");
    EXPECT_NO_THROW(push());
    registry_.manifest.clear();
    environment_.set("LAMBDAML_REGISTRY_AUTH", "");
    write_file(folder_ / "config.json", as_bytes("{\"auths\":{\"" + server_.url().substr(7) +
                                                 "\":{\"auth\":\"bWU6c2VzYW1l\"}}}"));
    EXPECT_NO_THROW(push());
    EXPECT_NE(registry_.manifest, "");
    std::filesystem::remove(folder_ / "config.json");
  }
  EXPECT_THAT(registry_.asked_for,
              AllOf(HasSubstr("service=the%20registry"),
                    HasSubstr("scope=repository%3Ateam%2Flambdaml%3Apull%2Cpush")));
  registry_.is_public = true;
  EXPECT_NO_THROW(push());
  // A password goes by TLS or to this machine only.
  environment_.set("LAMBDAML_REGISTRY_AUTH", "me:sesame");
  registry_.realm = "http://elsewhere.example/token";
  EXPECT_THAT(refusal(Code::permission_denied), HasSubstr("not known"));
  environment_.set("LAMBDAML_REGISTRY_AUTH", "sesame");
  EXPECT_THAT(refusal(Code::invalid_argument), HasSubstr("USER:PASSWORD"));
}

TEST_F(ImagePush, WhatIsRefusedIsOneLine) {
  registry_.status = 403;
  EXPECT_THAT(refusal(Code::permission_denied),
              AllOf(HasSubstr("DENIED: not"), HasSubstr("may not push")));
  registry_.status = 400;
  EXPECT_THAT(refusal(Code::invalid_argument), HasSubstr("HTTP 400"));
  registry_.status = 0;
  for (const char* location : {"", "ftp://x", "elsewhere"}) {
    registry_.location = location;
    EXPECT_THAT(refusal(Code::data_corrupt), HasSubstr("no place for the upload"));
  }
  write_file(folder_ / "image/index.json", as_bytes(std::string("{}")));
  refusal(Code::data_corrupt);
  std::filesystem::remove_all(folder_ / "image");
  EXPECT_THAT(refusal(Code::not_found), HasSubstr("lambdaml package --oci"));
}

class RegistryLogin : public ::testing::Test {
 protected:
  /// Writes a login file with a key; its user is called like the file.
  void leave(const std::string& file, const std::string& key) {
    const std::filesystem::path path = folder_ / file;
    std::filesystem::create_directories(path.parent_path());
    write_file(path, as_bytes("{\"auths\":{\"" + key + "\":{\"username\":\"" + file +
                              "\",\"password\":\"p\"}}}"));
  }
  static std::string user_of(const std::string& image) {
    const ImageName name = ImageName::parse(image);
    const std::optional<std::string> login = registry_login(name.host, name.name);
    if (!login) return "";
    const std::string text(decode_base64(*login).value().text());
    return text.substr(0, text.find(':'));
  }

  const Scratch scratch_{"lambdaml-login-"};
  const std::filesystem::path folder_ = scratch_.path();
  ScopedEnvironment environment_{{{"DOCKER_CONFIG", ""},
                                  {"REGISTRY_AUTH_FILE", ""},
                                  {"LAMBDAML_REGISTRY_AUTH", ""},
                                  {"HOME", folder_.string()},
                                  {"XDG_RUNTIME_DIR", (folder_ / "run").string()},
                                  {"XDG_CONFIG_HOME", ""}}};
};

TEST_F(RegistryLogin, IsWhereProgramsLeaveIt) {
  EXPECT_EQ(user_of("host.x/a"), "");
  // From the last that is looked at to the first.
  for (const char* file : {".docker/config.json", ".config/containers/auth.json",
                           "run/containers/auth.json", "docker/config.json", "named"}) {
    leave(file, "host.x");
    if (file == std::string("docker/config.json"))
      environment_.set("DOCKER_CONFIG", (folder_ / "docker").string());
    if (file == std::string("named"))
      environment_.set("REGISTRY_AUTH_FILE", (folder_ / "named").string());
    EXPECT_EQ(user_of("host.x/a"), file);
  }
  // The others are not looked at then.
  leave("named", "other.x");
  EXPECT_EQ(user_of("host.x/a"), "");
  environment_.set("REGISTRY_AUTH_FILE", "");
  // A file without the registry leaves it to the next.
  leave("docker/config.json", "other.x");
  EXPECT_EQ(user_of("host.x/a"), "run/containers/auth.json");
  write_file(folder_ / "run/containers/auth.json", as_bytes(std::string("none")));
  EXPECT_THROW(user_of("host.x/a"), Error);
}

TEST_F(RegistryLogin, IsOfTheNamesThatARegistryHas) {
  for (const char* key : {"docker.io", "https://index.docker.io/v1/", "index.docker.io",
                          "registry-1.docker.io", "docker.io/library"}) {
    leave(".docker/config.json", key);
    EXPECT_NE(user_of("docker.io/lambdaml"), "") << key;
    EXPECT_NE(user_of("index.docker.io/lambdaml"), "") << key;
    EXPECT_EQ(user_of("host.x/lambdaml"), "") << key;
  }
  for (const char* key :
       {"host.x", "https://host.x", "http://host.x/v2/", "host.x/team", "host.x/team/lambdaml"}) {
    leave(".docker/config.json", key);
    EXPECT_NE(user_of("host.x/team/lambdaml:1"), "") << key;
    EXPECT_EQ(user_of("host.x:5000/team/lambdaml:1"), "") << key;
  }
  EXPECT_EQ(user_of("host.x/team/lambdaml2"), "");
  write_file(folder_ / ".docker/config.json", as_bytes(std::string(R"({"auths":{
      "host.x/team":{"auth":"dGVhbTpw"},"host.x":{"auth":"YWxsOnA="},
      "azure.x":{"auth":"MDA6","identitytoken":"t"},"list.x":[]}})")));
  EXPECT_EQ(user_of("host.x/team/a"), "team");
  EXPECT_EQ(user_of("host.x/other/a"), "all");
  EXPECT_EQ(user_of("azure.x/a"), "");
  EXPECT_EQ(user_of("list.x/a"), "");
}

TEST(ImageNames, AreThoseOfRegistries) {
  const ImageName ecr = ImageName::parse("1.dkr.ecr.us-east-1.amazonaws.com/team/lambdaml:v1.2");
  EXPECT_EQ(ecr.host, "1.dkr.ecr.us-east-1.amazonaws.com");
  EXPECT_EQ(ecr.name, "team/lambdaml");
  EXPECT_EQ(ecr.tag, "v1.2");
  EXPECT_EQ(ecr.scheme, "https");
  EXPECT_EQ(ImageName::parse("localhost:5000/x").text(), "localhost:5000/x:latest");
  EXPECT_EQ(ImageName::parse("localhost:5000/x").scheme, "http");
  EXPECT_EQ(ImageName::parse("127.0.0.1.example/x").scheme, "https");
  // Docker Hub.
  EXPECT_EQ(ImageName::parse("docker.io/lambdaml").text(), "docker.io/library/lambdaml:latest");
  EXPECT_EQ(ImageName::parse("docker.io/me/lambdaml:1").text(), "docker.io/me/lambdaml:1");
  EXPECT_EQ(ImageName::parse("index.docker.io/me/x").text(), "docker.io/me/x:latest");
  EXPECT_EQ(ImageName::parse("registry-1.docker.io/x").text(), "docker.io/library/x:latest");
  for (const char* bad : {"", "lambdaml", "team/lambdaml", "host.x/", "host.x/Name", "host.x/a//b",
                          "host.x/a:", "host.x/a:-1", "host.x/a b", "me@host.x/a", "host.x/../a",
                          "https://host.x/a"}) {
    try {
      ImageName::parse(bad);
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::invalid_argument);
      EXPECT_THAT(error.what(), HasSubstr("--push"));
    }
  }
}

}  // namespace
}  // namespace lambdaml::deploy
