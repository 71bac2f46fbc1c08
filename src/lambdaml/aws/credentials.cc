#include "lambdaml/aws/credentials.h"

#include <algorithm>
#include <ctime>

#include <nlohmann/json.hpp>

#include "lambdaml/aws/environment.h"
#include "lambdaml/aws/profile.h"
#include "lambdaml/aws/roles.h"
#include "lambdaml/aws/wire.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/programs/command.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::aws {
namespace {

using std::chrono::system_clock;

constexpr auto kRefreshBefore = std::chrono::minutes(5);
constexpr auto kPauseAfterFailure = std::chrono::seconds(30);
constexpr double kProcessTimeout = 60;
constexpr std::size_t kMostOutput = 64U << 10U;     ///< of a process, in bytes
constexpr std::time_t kLatestTime = 4'102'444'800;  // the year 2100
constexpr double kMetadataTimeout = 5;
constexpr std::size_t kMostAnswer = 64U << 10U;
constexpr std::string_view kEcs = "http://169.254.170.2";
constexpr std::string_view kInstance = "http://169.254.169.254";

std::optional<TimedCredentials> keys_of(const Settings& settings, const Profile& profile) {
  Credentials out{find(settings, "aws_access_key_id"), find(settings, "aws_secret_access_key"),
                  find(settings, "aws_session_token")};
  if (out.access_key.empty()) return {};
  if (out.secret_key.empty())
    fail(Code::permission_denied, "the AWS profile '{}' has an access key without its secret",
         printable(profile.name));
  return TimedCredentials{std::move(out), {}};
}

/// The limit for each answer of a service on this machine or next to it.
WireOptions nearby(double answer_s) {
  return {.connect_timeout_s = answer_s,
          .patience = std::make_shared<Patience>(
              PatiencePolicy{.outage_s = kMetadataTimeout, .first_contact_s = answer_s}),
          .no_proxy = true};
}

/// One request to an address of this machine or next to it.
Response ask(Wire& wire, Exchange exchange, std::string_view source) {
  for (int attempt = 1;; ++attempt) {
    wire.perform(exchange, kMetadataTimeout);
    const int status = exchange.response.status;
    const bool passing = !exchange.failure.empty() || status == 429 || is_server_fault(status);
    if (!passing) return std::move(exchange.response);
    if (attempt < 3) continue;
    fail(Code::unavailable, "fetching AWS credentials from {}: {}", source,
         exchange.failure.empty() ? fmt::format("HTTP {}", status) : exchange.failure);
  }
}

std::string need_ok(const Response& response, std::string_view source) {
  if (!response.ok())
    fail(Code::permission_denied, "fetching AWS credentials from {}: HTTP {}", source,
         response.status);
  return std::string(response.body.text());
}

Headers host_of(const std::string& url) {
  return {{"host", Endpoint::parse(url.substr(0, url.find('/', url.find("://") + 3))).authority()}};
}

bool may_hear_the_token(const Uri& uri) {
  const bool loopback = uri.host.starts_with("127.") &&
                        uri.host.find_first_not_of("0123456789.") == std::string::npos;
  return uri.scheme == "https" || loopback || uri.host == "localhost" || uri.host == "[::1]" ||
         uri.host == "169.254.170.2" || uri.host == "169.254.170.23" ||
         uri.host == "[fd00:ec2::23]";
}

/// What a credential_process prints; its output is not repeated in errors, but the last line of its
/// standard error is.
std::string output_of(const std::string& command, const std::string& source) {
  CommandResult result = run_command(command, kProcessTimeout, kMostOutput, source);
  using End = CommandResult::End;
  if (result.succeeded()) return std::move(result.output);
  if (result.end == End::cut_off) fail(Code::permission_denied, "{}: it says too much", source);
  const std::string reason = result.reason.empty() ? "" : ": " + result.reason;
  if (result.end == End::timed_out)
    fail(Code::permission_denied, "{}: it did not end within {:.3g} s{}", source, kProcessTimeout,
         reason);
  fail(Code::permission_denied, "{}: it failed ({} {}){}", source,
       result.end == End::exited ? "exit code" : "signal", result.number, reason);
}

}  // namespace

std::optional<WallTime> parse_time(const std::string& text) {
  std::tm utc{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (rest == nullptr) return {};
  // The clock counts nanoseconds and ends in 2262.
  return system_clock::from_time_t(std::clamp<std::time_t>(::timegm(&utc), 0, kLatestTime));
}

TimedCredentials parse_credentials(std::string_view json, std::string_view source) {
  const auto refuse = [&](std::string_view why) {
    fail(Code::permission_denied, "the AWS credentials from {} {}", source, why);
  };
  const auto answer = parse_json(json);
  if (!answer.is_object()) refuse("are not JSON");
  const auto text = [&](std::initializer_list<const char*> names) -> std::string {
    for (const char* name : names)
      if (const auto at = answer.find(name); at != answer.end() && at->is_string())
        return at->template get<std::string>();
    return {};
  };
  TimedCredentials out;
  out.credentials = {text({"AccessKeyId"}), text({"SecretAccessKey"}),
                     text({"SessionToken", "Token"})};
  if (out.credentials.access_key.empty() || out.credentials.secret_key.empty())
    refuse("lack AccessKeyId or SecretAccessKey");
  if (const std::string time = text({"Expiration"}); !time.empty()) {
    out.expires = parse_time(time);
    if (!out.expires) refuse("have an Expiration that is no time");
  }
  return out;
}

std::optional<TimedCredentials> credentials_from_environment() {
  Credentials out{variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"),
                  variable("AWS_SESSION_TOKEN")};
  if (out.access_key.empty()) return {};
  if (out.secret_key.empty())
    fail(Code::permission_denied, "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not");
  return TimedCredentials{std::move(out), {}};
}

std::optional<TimedCredentials> keys_of_profile(const Profile& profile) {
  if (auto keys = keys_of(profile.credentials, profile)) return keys;
  if (const std::string command = find(profile.config, "credential_process"); !command.empty()) {
    const std::string source =
        fmt::format("the credential_process of profile '{}'", printable(profile.name));
    return parse_credentials(output_of(command, source), source);
  }
  return keys_of(profile.config, profile);
}

std::optional<TimedCredentials> credentials_from_role_of_profile() {
  const Profile profile = read_profile();
  return has_role(profile) ? std::optional(credentials_of_role(profile)) : std::nullopt;
}

std::optional<TimedCredentials> credentials_from_profile() {
  if (auto role = credentials_from_role_of_profile()) return role;
  const Profile profile = read_profile();
  if (auto keys = keys_of_profile(profile)) return keys;
  if (!variable("AWS_PROFILE").empty() && profile.config.empty() && profile.credentials.empty())
    fail(Code::permission_denied,
         "the AWS profile '{}' that AWS_PROFILE names is neither in the config nor in the "
         "credentials file",
         printable(profile.name));
  return {};
}

namespace {

Profile readable_profile() {
  try {
    return read_profile();
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

std::optional<Credentials> keys_in_profile() {
  const Profile profile = readable_profile();
  for (const Settings* settings : {&profile.credentials, &profile.config}) {
    Credentials keys{find(*settings, "aws_access_key_id"), find(*settings, "aws_secret_access_key"),
                     find(*settings, "aws_session_token")};
    if (!keys.access_key.empty() && !keys.secret_key.empty()) return keys;
    if (profile.config.contains("credential_process")) break;
  }
  return std::nullopt;
}

bool names_other_source() {
  for (const char* name : {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                           "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"})
    if (!variable(name).empty()) return true;
  const Profile profile = readable_profile();
  for (const char* name : {"credential_process", "role_arn", "sso_start_url", "sso_session"})
    if (profile.config.contains(name)) return true;
  return false;
}

std::optional<TimedCredentials> credentials_from_container() {
  const std::string relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  std::string url = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (!relative.empty()) {
    if (!relative.starts_with('/'))
      fail(Code::permission_denied,
           "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with a slash");
    url = std::string(kEcs) + relative;
  }
  if (url.empty()) return {};
  const Uri uri = Uri::parse(url);
  if (!may_hear_the_token(uri))
    fail(
        Code::permission_denied,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI: '{}' is neither https nor an address of this machine, "
        "ECS or EKS",
        printable(uri.host));
  const std::string source = fmt::format("the container's service at {}", printable(uri.host));
  Exchange exchange;
  exchange.method = "GET";
  exchange.url = url;
  exchange.most_bytes = kMostAnswer;
  exchange.headers = host_of(url);
  std::string token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const std::string path = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !path.empty()) {
    const std::optional<Buffer> file = read_file(path);
    if (!file)
      fail(Code::permission_denied, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: there is no file {}",
           printable(path));
    token = trim(file->text());
  }
  if (!token.empty()) exchange.headers.emplace_back("authorization", token);
  Wire wire(nearby(2));
  return parse_credentials(need_ok(ask(wire, std::move(exchange), source), source), source);
}

std::optional<TimedCredentials> credentials_from_instance() {
  if (variable("AWS_EC2_METADATA_DISABLED") == "true") return {};
  std::string base = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (base.empty()) base = kInstance;
  while (base.ends_with('/')) base.pop_back();
  const std::string source = "the instance's metadata service";
  const auto request = [&](std::string method, const std::string& path) {
    Exchange exchange;
    exchange.method = std::move(method);
    exchange.url = base + path;
    exchange.most_bytes = kMostAnswer;
    exchange.headers = host_of(base);
    return exchange;
  };
  Wire wire(nearby(1));
  Exchange first = request("PUT", "/latest/api/token");
  first.headers.emplace_back("x-aws-ec2-metadata-token-ttl-seconds", "21600");
  wire.perform(first, 1);
  if (!first.failure.empty() || !first.response.ok()) {
    log::debug(
        "{}: {}", source,
        first.failure.empty() ? fmt::format("HTTP {}", first.response.status) : first.failure);
    return {};
  }
  const std::string token(first.response.body.text());
  const auto get = [&](const std::string& path) {
    Exchange exchange = request("GET", path);
    exchange.headers.emplace_back("x-aws-ec2-metadata-token", token);
    return ask(wire, std::move(exchange), source);
  };
  const std::string roles = "/latest/meta-data/iam/security-credentials/";
  const Response listed = get(roles);
  if (listed.status == 404) return {};  // an instance without a role
  const std::string role(trim(split(need_ok(listed, source), '\n').front()));
  return parse_credentials(need_ok(get(roles + encode(role)), source), source);
}

std::span<const CredentialsPlace> credentials_places() {
  static constexpr CredentialsPlace kPlaces[] = {
      {"the environment", credentials_from_environment},
      {"the profile", credentials_from_role_of_profile},
      {"the web identity", credentials_from_web_identity},
      {"the profile", credentials_from_profile},
      {"the container's service", credentials_from_container},
      {"the instance's role", credentials_from_instance}};
  return kPlaces;
}

Credentials CredentialsSource::get() {
  const std::lock_guard lock(mutex_);
  if (!held_) {
    fetch();
  } else if (held_->expires && wall_now() + kRefreshBefore >= *held_->expires &&
             time_now() >= next_try_) {
    next_try_ = time_now() + kPauseAfterFailure;
    try {
      fetch();
    } catch (const Error& error) {
      if (wall_now() >= *held_->expires) throw;
      log::warning("AWS credentials that expire soon could not be renewed: {}", error.what());
    }
  }
  return held_->credentials;
}

Credentials CredentialsSource::renew(const Credentials& stale) {
  const std::lock_guard lock(mutex_);
  if (!held_ || held_->credentials == stale) fetch();
  return held_->credentials;
}

void CredentialsSource::fetch() {
  for (const CredentialsPlace& place : credentials_places()) {
    if (auto given = place.look()) {
      held_ = std::move(*given);
      return;
    }
  }
  fail(
      Code::permission_denied,
      "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run "
      "where a role gives some (looked into the environment, the profile '{}', the web identity, "
      "the container and the instance)",
      printable(read_profile().name));
}

}  // namespace lambdaml::aws
