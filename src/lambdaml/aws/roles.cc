#include "lambdaml/aws/roles.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>

#include "lambdaml/aws/client.h"
#include "lambdaml/aws/digest.h"
#include "lambdaml/aws/environment.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::aws {
namespace {

constexpr double kPatience = 20;

/// Credentials that do not change.
class Fixed final : public CredentialsProvider {
 public:
  explicit Fixed(Credentials credentials) : credentials_(std::move(credentials)) {}
  Credentials get() override { return credentials_; }
  Credentials renew(const Credentials&) override { return credentials_; }

 private:
  Credentials credentials_;
};

std::string usual_region(std::string region) {
  if (region.empty()) region = configured_region();
  return region.empty() ? "us-east-1" : region;
}

std::string usual_session(const std::string& session) {
  return session.empty() ? "lambdaml" : session;
}

/// The element of that name, in any depth.
pugi::xml_node node_in(const pugi::xml_document& document, const char* name) {
  return document.find_node(
      [&](const pugi::xml_node& node) { return std::string_view(node.name()) == name; });
}

/// One request of STS; without `user`, unsigned.
TimedCredentials ask_sts(const Role& role, Query query, const std::optional<Credentials>& user) {
  query.emplace_back("Version", "2011-06-15");
  query.emplace_back("RoleArn", role.arn);
  query.emplace_back("RoleSessionName", usual_session(role.session));
  if (!role.duration_s.empty()) query.emplace_back("DurationSeconds", role.duration_s);
  const std::string body = encode_query(query);
  ClientOptions options;
  options.service = "sts";
  options.region = usual_region(role.region);
  options.anonymous = !user;
  if (user) options.credentials = std::make_shared<Fixed>(*user);
  Client client(options);
  Request request;
  request.method = "POST";
  request.headers = {{"content-type", "application/x-www-form-urlencoded"}};
  request.body = as_bytes(body);
  const std::string what = fmt::format("assuming the role {}", printable(role.arn));
  const Response answer = client.call(request, what, Deadline::in(kPatience));
  pugi::xml_document document;
  document.load_buffer(answer.body.data(), answer.body.size());
  if (!answer.ok()) {
    const pugi::xml_node error = node_in(document, "Error");
    const std::string code = error.child_value("Code");
    fail(Code::permission_denied, "{}: {}: {}{}{}", client.endpoint(), what,
         code.empty() ? fmt::format("HTTP {}", answer.status) : printable(code, 60),
         code.empty() ? "" : fmt::format(": {}", printable(error.child_value("Message"), 300)),
         code == "AccessDenied" ? "; the role's trust policy must name who asks, and the policy of "
                                  "who asks must allow sts:AssumeRole"
                                : "");
  }
  const pugi::xml_node node = node_in(document, "Credentials");
  const nlohmann::json json = {{"AccessKeyId", node.child_value("AccessKeyId")},
                               {"SecretAccessKey", node.child_value("SecretAccessKey")},
                               {"SessionToken", node.child_value("SessionToken")},
                               {"Expiration", node.child_value("Expiration")}};
  return parse_credentials(json.dump(), client.endpoint());
}

[[noreturn]] void refuse(const Profile& profile, std::string_view why) {
  fail(Code::permission_denied, "the AWS profile '{}' {}", printable(profile.name), why);
}

std::string hex(Bytes bytes) {
  std::string out;
  for (const std::byte byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

/// What `aws sso login` leaves for a session or, in older profiles, for the start URL.
std::string sso_token(const Profile& profile, const std::string& name) {
  const std::string file =
      variable("HOME") + "/.aws/sso/cache/" + hex(sha1(as_bytes(name))) + ".json";
  const std::string remedy =
      fmt::format("run: aws sso login --profile {}", printable(profile.name));
  const std::optional<Buffer> text = read_file(file);
  if (!text) refuse(profile, "has no single sign-on: " + remedy);
  const auto json = parse_json(text->text());
  const auto member = [&](const char* of) {
    return json.is_object() && json.contains(of) && json[of].is_string()
               ? json[of].template get<std::string>()
               : std::string();
  };
  const std::optional<WallTime> expires = parse_time(member("expiresAt"));
  if (member("accessToken").empty() || !expires)
    refuse(profile, fmt::format("has no single sign-on: {} is no token; {}", file, remedy));
  if (*expires <= wall_now()) refuse(profile, "has a single sign-on that has expired: " + remedy);
  return member("accessToken");
}

TimedCredentials credentials_from_sso(const Profile& profile) {
  const std::string session = find(profile.config, "sso_session");
  const Settings& settings = session.empty() ? profile.config : profile.sso_session;
  const std::string region = find(settings, "sso_region");
  const std::string start = find(settings, "sso_start_url");
  const std::string account = find(profile.config, "sso_account_id");
  const std::string role = find(profile.config, "sso_role_name");
  for (const auto& [name, value] : {std::pair("sso_region", region),
                                    {"sso_start_url", start},
                                    {"sso_account_id", account},
                                    {"sso_role_name", role}})
    if (value.empty()) refuse(profile, fmt::format("lacks {} for its single sign-on", name));
  ClientOptions options;
  options.service = "sso";
  options.region = region;
  options.endpoint = configured_endpoint("sso");
  if (options.endpoint.empty())
    options.endpoint = fmt::format("https://portal.sso.{}.amazonaws.com", region);
  options.anonymous = true;
  Client client(options);
  Request request;
  request.path = "/federation/credentials";
  request.query = {{"account_id", account}, {"role_name", role}};
  request.headers = {
      {"x-amz-sso_bearer_token", sso_token(profile, session.empty() ? start : session)}};
  const std::string what =
      fmt::format("single sign-on of the AWS profile '{}'", printable(profile.name));
  const Response answer = client.call(request, what, Deadline::in(kPatience));
  const auto json = parse_json(answer.body.text());
  if (!answer.ok() || !json.is_object() || !json.contains("roleCredentials"))
    fail(Code::permission_denied, "{}: {}: HTTP {}; run: aws sso login --profile {}",
         client.endpoint(), what, answer.status, printable(profile.name));
  const auto& given = json["roleCredentials"];
  const auto text = [&](const char* name) { return text_at(given, name); };
  TimedCredentials out;
  out.credentials = {text("accessKeyId"), text("secretAccessKey"), text("sessionToken")};
  if (out.credentials.access_key.empty() || out.credentials.secret_key.empty())
    refuse(profile, "got no credentials by its single sign-on");
  constexpr std::uint64_t kYear2100_ms = 4102444800000;
  out.expires =
      WallTime(std::chrono::milliseconds(std::min(count_at(given, "expiration"), kYear2100_ms)));
  return out;
}

/// The credentials with which a profile asks for its role.
Credentials user_of(const Profile& profile, std::vector<std::string>& seen);

TimedCredentials credentials_in(const Profile& profile, std::vector<std::string>& seen) {
  const std::string arn = find(profile.config, "role_arn");
  if (arn.empty()) return credentials_from_sso(profile);
  if (profile.config.contains("mfa_serial"))
    refuse(profile,
           "asks for a code (mfa_serial), which nobody is there to type: run aws configure "
           "export-credentials");
  const Role role{.arn = arn,
                  .session = find(profile.config, "role_session_name"),
                  .external_id = find(profile.config, "external_id"),
                  .duration_s = find(profile.config, "duration_seconds"),
                  .region = find(profile.config, "region")};
  if (const std::string token = find(profile.config, "web_identity_token_file"); !token.empty())
    return assume_role_with_web_identity(role, token);
  return assume_role(role, user_of(profile, seen));
}

Credentials user_of(const Profile& profile, std::vector<std::string>& seen) {
  const std::string source = find(profile.config, "source_profile");
  const std::string kind = find(profile.config, "credential_source");
  if (source.empty() == kind.empty())
    refuse(profile, "has a role_arn: it needs either source_profile or credential_source");
  if (!source.empty()) {
    const Profile user = read_profile(source);
    if (user.config.empty() && user.credentials.empty())
      refuse(profile,
             fmt::format("names a source_profile '{}', which there is not", printable(source)));
    // A profile with keys may name itself.
    const bool itself = source == profile.name;
    if (auto keys = keys_of_profile(user); keys && (itself || !has_role(user)))
      return keys->credentials;
    seen.push_back(profile.name);
    if (itself || std::ranges::find(seen, source) != seen.end())
      refuse(profile, fmt::format("names a source_profile '{}' in a circle", printable(source)));
    if (!has_role(user))
      refuse(profile, fmt::format("names a source_profile '{}', which has no credentials",
                                  printable(source)));
    return credentials_in(user, seen).credentials;
  }
  std::optional<TimedCredentials> user;
  if (kind == "Environment")
    user = credentials_from_environment();
  else if (kind == "Ec2InstanceMetadata")
    user = credentials_from_instance();
  else if (kind == "EcsContainer")
    user = credentials_from_container();
  else
    refuse(profile, fmt::format("names a credential_source '{}': there are Environment, "
                                "Ec2InstanceMetadata and EcsContainer",
                                printable(kind)));
  if (!user)
    refuse(profile, fmt::format("names the credential_source {}, which has none here", kind));
  return user->credentials;
}

}  // namespace

TimedCredentials assume_role(const Role& role, const Credentials& user) {
  Query query = {{"Action", "AssumeRole"}};
  if (!role.external_id.empty()) query.emplace_back("ExternalId", role.external_id);
  return ask_sts(role, std::move(query), user);
}

TimedCredentials assume_role_with_web_identity(const Role& role, const std::string& token_file) {
  const std::optional<Buffer> token = read_file(token_file);
  if (!token)
    fail(Code::permission_denied, "assuming the role {}: there is no token file {}",
         printable(role.arn), printable(token_file));
  return ask_sts(role,
                 {{"Action", "AssumeRoleWithWebIdentity"},
                  {"WebIdentityToken", std::string(trim(token->text()))}},
                 {});
}

std::optional<TimedCredentials> credentials_from_web_identity() {
  const std::string file = variable("AWS_WEB_IDENTITY_TOKEN_FILE");
  if (file.empty()) return {};
  const std::string arn = variable("AWS_ROLE_ARN");
  if (arn.empty())
    fail(Code::permission_denied, "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not");
  return assume_role_with_web_identity({.arn = arn, .session = variable("AWS_ROLE_SESSION_NAME")},
                                       file);
}

bool has_role(const Profile& profile) {
  return std::ranges::any_of(
      std::initializer_list<const char*>{"role_arn", "sso_session", "sso_start_url"},
      [&](const char* name) { return profile.config.contains(name); });
}

TimedCredentials credentials_of_role(const Profile& profile) {
  std::vector<std::string> seen;
  return credentials_in(profile, seen);
}

}  // namespace lambdaml::aws
