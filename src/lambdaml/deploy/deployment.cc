#include "lambdaml/deploy/deployment.h"

#include <algorithm>
#include <filesystem>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/aws/lambda/lambda_json.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/deploy/elf.h"
#include "lambdaml/deploy/zip_archive.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::deploy {
namespace {

/// The limit for the unzipped files also bounds the zip.
constexpr std::size_t kMaxZipBytes = 250 * 1024 * 1024;
constexpr const char* kPredict = "predict";
const std::vector<std::string> kHandlers = {"worker", "trigger", "tuner", kPredict};
/// What the handler predict reads its model's URI from (predict/predict_function.h).
constexpr const char* kModelVariable = "LAMBDAML_PREDICT_MODEL";

void check_range(const char* flag, std::optional<int> value, int least, int most) {
  if (value && (*value < least || *value > most))
    fail(Code::invalid_argument, "{} {}: Lambda takes {} to {}", flag, *value, human_count(least),
         human_count(most));
}

/// The function must reach the model.
void check_model(const DeployOptions& options) {
  if (options.model.empty()) return;
  if (!options.handler.empty() && options.handler != kPredict && options.handler != "all")
    fail(Code::invalid_argument, "--model is for --handler {}, not {}", kPredict, options.handler);
  const Uri uri = Uri::parse(options.model);
  const faas::Plugin* platform = faas::registry().find("aws");
  if (platform != nullptr && !faas::reaches(*platform, storage::reach_of(uri)))
    fail(Code::invalid_argument,
         "--model {}: functions on other machines cannot reach it; put it where they can, with "
         "lambdaml storage put, and give its URI",
         uri.display());
}

void check_mount(const std::string& mount) {
  if (mount.empty() || mount == kNone) return;
  const std::size_t equals = mount.find('=');
  const std::string path = equals == std::string::npos ? "" : mount.substr(equals + 1);
  constexpr std::string_view kMount = "/mnt/";
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  if (!mount.starts_with("arn:") || !path.starts_with(kMount) || path.size() == kMount.size() ||
      !std::ranges::all_of(std::string_view(path).substr(kMount.size()), allowed))
    fail(Code::invalid_argument,
         "--file-system '{}': give the ARN of an access point of EFS or S3 Files and where it is "
         "mounted, ARN=/mnt/NAME, or none",
         printable(mount));
}

void check(const DeployOptions& options) {
  check_range("--memory-mb", options.memory_mb, 128, 10240);
  check_range("--timeout-s", options.timeout_s, 1, 900);
  check_range("--ephemeral-mb", options.ephemeral_mb, 512, 10240);
  check_range("--retries", options.retries, 0, 2);
  check_range("--max-event-age-s", options.max_event_age_s, 60, 21600);
  check_range("--reserved-concurrency", options.reserved_concurrency, 0, 1'000'000);
  if (!options.zip.empty() && !options.image.empty())
    fail(Code::invalid_argument, "--zip and --image: a function has one code; give one of them");
  if (!options.role.empty() && !options.role.starts_with("arn:"))
    fail(Code::invalid_argument, "--role '{}': give the role's ARN, arn:aws:iam::ACCOUNT:role/NAME",
         printable(options.role));
  if (!options.architecture.empty() && options.architecture != "x86_64" &&
      options.architecture != "arm64")
    fail(Code::invalid_argument, "--arch '{}': give x86_64 or arm64",
         printable(options.architecture));
  if (!options.handler.empty() && options.handler != "all" &&
      std::ranges::find(kHandlers, options.handler) == kHandlers.end())
    fail(Code::invalid_argument, "--handler '{}': give {} or all", printable(options.handler),
         join(kHandlers, ", "));
  check_model(options);
  if (!options.code_bucket.empty() && !options.code_bucket.starts_with("s3://"))
    fail(Code::invalid_argument, "--code-bucket '{}': give s3://BUCKET or s3://BUCKET/PREFIX",
         printable(options.code_bucket));
  check_mount(options.file_system);
  if (options.subnets.empty() != options.security_groups.empty())
    fail(Code::invalid_argument, "--subnet and --security-group need each other");
}

std::map<std::string, std::string> environment_of(const std::vector<std::string>& settings) {
  std::map<std::string, std::string> out;
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    // The text is not repeated because it may be a secret.
    if (equals == std::string::npos || equals == 0)
      fail(Code::invalid_argument, "--env: a setting is NAME=VALUE");
    out[setting.substr(0, equals)] = setting.substr(equals + 1);
  }
  return out;
}

/// The name of the function that gets the rules.
bool has_starts(const std::string& handler) { return handler == "trigger"; }

/// The value of the function's tag, empty without one.
std::string starts_of(const aws::FunctionDescription& function) {
  const auto tag = function.tags.find(std::string(kStartsTag));
  return tag == function.tags.end() ? "" : tag->second;
}

bool sets_model(const aws::FunctionSettings& settings) {
  return settings.environment && settings.environment->contains(kModelVariable);
}

/// The zip and its properties; empty without one.
struct ReadZip {
  Buffer bytes;
  std::string sha256;
  std::string text;
  std::string architecture;  ///< of its bootstrap; empty for a script
};

std::string architecture_of(Bytes zip, const std::string& path) {
  const std::optional<Buffer> bootstrap = read_zip_entry(zip, "bootstrap", "--zip " + path);
  if (!bootstrap)
    fail(Code::invalid_argument,
         "--zip {}: it has no 'bootstrap' at its top, which a function starts with; make it with "
         "`lambdaml package`",
         path);
  if (!bootstrap->text().starts_with("\x7f"
                                     "ELF"))
    return {};
  return read_elf(*bootstrap, "--zip " + path + ": bootstrap").architecture;
}

ReadZip read_package(const DeployOptions& options) {
  ReadZip package;
  if (options.zip.empty()) return package;
  std::optional<Buffer> bytes = read_file(options.zip);
  if (!bytes)
    fail(Code::not_found, "--zip {}: there is no such file; make it with `lambdaml package -o {}`",
         options.zip, options.zip);
  const std::size_t size = bytes->size();
  if (!bytes->text().starts_with("PK\x03\x04"))
    fail(Code::invalid_argument, "--zip {}: it is no zip", options.zip);
  if (size > kMaxZipBytes)
    fail(Code::invalid_argument,
         "--zip {}: it has {}, and Lambda takes 250 MiB unzipped; use --image for what is larger",
         options.zip, human_bytes(size));
  if (size > aws::kMaxDirectZipBytes && options.code_bucket.empty())
    fail(Code::invalid_argument,
         "--zip {}: it has {}; above 50 MiB it must go through S3: give --code-bucket s3://BUCKET",
         options.zip, human_bytes(size));
  package.bytes = std::move(*bytes);
  package.architecture = architecture_of(package.bytes, options.zip);
  if (!options.architecture.empty() && !package.architecture.empty() &&
      package.architecture != options.architecture)
    fail(Code::invalid_argument, "--zip {}: its programs are for {}, and --arch says {}",
         options.zip, package.architecture, options.architecture);
  package.sha256 = aws::code_sha256(package.bytes);
  package.text = fmt::format("{}, {}", std::filesystem::path(options.zip).filename().string(),
                             human_bytes(size));
  return package;
}

/// The functions to deploy: handler and name.
std::vector<std::pair<std::string, std::string>> functions_of(const DeployOptions& options) {
  if (options.handler != "all")
    return {{options.handler, !options.function.empty() ? options.function
                              : options.handler.empty() ? "lambdaml-worker"
                                                        : "lambdaml-" + options.handler}};
  std::string stem = options.function.empty() ? "lambdaml" : options.function;
  if (stem.ends_with("-worker")) stem.resize(stem.size() - 7);
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& handler : kHandlers)
    if (handler != kPredict || !options.model.empty())
      out.emplace_back(handler, stem + "-" + handler);
  return out;
}

Wanted wanted_of(const DeployOptions& options, const ReadZip& package, const std::string& handler,
                 const std::string& name) {
  Wanted wanted;
  wanted.name = name;
  if (!handler.empty()) wanted.settings.handler = handler;
  if (!options.role.empty()) wanted.settings.role = options.role;
  wanted.settings.memory_mb = options.memory_mb;
  wanted.settings.timeout_s = options.timeout_s;
  wanted.settings.ephemeral_mb = options.ephemeral_mb;
  std::map<std::string, std::string> environment = environment_of(options.environment);
  if (!options.model.empty() && (handler == kPredict || handler.empty()))
    environment[kModelVariable] = Uri::parse(options.model).text();
  if (!environment.empty()) wanted.settings.environment = std::move(environment);
  if (!options.subnets.empty()) {
    wanted.settings.subnets = options.subnets;
    wanted.settings.security_groups = options.security_groups;
  }
  if (!options.file_system.empty())
    wanted.settings.file_systems = options.file_system == kNone
                                       ? std::vector<std::string>()
                                       : std::vector<std::string>{options.file_system};
  wanted.code_sha256 = package.sha256;
  wanted.code_text = package.text;
  wanted.image_uri = options.image;
  wanted.architecture = options.architecture.empty() ? package.architecture : options.architecture;
  wanted.version = options.version;
  wanted.reserved_concurrency = options.reserved_concurrency;
  wanted.events = {options.retries, options.max_event_age_s};
  return wanted;
}

/// One run over all functions that share a package.
class Deployment {
 public:
  Deployment(aws::LambdaClient& client, const DeployOptions& options, const Say& say)
      : client_(client), options_(options), say_(say), package_(read_package(options)) {}

  /// Reads what there is of the rules of this function, before anything is changed.
  void look_at_rules(const std::string& name) {
    const std::optional<aws::FunctionDescription> there = client_.find_function(name);
    rule_changes_ = rules_.emplace(name).look(options_.starts, there ? starts_of(*there) : "");
  }

  Deployed run(const std::string& handler, const std::string& name) {
    const Wanted wanted = wanted_of(options_, package_, handler, name);
    const std::optional<aws::FunctionDescription> there = client_.find_function(name);
    if (!there && handler == kPredict && !sets_model(wanted.settings))
      fail(Code::invalid_argument,
           "deploying '{}': a new function that predicts needs its model; give --model URI", name);
    const bool about_events = wanted.events.retries || wanted.events.max_age_s;
    const aws::EventInvokeConfig events =
        there && about_events ? client_.get_event_config(name) : aws::EventInvokeConfig();
    const Plan plan = make_plan(wanted, there, events);
    Deployed out;
    out.function = name;
    out.changes = plan.changes;
    if (there) out.arn = there->arn;
    run_plan(name, there, plan, out);
    if (!has_starts(handler) || rule_changes_.empty()) return out;
    out.changes.insert(out.changes.end(), rule_changes_.begin(), rule_changes_.end());
    if (options_.dry_run) {
      if (plan.changes.empty()) out.action = "would update";
      return out;
    }
    if (plan.changes.empty()) out.action = "updated";
    say(fmt::format("updating what starts {}", name));
    // A tag too many does no harm, one too few would leave rules behind.
    client_.tag(out.arn, {{std::string(kStartsTag), std::string(kChanging)}});
    rules_->apply(client_, out.arn);
    for (const std::string& note : rules_->notes()) say(note);
    client_.tag(out.arn, rules_->tags());
    return out;
  }

 private:
  void run_plan(const std::string& name, const std::optional<aws::FunctionDescription>& there,
                const Plan& plan, Deployed& out) {
    if (plan.changes.empty()) {
      out.action = "unchanged";
      // An earlier run may have ended before the function was ready.
      if (!options_.dry_run && (there->state == "Pending" || there->update == "InProgress"))
        wait_for(name);
    } else if (options_.dry_run) {
      out.action = plan.create ? "would create" : "would update";
    } else {
      out.action = plan.create ? "created" : "updated";
      out.arn = plan.create ? create(name, plan) : update(*there, plan);
      finish(name, plan);
    }
  }

  std::string create(const std::string& name, const Plan& plan) {
    say(fmt::format("creating {}", name));
    const std::string arn =
        client_.create_function(name, plan.settings, code_of(plan), plan.tags).arn;
    wait_for(name);
    return arn;
  }

  std::string update(const aws::FunctionDescription& there, const Plan& plan) {
    if (plan.code) {
      say(fmt::format("updating the code of {}", there.name));
      client_.update_code(there.name, code_of(plan));
      wait_for(there.name);
    }
    if (plan.settings != aws::FunctionSettings()) {
      say(fmt::format("updating the configuration of {}", there.name));
      client_.update_settings(there.name, plan.settings);
      wait_for(there.name);
    }
    if (!plan.tags.empty()) client_.tag(there.arn, plan.tags);
    return there.arn;
  }

  void finish(const std::string& name, const Plan& plan) {
    if (plan.reserved_concurrency) client_.put_concurrency(name, *plan.reserved_concurrency);
    if (plan.events) client_.put_event_config(name, *plan.events);
  }

  aws::FunctionCode code_of(const Plan& plan) {
    aws::FunctionCode code;
    code.architecture = plan.architecture;
    code.image_uri = options_.image;
    if (package_.sha256.empty()) return code;
    if (options_.code_bucket.empty())
      code.zip = package_.bytes;
    else
      std::tie(code.s3_bucket, code.s3_key) = upload();
    return code;
  }

  /// The bucket and the key; uploads the zip once.
  std::pair<std::string, std::string> upload() {
    std::string digest = package_.sha256.substr(0, 22);
    for (char& c : digest)
      if (c == '+' || c == '/') c = c == '+' ? '-' : '_';
    const std::string key = fmt::format("lambdaml-{}.zip", digest);
    const Uri place = Uri::parse(options_.code_bucket);
    if (!uploaded_) {
      say(fmt::format("sending {} to {}", package_.text, place.display()));
      storage::open(options_.code_bucket)->save(key, package_.bytes);
      uploaded_ = true;
    }
    std::string prefix = place.path;
    while (prefix.starts_with("/")) prefix.erase(0, 1);
    while (prefix.ends_with("/")) prefix.pop_back();
    return {place.host, prefix.empty() ? key : prefix + "/" + key};
  }

  void wait_for(const std::string& name) {
    client_.wait_until_active(name, Deadline::in(options_.wait_s));
  }

  void say(const std::string& text) const {
    if (say_) say_(text);
  }

  aws::LambdaClient& client_;
  const DeployOptions& options_;
  const Say& say_;
  const ReadZip package_;
  bool uploaded_ = false;
  std::optional<StartRules> rules_;
  std::vector<Change> rule_changes_;
};

}  // namespace

std::vector<Deployed> deploy(aws::LambdaClient& client, const DeployOptions& options,
                             const Say& say) {
  check(options);
  environment_of(options.environment);
  if (!options.starts.empty()) {
    if (!has_starts(options.handler) && options.handler != "all")
      fail(Code::invalid_argument,
           "--schedule, --on-upload and --job are for the function that runs jobs: give --handler "
           "trigger");
    for (const auto& [handler, name] : functions_of(options))
      if (has_starts(handler)) check_starts(options.starts, name);
  }
  Deployment deployment(client, options, say);
  if (!options.starts.empty())
    for (const auto& [handler, name] : functions_of(options))
      if (has_starts(handler)) deployment.look_at_rules(name);
  std::vector<Deployed> out;
  for (const auto& [handler, name] : functions_of(options))
    out.push_back(deployment.run(handler, name));
  return out;
}

Destroyed destroy(aws::LambdaClient& client, const DestroyOptions& options, const Say& say) {
  Destroyed out;
  std::vector<std::string> names = options.names;
  if (options.all) {
    for (const aws::FunctionDescription& function : client.list_functions())
      names.push_back(function.name);
  }
  std::vector<std::string> ours, with_rules;
  for (const std::string& name : names) {
    const std::optional<aws::FunctionDescription> function = client.find_function(name);
    if (!function)
      out.absent.push_back(name);
    else if (is_ours(*function)) {
      ours.push_back(name);
      const std::string starts = starts_of(*function);
      if (!starts.empty() && starts != kNone) with_rules.push_back(name);
    } else if (options.all)
      out.left.push_back(name);
    else
      fail(Code::invalid_argument,
           "destroying '{}': it was not made by lambdaml (it has no tag {}); nothing was deleted",
           name, kManagedTag);
  }
  for (const std::string& name : ours) {
    if (say && !options.dry_run) say(fmt::format("deleting {}", name));
    if (std::ranges::find(with_rules, name) != with_rules.end()) {
      StartRules rules(name);
      for (std::string& rule : options.dry_run ? rules.names() : rules.remove())
        out.rules.push_back(std::move(rule));
      out.notes.insert(out.notes.end(), rules.notes().begin(), rules.notes().end());
    }
    if (!options.dry_run) client.delete_function(name);
    out.deleted.push_back(name);
  }
  return out;
}

nlohmann::ordered_json to_json(const Deployed& deployed) {
  nlohmann::ordered_json changes = nlohmann::ordered_json::array();
  for (const Change& change : deployed.changes)
    changes.push_back({{"field", change.field}, {"from", change.from}, {"to", change.to}});
  return {{"function", deployed.function},
          {"arn", deployed.arn},
          {"action", deployed.action},
          {"changes", changes}};
}

}  // namespace lambdaml::deploy
