#include "lambdaml/faas/emulator/lambda_service.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "lambdaml/aws/digest.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/sandbox/service_error.h"

namespace lambdaml::faas::emulator {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAccount = "000000000000";
constexpr int kUnreservedAtLeast = 100;
constexpr std::size_t kMostZipped = 50u << 20;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

fs::path new_folder() {
  std::string name = (fs::temp_directory_path() / "lambdaml-emulate-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) fail_errno(errno, "cannot make a folder " + name);
  return name;
}

/// As many open files as the system allows; a function gets as many as this process had.
int raise_descriptors() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto before = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1024));
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 1 << 16);
  setrlimit(RLIMIT_NOFILE, &limit);
  return before;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
}

}  // namespace

LambdaService::LambdaService(boost::asio::io_context& loop, EmulatorSettings settings)
    : host_{.loop = loop,
            .settings = std::move(settings),
            .inherited = sandbox::inherited_variables(),
            .folder = {}},
      region_(variable("AWS_REGION")),
      folder_(std::make_unique<sandbox::CodeFolder>(new_folder())) {
  if (region_.empty()) region_ = variable("AWS_DEFAULT_REGION");
  if (region_.empty()) region_ = "us-east-1";
  host_.inherited["AWS_REGION"] = host_.inherited["AWS_DEFAULT_REGION"] = region_;
  host_.descriptors = raise_descriptors();
  host_.folder = folder_->path();
  host_.on_free = [this] {
    for (const auto& [name, function] : functions_) function->dispatch();
  };
}

std::string LambdaService::arn_of(const std::string& name) const {
  return fmt::format("arn:aws:lambda:{}:{}:function:{}", region_, kAccount, name);
}

std::string LambdaService::name_in(const std::string& text) const {
  std::vector<std::string> parts = split(text, ':');
  const auto word = std::find(parts.begin(), parts.end(), "function");
  if (word != parts.end() && parts.size() > 1) parts.erase(parts.begin(), word + 1);
  if (parts.empty() || parts.size() > 2 || !is_name(parts[0]))
    throw sandbox::ServiceError(
        400, "ValidationException",
        fmt::format("'{}' is no name or ARN of a function.", printable(text)));
  if (parts.size() == 2 && parts[1] != "$LATEST")
    throw sandbox::no_such_function(arn_of(parts[0]) + ":" + printable(parts[1]));
  return parts[0];
}

sandbox::FunctionPool& LambdaService::function(const std::string& text, bool ready) {
  const std::string name = name_in(text);
  const auto at = functions_.find(name);
  if (at == functions_.end()) throw sandbox::no_such_function(arn_of(name));
  if (ready && !at->second->is_active)
    throw sandbox::conflict(
        "The operation cannot be performed at this time. The function is currently in "
        "the following state: Pending");
  return *at->second;
}

void LambdaService::read_code(const json& code, sandbox::FunctionConfig& config) {
  std::string zip;
  if (code.contains("ZipFile")) {
    const auto decoded = decode_base64(code.at("ZipFile").get<std::string>());
    if (!decoded)
      throw sandbox::ServiceError(400, "SerializationException", "ZipFile is no base64.");
    zip = decoded->text();
    if (zip.size() > kMostZipped)
      throw sandbox::ServiceError(
          413, "RequestTooLargeException",
          "A zip in the request may have 50 MB; a larger one must come by S3.");
  } else if (code.contains("S3Bucket") && code.contains("S3Key")) {
    const std::string bucket = code.at("S3Bucket"), key = code.at("S3Key");
    if (!host_.settings.fetch_code)
      throw sandbox::invalid_parameter("This service fetches no code from S3; send it as ZipFile.");
    try {
      zip = host_.settings.fetch_code(bucket, key);
    } catch (const std::exception& error) {
      throw sandbox::invalid_parameter(
          fmt::format("Error occurred while GetObject. {}", printable(error.what(), 500)));
    }
  } else {
    throw sandbox::invalid_parameter("Code must have ZipFile, or S3Bucket and S3Key.");
  }
  const auto folder = std::make_shared<sandbox::CodeFolder>(
      host_.folder / fmt::format("code-{}-{}", config.name, ++host_.made));
  sandbox::unzip(zip, folder->path());
  sandbox::check_bootstrap(folder->path(), config.architecture);
  config.code = folder;
  config.code_bytes = zip.size();
  config.code_sha256 = encode_base64(aws::sha256(as_bytes(zip)));
}

json LambdaService::describe(const sandbox::FunctionPool& function) const {
  json out = to_json(function.config());
  out["State"] = function.is_active ? "Active" : "Pending";
  if (!function.is_active) {
    out["StateReason"] = "The function is being created.";
    out["StateReasonCode"] = "Creating";
  }
  out["LastUpdateStatus"] = function.is_ready || !function.is_active ? "Successful" : "InProgress";
  return out;
}

json LambdaService::create(const json& request) {
  sandbox::FunctionConfig config;
  config.name = name_in(request.at("FunctionName").get<std::string>());
  config.arn = arn_of(config.name);
  if (functions_.contains(config.name))
    throw sandbox::conflict("Function already exist: " + config.name);
  if (!request.contains("Role")) throw sandbox::invalid_parameter("Role must be given.");
  sandbox::read_config(request, config);
  read_code(request.at("Code"), config);
  auto function = std::make_shared<sandbox::FunctionPool>(host_, config);
  if (request.contains("Tags")) function->tags = request.at("Tags");
  functions_[config.name] = function;
  boost::asio::post(host_.loop, [function] {
    function->is_active = function->is_ready = true;
    function->dispatch();
  });
  return describe(*function);
}

json LambdaService::get(const std::string& name) {
  const sandbox::FunctionPool& function = this->function(name);
  json out = {{"Configuration", describe(function)},
              {"Code", {{"RepositoryType", "S3"}, {"Location", ""}}},
              {"Tags", function.tags}};
  if (function.reserved)
    out["Concurrency"] = {{"ReservedConcurrentExecutions", *function.reserved}};
  return out;
}

json LambdaService::configuration(const std::string& name) { return describe(function(name)); }

sandbox::FunctionPool& LambdaService::updatable(const std::string& name, const json& request) {
  sandbox::FunctionPool& function = this->function(name, true);
  if (!function.is_ready)
    throw sandbox::conflict(
        "The operation cannot be performed at this time. An update is in progress for "
        "resource: " +
        function.config().arn);
  sandbox::check_revision(request, function.config());
  return function;
}

json LambdaService::begin_update(sandbox::FunctionPool& function, sandbox::FunctionConfig config) {
  function.replace(std::move(config));
  function.is_ready = false;
  boost::asio::post(host_.loop, [self = function.shared_from_this()] { self->is_ready = true; });
  return describe(function);
}

json LambdaService::update_code(const std::string& name, const json& request) {
  sandbox::FunctionPool& function = updatable(name, request);
  sandbox::FunctionConfig config = function.config();
  json settings = json::object();
  for (const char* setting : {"Architectures", "Publish"})
    if (request.contains(setting)) settings[setting] = request.at(setting);
  sandbox::read_config(settings, config);
  read_code(request, config);
  if (request.value("DryRun", false)) {
    json out = describe(function);
    out["CodeSha256"] = config.code_sha256;
    return out;
  }
  return begin_update(function, std::move(config));
}

json LambdaService::update_configuration(const std::string& name, const json& request) {
  sandbox::FunctionPool& function = updatable(name, request);
  sandbox::FunctionConfig config = function.config();
  sandbox::read_config(request, config);
  return begin_update(function, std::move(config));
}

void LambdaService::remove(const std::string& name) {
  sandbox::FunctionPool& function = this->function(name);
  function.close(false);
  if (function.reserved) host_.reserved -= *function.reserved;
  std::erase_if(deleted_, [](const auto& one) { return one.expired(); });
  deleted_.push_back(function.weak_from_this());
  functions_.erase(function.config().name);
}

json LambdaService::list(const std::string& marker, std::size_t most) {
  json out = {{"Functions", json::array()}};
  for (auto at = functions_.upper_bound(marker); at != functions_.end(); ++at) {
    if (out["Functions"].size() == most) {
      out["NextMarker"] = std::prev(at)->first;
      break;
    }
    out["Functions"].push_back(describe(*at->second));
  }
  return out;
}

json LambdaService::list_versions(const std::string& name, const std::string& marker) {
  const sandbox::FunctionPool& function = this->function(name);
  json out = {{"Versions", json::array()}};
  if (!marker.empty()) return out;
  json latest = describe(function);
  latest["FunctionArn"] = function.config().arn + ":$LATEST";
  out["Versions"].push_back(std::move(latest));
  return out;
}

json LambdaService::list_event_configs(const std::string& name, const std::string& marker) {
  const sandbox::FunctionPool& function = this->function(name);
  json out = {{"FunctionEventInvokeConfigs", json::array()}};
  if (function.events && marker.empty())
    out["FunctionEventInvokeConfigs"].push_back(to_json(*function.events, function.config().arn));
  return out;
}

json LambdaService::put_concurrency(const std::string& name, const json& request) {
  sandbox::FunctionPool& function = this->function(name);
  const auto wanted = whole_number<std::int64_t>(request.at("ReservedConcurrentExecutions"));
  const int others = host_.reserved - function.reserved.value_or(0);
  const int total = host_.settings.concurrency;
  const int kept = total > kUnreservedAtLeast ? kUnreservedAtLeast : 0;
  if (wanted < 0)
    throw sandbox::invalid_parameter("ReservedConcurrentExecutions must not be negative.");
  if (wanted > total - kept - others)
    throw sandbox::invalid_parameter(
        fmt::format("Specified ReservedConcurrentExecutions for function decreases account's "
                    "UnreservedConcurrentExecution below its minimum value of [{}].",
                    kept));
  function.reserved = static_cast<int>(wanted);
  host_.reserved = others + *function.reserved;
  host_.on_free();
  return {{"ReservedConcurrentExecutions", wanted}};
}

json LambdaService::concurrency(const std::string& name) {
  const sandbox::FunctionPool& function = this->function(name);
  if (!function.reserved) return json::object();
  return {{"ReservedConcurrentExecutions", *function.reserved}};
}

void LambdaService::delete_concurrency(const std::string& name) {
  sandbox::FunctionPool& function = this->function(name);
  host_.reserved -= function.reserved.value_or(0);
  function.reserved.reset();
  host_.on_free();
}

json LambdaService::put_event_config(const std::string& name, const json& request, bool keep) {
  sandbox::FunctionPool& function = this->function(name);
  const sandbox::EventInvokeConfig before =
      keep ? function.events.value_or(sandbox::EventInvokeConfig{}) : sandbox::EventInvokeConfig{};
  function.events = sandbox::read_event_invoke_config(request, before);
  return to_json(*function.events, function.config().arn);
}

json LambdaService::event_config(const std::string& name) {
  const sandbox::FunctionPool& function = this->function(name);
  if (!function.events)
    throw sandbox::ServiceError(
        404, "ResourceNotFoundException",
        fmt::format("The function {}:$LATEST doesn't have an EventInvokeConfig",
                    function.config().arn));
  return to_json(*function.events, function.config().arn);
}

void LambdaService::delete_event_config(const std::string& name) {
  event_config(name);
  function(name).events.reset();
}

std::map<std::string, std::string>& LambdaService::tags(const std::string& name) {
  return function(name).tags;
}

json LambdaService::account_settings() const {
  std::size_t bytes = 0;
  for (const auto& [name, function] : functions_) bytes += function->config().code_bytes;
  return {{"AccountLimit",
           {{"TotalCodeSize", 80'530'636'800},
            {"CodeSizeUnzipped", sandbox::kMostUnzipped},
            {"CodeSizeZipped", kMostZipped},
            {"ConcurrentExecutions", host_.settings.concurrency},
            {"UnreservedConcurrentExecutions", host_.settings.concurrency - host_.reserved}}},
          {"AccountUsage", {{"TotalCodeSize", bytes}, {"FunctionCount", functions_.size()}}}};
}

MetricsText LambdaService::metrics() const {
  MetricsText page;
  page.gauge("lambdaml_emulator_functions", "Functions.", static_cast<double>(functions_.size()));
  for (const auto& [name, function] : functions_) {
    const sandbox::FunctionPool::Numbers numbers = function->numbers();
    const MetricsText::Labels labels{{"function", name}};
    page.gauge("lambdaml_emulator_environments", "Execution environments, frozen ones included.",
               static_cast<double>(numbers.environments), labels);
    page.gauge("lambdaml_emulator_events_running", "Events that run now.",
               static_cast<double>(numbers.running), labels);
    page.gauge("lambdaml_emulator_events_waiting", "Asynchronous events in the queue.",
               static_cast<double>(numbers.waiting), labels);
    page.counter("lambdaml_emulator_invocations_total", "Events that have ended.",
                 numbers.invocations, labels);
    page.counter("lambdaml_emulator_errors_total", "Events that ended with an error.",
                 numbers.errors, labels);
    page.counter("lambdaml_emulator_busy_milliseconds_total", "How long the events ran.",
                 numbers.busy_ns / 1'000'000, labels);
  }
  return page;
}

void LambdaService::stop() {
  host_.on_free = nullptr;
  for (const auto& [name, function] : functions_) function->close(true);
  for (const auto& one : deleted_)
    if (const auto function = one.lock()) function->close(true);
}

}  // namespace lambdaml::faas::emulator
