#include "lambdaml/aws/roles.h"

#include <filesystem>
#include <fstream>
#include <map>

#include <gmock/gmock.h>

#include "lambdaml/aws/diagnosis.h"
#include "lambdaml/aws/signature_check.h"
#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/uri.h"

/// Roles and single sign-on, of services that insist on what they are asked.
namespace lambdaml::aws {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string stamp(int seconds_from_now) {
  return time_stamp(wall_now() + std::chrono::seconds(seconds_from_now));
}

/// "2030-01-31T12:00:00Z"
std::string iso(int seconds_from_now) {
  const std::string t = stamp(seconds_from_now);
  return t.substr(0, 4) + "-" + t.substr(4, 2) + "-" + t.substr(6, 5) + ":" + t.substr(11, 2) +
         ":" + t.substr(13);
}

/// STS and the portal of single sign-on.
class Services {
 public:
  ScriptedServer server{[this](const ScriptedRequest& heard) { return answer(heard); }};
  /// Users who may assume roles, by access key.
  std::map<std::string, std::string> secrets = {{"USER", "SECRETVALUE"}};
  std::map<std::string, std::string> last;  ///< what STS was asked
  std::string forbidden_role;
  int lifetime_s = 3600;
  std::string sso_expiration = "4000000000000";

 private:
  static std::map<std::string, std::string> parse(const std::string& form) {
    std::map<std::string, std::string> out;
    for (std::size_t at = 0; at < form.size();) {
      const std::size_t end = std::min(form.find('&', at), form.size());
      const std::size_t equal = form.find('=', at);
      out[form.substr(at, equal - at)] =
          percent_decoded_leniently(form.substr(equal + 1, end - equal - 1));
      at = end + 1;
    }
    return out;
  }

  ScriptedAnswer answer(const ScriptedRequest& heard) {
    if (heard.target.starts_with("/federation/credentials?")) return portal(heard);
    last = parse(heard.body);
    const std::string& action = last["Action"];
    if (action == "AssumeRole") {
      const std::string authorization = heard.header("authorization");
      for (const auto& [key, secret] : secrets) {
        if (authorization.find("Credential=" + key + "/") == std::string::npos) continue;
        const SignatureCheck check("sts", {{key, secret, heard.header("x-amz-security-token")}});
        if (const auto refusal = check.check({heard.method, heard.target, heard.headers},
                                             as_bytes(heard.body), wall_now()))
          return fault("SignatureDoesNotMatch", refusal->message);
        return role(key);
      }
      return fault("InvalidClientTokenId", "The security token is invalid");
    }
    if (!heard.header("authorization").empty()) return fault("SignedForNothing", "");
    return last["WebIdentityToken"] == "TOKENVALUE" ? role("web")
                                                    : fault("InvalidIdentityToken", "Expired");
  }

  ScriptedAnswer role(const std::string& user) {
    const std::string arn = last["RoleArn"];
    if (arn == forbidden_role)
      return fault("AccessDenied",
                   "User: " + user + " is not authorized to perform: sts:AssumeRole");
    const std::string key = "ROLE-" + arn.substr(arn.rfind('/') + 1) + "-OF-" + user;
    secrets[key] = "SECRETVALUE2";
    return {.body =
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                "<AssumeRoleResult><Credentials><AccessKeyId>" +
                key +
                "</AccessKeyId><SecretAccessKey>SECRETVALUE2</SecretAccessKey><SessionToken>"
                "TOKENVALUE2</SessionToken><Expiration>" +
                iso(lifetime_s) +
                "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"};
  }
  static ScriptedAnswer fault(const std::string& code, const std::string& message) {
    return {.status = 403,
            .body = "<ErrorResponse><Error><Code>" + code + "</Code><Message>" + message +
                    "</Message></Error></ErrorResponse>"};
  }
  ScriptedAnswer portal(const ScriptedRequest& heard) const {
    if (heard.header("x-amz-sso_bearer_token") != "TOKENVALUE") return {.status = 401};
    if (heard.target.find("account_id=123&role_name=Admin") == std::string::npos)
      return {.status = 403};
    return {.body = R"({"roleCredentials":{"accessKeyId":"SSO","secretAccessKey":"SECRETVALUE",)"
                    R"("sessionToken":"TOKENVALUE","expiration":)" +
                    sso_expiration + "}}"};
  }
};

class AwsRoles : public testing::Test {
 protected:
  void SetUp() override {
    environment_.set("AWS_ENDPOINT_URL", services_.server.url());
    environment_.set("HOME", folder_);
  }
  std::string write(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
    return path;
  }
  /// With the profile of that name in these files.
  void use(const std::string& profile, const std::string& config, const std::string& keys = "") {
    environment_.set("AWS_CONFIG_FILE", write("config", config));
    environment_.set("AWS_SHARED_CREDENTIALS_FILE", write("credentials", keys));
    environment_.set("AWS_PROFILE", profile);
  }
  static Credentials got() { return CredentialsSource().get(); }
  /// The message, which must hold no secret and be one line.
  static std::string refusal() {
    try {
      got();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::permission_denied) << error.what();
      EXPECT_THAT(error.what(), AllOf(Not(HasSubstr("SECRETVALUE")), Not(HasSubstr("TOKENVALUE")),
                                      Not(HasSubstr("\n"))));
      return error.what();
    }
    return "nothing was thrown";
  }

  const std::string kKeys =
      "[user]\naws_access_key_id = USER\naws_secret_access_key = SECRETVALUE\n";
  const Scratch scratch_{"lambdaml-roles-"};
  const std::string folder_ = scratch_.path();
  ScopedEnvironment environment_;
  Services services_;
};

TEST_F(AwsRoles, AreAssumedWithTheKeysOfAnotherProfile) {
  use("job",
      "[profile job]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = user\n"
      "external_id = ext/1\nrole_session_name = me\nduration_seconds = 900\nregion = eu-west-1\n",
      kKeys);
  EXPECT_EQ(got(), (Credentials{"ROLE-r-OF-USER", "SECRETVALUE2", "TOKENVALUE2"}));
  EXPECT_EQ(services_.last["ExternalId"], "ext/1");
  EXPECT_EQ(services_.last["RoleSessionName"], "me");
  EXPECT_EQ(services_.last["DurationSeconds"], "900");
  EXPECT_EQ(services_.last["Version"], "2011-06-15");
  EXPECT_THAT(services_.server.requests()[0].header("authorization"),
              HasSubstr("/eu-west-1/sts/aws4_request"));
}

TEST_F(AwsRoles, FollowOneAnother) {
  use("b",
      "[profile a]\nrole_arn = x/a\nsource_profile = user\n"
      "[profile b]\nrole_arn = x/b\nsource_profile = a\n"
      "[profile self]\nrole_arn = x/self\nsource_profile = self\n",
      kKeys + "[self]\naws_access_key_id = USER\naws_secret_access_key = SECRETVALUE\n");
  EXPECT_EQ(got().access_key, "ROLE-b-OF-ROLE-a-OF-USER");
  environment_.set("AWS_PROFILE", "self");
  EXPECT_EQ(got().access_key, "ROLE-self-OF-USER");
  // The credentials file may have roles too.
  use("b", "", kKeys + "[b]\nrole_arn = x/b\nsource_profile = user\n");
  EXPECT_EQ(got().access_key, "ROLE-b-OF-USER");
}

TEST_F(AwsRoles, AreAssumedWithTheCredentialsOfAPlace) {
  use("job", "[profile job]\nrole_arn = x/r\ncredential_source = Environment\n");
  EXPECT_THAT(refusal(), HasSubstr("credential_source Environment, which has none here"));
  // The keys in the environment go before a profile, so ask for the profile itself.
  environment_.set("AWS_ACCESS_KEY_ID", "USER");
  environment_.set("AWS_SECRET_ACCESS_KEY", "SECRETVALUE");
  EXPECT_EQ(credentials_from_profile()->credentials.access_key, "ROLE-r-OF-USER");
}

TEST_F(AwsRoles, AreAssumedWithAToken) {
  environment_.set("AWS_WEB_IDENTITY_TOKEN_FILE", write("token", "TOKENVALUE\n"));
  EXPECT_THAT(refusal(), HasSubstr("AWS_ROLE_ARN is not"));
  environment_.set("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod");
  EXPECT_EQ(got().access_key, "ROLE-pod-OF-web");
  EXPECT_EQ(services_.last["RoleSessionName"], "lambdaml");
  EXPECT_EQ(services_.last["Action"], "AssumeRoleWithWebIdentity");
  environment_.set("AWS_ROLE_SESSION_NAME", "pod-7");
  got();
  EXPECT_EQ(services_.last["RoleSessionName"], "pod-7");
  write("token", "another");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("role/pod"), HasSubstr("InvalidIdentityToken: Expired")));
  environment_.set("AWS_WEB_IDENTITY_TOKEN_FILE", folder_ + "/none");
  EXPECT_THAT(refusal(), HasSubstr("there is no token file"));
  use("job",
      "[profile job]\nrole_arn = x/r\nweb_identity_token_file = " + write("t", "TOKENVALUE"));
  EXPECT_EQ(got().access_key, "ROLE-r-OF-web");
  // A pod's role goes before keys that its image has in files.
  environment_.set("AWS_WEB_IDENTITY_TOKEN_FILE", write("token", "TOKENVALUE\n"));
  use("user", "", kKeys);
  EXPECT_EQ(got().access_key, "ROLE-pod-OF-web");
  EXPECT_EQ(find_credentials()->source, "the web identity");
  environment_.set("AWS_WEB_IDENTITY_TOKEN_FILE", "");
  EXPECT_EQ(find_credentials()->source, "the profile 'user'");
}

TEST_F(AwsRoles, AreAssumedAgainBeforeTheyEnd) {
  services_.lifetime_s = 240;
  use("job", "[profile job]\nrole_arn = x/r\nsource_profile = user\n", kKeys);
  CredentialsSource source;
  source.get();
  source.get();
  EXPECT_EQ(services_.server.requests().size(), 2U);
}

TEST_F(AwsRoles, ThatMayNotBeAssumedSayWhy) {
  services_.forbidden_role = "arn:aws:iam::1:role/admin";
  use("job", "[profile job]\nrole_arn = arn:aws:iam::1:role/admin\nsource_profile = user\n", kKeys);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("assuming the role arn:aws:iam::1:role/admin"),
                               HasSubstr("AccessDenied: User: USER is not authorized"),
                               HasSubstr("trust policy"), Not(HasSubstr("\n"))));
}

TEST_F(AwsRoles, OfProfilesThatMakeNoSenseAreRefused) {
  const std::string all =
      "[profile alone]\nrole_arn = x/r\n"
      "[profile both]\nrole_arn = x/r\nsource_profile = user\ncredential_source = Environment\n"
      "[profile nobody]\nrole_arn = x/r\nsource_profile = missing\n"
      "[profile ring1]\nrole_arn = x/r\nsource_profile = ring2\n"
      "[profile ring2]\nrole_arn = x/r\nsource_profile = ring1\n"
      "[profile odd]\nrole_arn = x/r\ncredential_source = Moon\n"
      "[profile code]\nrole_arn = x/r\nsource_profile = user\nmfa_serial = x\n"
      "[profile empty]\nregion = x\n"
      "[profile poor]\nrole_arn = x/r\nsource_profile = empty\n";
  for (const auto& [profile, why] :
       std::map<std::string, std::string>{{"alone", "either source_profile or credential_source"},
                                          {"both", "either source_profile or credential_source"},
                                          {"nobody", "'missing', which there is not"},
                                          {"ring1", "in a circle"},
                                          {"odd", "credential_source 'Moon'"},
                                          {"code", "mfa_serial"},
                                          {"poor", "'empty', which has no credentials"}}) {
    use(profile, all, kKeys);
    EXPECT_THAT(refusal(), HasSubstr(why)) << profile;
  }
  EXPECT_TRUE(services_.server.requests().empty());
}

TEST_F(AwsRoles, OfSingleSignOnUseTheTokenOfItsLogin) {
  const std::string session =
      "[profile sso]\nsso_session = corp\nsso_account_id = 123\nsso_role_name = Admin\n"
      "[sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.example/start\n";
  use("sso", session);
  EXPECT_THAT(refusal(), HasSubstr("run: aws sso login --profile sso"));
  // printf corp | sha1sum
  const std::string cache = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
  const std::string token = R"({"accessToken":"TOKENVALUE","expiresAt":")";
  write(cache, token + iso(3600) + "\"}");
  for (const char* expiration : {"4000000000000", "18446744073709551615", "1e300", "-1", "null"}) {
    services_.sso_expiration = expiration;
    EXPECT_EQ(got(), (Credentials{"SSO", "SECRETVALUE", "TOKENVALUE"})) << expiration;
  }
  write(cache, token + iso(-1) + "\"}");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("expired"), HasSubstr("aws sso login")));
  write(cache, "{}");
  EXPECT_THAT(refusal(), HasSubstr("is no token"));
  write(cache, R"({"accessToken":"other","expiresAt":")" + iso(3600) + "\"}");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("HTTP 401"), HasSubstr("aws sso login")));
  use("sso", "[profile sso]\nsso_start_url = https://x\nsso_account_id = 123\n");
  EXPECT_THAT(refusal(), HasSubstr("lacks sso_region"));
}

}  // namespace
}  // namespace lambdaml::aws
