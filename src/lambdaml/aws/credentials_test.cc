#include "lambdaml/aws/credentials.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"

namespace lambdaml::aws {
namespace {

using std::chrono::system_clock;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

std::string stamp(system_clock::duration from_now) {
  const std::time_t time = system_clock::to_time_t(wall_now() + from_now);
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

std::string json_of(const std::string& id, const std::string& expiration) {
  return R"({"Code":"Success","AccessKeyId":")" + id +
         R"(","SecretAccessKey":"SECRETVALUE","Token":"TOKENVALUE","Expiration":")" + expiration +
         R"("})";
}

class AwsCredentials : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  /// The message, which must hold no secret; "" when nothing is thrown.
  template <class Call>
  static std::string refused(Call&& call, Code code = Code::permission_denied) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), AllOf(Not(HasSubstr("SECRETVALUE")), Not(HasSubstr("TOKENVALUE"))));
      return error.what();
    }
    return "";
  }
  const Scratch scratch_{"lambdaml-credentials-"};
  const std::string folder_ = scratch_.path();
  ScopedEnvironment environment_;
};

TEST_F(AwsCredentials, ComeFromTheEnvironment) {
  EXPECT_FALSE(credentials_from_environment());
  environment_.set("AWS_ACCESS_KEY_ID", "AKID");
  EXPECT_THAT(refused([] { credentials_from_environment(); }), HasSubstr("AWS_SECRET_ACCESS_KEY"));
  environment_.set("AWS_SECRET_ACCESS_KEY", "SECRETVALUE");
  EXPECT_EQ(credentials_from_environment()->credentials, (Credentials{"AKID", "SECRETVALUE", ""}));
  environment_.set("AWS_SESSION_TOKEN", "TOKENVALUE");
  EXPECT_EQ(credentials_from_environment()->credentials.session_token, "TOKENVALUE");
  // The environment goes before the files.
  environment_.set("AWS_SHARED_CREDENTIALS_FILE",
                   write("credentials", "[default]\naws_access_key_id = FILE\n"));
  EXPECT_EQ(CredentialsSource().get().access_key, "AKID");
}

TEST_F(AwsCredentials, ComeFromTheFiles) {
  environment_.set("AWS_SHARED_CREDENTIALS_FILE",
                   write("credentials",
                         "[default]\naws_access_key_id = ONE\naws_secret_access_key = S1\n"
                         "[work]\naws_access_key_id=TWO\naws_secret_access_key=S2\n"
                         "aws_session_token=T2\n[half]\naws_access_key_id=X\n"));
  environment_.set("AWS_CONFIG_FILE",
                   write("config",
                         "[profile inline]\naws_access_key_id=THREE\naws_secret_access_key=S3\n"
                         "[profile role]\nrole_arn=arn:aws:iam::1:role/r\n"));
  EXPECT_EQ(CredentialsSource().get(), (Credentials{"ONE", "S1", ""}));
  environment_.set("AWS_PROFILE", "work");
  EXPECT_EQ(CredentialsSource().get(), (Credentials{"TWO", "S2", "T2"}));
  environment_.set("AWS_PROFILE", "inline");
  EXPECT_EQ(CredentialsSource().get(), (Credentials{"THREE", "S3", ""}));
  environment_.set("AWS_PROFILE", "half");
  EXPECT_THAT(refused([] { CredentialsSource().get(); }), HasSubstr("'half'"));
  environment_.set("AWS_PROFILE", "role");
  EXPECT_THAT(refused([] { CredentialsSource().get(); }), HasSubstr("source_profile"));
  environment_.set("AWS_PROFILE", "nobody");
  EXPECT_THAT(refused([] { CredentialsSource().get(); }), HasSubstr("'nobody'"));
}

TEST_F(AwsCredentials, ComeFromAProcess) {
  const std::string answer = write("answer", json_of("PROCESS", stamp(std::chrono::hours(1))));
  const auto with = [&](const std::string& command) {
    environment_.set("AWS_CONFIG_FILE",
                     write("config", "[default]\ncredential_process = " + command + "\n"));
    return credentials_from_profile();
  };
  EXPECT_EQ(with("cat " + answer)->credentials,
            (Credentials{"PROCESS", "SECRETVALUE", "TOKENVALUE"}));
  EXPECT_THAT(refused([&] { with("cat " + answer + "; exit 3"); }), HasSubstr("exit code 3"));
  EXPECT_THAT(refused([&] { with("echo SECRETVALUE"); }), HasSubstr("not JSON"));
  EXPECT_THAT(refused([&] { with("sh -c 'echo first; echo token expired, log in >&2; exit 3'"); }),
              HasSubstr("(exit code 3): token expired, log in"));
  EXPECT_THAT(refused([&] { with("yes SECRETVALUE"); }), HasSubstr("too much"));
}

TEST_F(AwsCredentials, OnlyWholeAnswersCount) {
  for (const char* json :
       {"", "[]", "null", "{", "{}", R"({"AccessKeyId":"A"})",
        R"({"AccessKeyId":1,"SecretAccessKey":"SECRETVALUE"})",
        R"({"AccessKeyId":"A","SecretAccessKey":"SECRETVALUE","Expiration":"soon"})"})
    EXPECT_THAT(refused([&] { parse_credentials(json, "a test"); }), HasSubstr("a test")) << json;
  const TimedCredentials given =
      parse_credentials(json_of("A", "2001-09-09T01:46:40.5Z"), "a test");
  EXPECT_EQ(system_clock::to_time_t(*given.expires), 1'000'000'000);
  // Found by fuzzing: beyond what the clock can count.
  EXPECT_GT(*parse_credentials(json_of("A", "4874-01-01T00:00:00Z"), "a test").expires, wall_now());
}

TEST_F(AwsCredentials, ComeFromAContainer) {
  ScriptedServer server(Script{{.body = json_of("CONTAINER", stamp(std::chrono::hours(1)))}});
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url() + "/role?x=1");
  environment_.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc");
  EXPECT_EQ(CredentialsSource().get().access_key, "CONTAINER");
  environment_.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", write("token", "from-file\n"));
  EXPECT_EQ(CredentialsSource().get().access_key, "CONTAINER");
  const auto heard = server.requests();
  ASSERT_THAT(heard, SizeIs(2));
  EXPECT_EQ(heard[0].target, "/role?x=1");
  EXPECT_EQ(heard[0].header("authorization"), "Basic abc");
  EXPECT_EQ(heard[0].header("host"), server.url().substr(7));
  EXPECT_EQ(heard[1].header("authorization"), "from-file");
}

TEST_F(AwsCredentials, AContainersTokenGoesToNobodyElse) {
  environment_.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "TOKENVALUE");
  for (const char* uri : {"http://192.0.2.1/", "http://localhost.evil.example/x",
                          "http://127.evil.example/x", "http://169.254.170.20/"}) {
    environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri);
    EXPECT_THAT(refused([] { credentials_from_container(); }), HasSubstr("neither https")) << uri;
  }
  environment_.set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/");
  EXPECT_THAT(refused([] { credentials_from_container(); }), HasSubstr("slash"));
}

TEST_F(AwsCredentials, AContainersRefusalAndSilenceDiffer) {
  ScriptedServer refusing(Script{{.status = 403, .body = "SECRETVALUE"}});
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", refusing.url());
  EXPECT_THAT(refused([] { credentials_from_container(); }), HasSubstr("HTTP 403"));
  ScriptedServer busy(Script{{.status = 503}});
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", busy.url());
  EXPECT_THAT(refused([] { credentials_from_container(); }, Code::unavailable),
              HasSubstr("HTTP 503"));
  EXPECT_THAT(busy.requests(), SizeIs(3));
}

TEST_F(AwsCredentials, AnswersHaveAnEnd) {
  const std::string deep = "{\"a\":" + std::string(20'000, '[');
  for (const std::string& body : {std::string(65'537, 'x'), deep}) {
    ScriptedServer server(Script{{.body = body}});
    environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
    const bool is_long = body.size() > 65'536;
    EXPECT_NE(refused([] { credentials_from_container(); },
                      is_long ? Code::unavailable : Code::permission_denied),
              "");
  }
}

TEST_F(AwsCredentials, ComeFromAnInstance) {
  ScriptedServer server([](const ScriptedRequest& heard) -> ScriptedAnswer {
    if (heard.method == "PUT" && heard.target == "/latest/api/token" &&
        heard.header("x-aws-ec2-metadata-token-ttl-seconds") == "21600")
      return {.body = "imds-token"};
    if (heard.header("x-aws-ec2-metadata-token") != "imds-token") return {.status = 401};
    if (heard.target == "/latest/meta-data/iam/security-credentials/") return {.body = "my-role\n"};
    if (heard.target == "/latest/meta-data/iam/security-credentials/my-role")
      return {.body = json_of("INSTANCE", stamp(std::chrono::hours(1)))};
    return {.status = 404};
  });
  environment_.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url() + "/");
  EXPECT_THAT(refused([] { CredentialsSource().get(); }), HasSubstr("no AWS credentials"));
  EXPECT_THAT(server.requests(), SizeIs(0)) << "asked although AWS_EC2_METADATA_DISABLED is true";
  environment_.unset("AWS_EC2_METADATA_DISABLED");
  EXPECT_EQ(CredentialsSource().get().access_key, "INSTANCE");
}

TEST_F(AwsCredentials, NoInstanceMeansNoCredentials) {
  environment_.unset("AWS_EC2_METADATA_DISABLED");
  int port = 0;
  {
    const ScriptedServer server(Script{});
    port = server.port();
  }
  environment_.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:" + std::to_string(port));
  EXPECT_THAT(refused([] { CredentialsSource().get(); }),
              AllOf(HasSubstr("no AWS credentials"), HasSubstr("AWS_ACCESS_KEY_ID")));
  // An instance without a role.
  ScriptedServer server([](const ScriptedRequest& heard) {
    return ScriptedAnswer{.status = heard.method == "PUT" ? 200 : 404, .body = "token"};
  });
  environment_.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url());
  EXPECT_FALSE(credentials_from_instance());
}

TEST_F(AwsCredentials, AreFetchedAgainBeforeTheyExpire) {
  ScriptedServer server(Script{{.body = json_of("FIRST", stamp(std::chrono::minutes(4)))},
                               {.body = json_of("SECOND", stamp(std::chrono::hours(1)))}});
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
  CredentialsSource source;
  EXPECT_EQ(source.get().access_key, "FIRST");
  EXPECT_EQ(source.get().access_key, "SECOND");
  EXPECT_EQ(source.get().access_key, "SECOND");
  EXPECT_THAT(server.requests(), SizeIs(2));
}

TEST_F(AwsCredentials, ThatStillHoldSurviveAFailedRenewal) {
  ScriptedServer server(
      Script{{.body = json_of("FIRST", stamp(std::chrono::minutes(4)))}, {.status = 403}});
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
  CredentialsSource source;
  EXPECT_EQ(source.get().access_key, "FIRST");
  EXPECT_EQ(source.get().access_key, "FIRST");
  EXPECT_EQ(source.get().access_key, "FIRST");
  EXPECT_THAT(server.requests(), SizeIs(2)) << "asked again at once";
}

TEST_F(AwsCredentials, AreRenewedForTheFirstWhoAsks) {
  ScriptedServer server(Script{{.body = json_of("FIRST", stamp(std::chrono::hours(1)))},
                               {.body = json_of("SECOND", stamp(std::chrono::hours(1)))}});
  environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
  CredentialsSource source;
  const Credentials first = source.get();
  EXPECT_EQ(source.renew(first).access_key, "SECOND");
  EXPECT_EQ(source.renew(first).access_key, "SECOND");
  EXPECT_THAT(server.requests(), SizeIs(2));
}

}  // namespace
}  // namespace lambdaml::aws
