#include "lambdaml/deploy/starts.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/aws/lambda/lambda_client.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/deploy/event_bridge.h"
#include "lambdaml/deploy/schedule.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::deploy {
namespace {

using nlohmann::json;

constexpr std::size_t kMostInput = 8192;  ///< of a target's constant input
constexpr std::size_t kMostRuleName = 64;
constexpr const char* kTarget = "trigger";
constexpr const char* kCaller = "events.amazonaws.com";
/// On a rule: its bucket sent no events before.
constexpr const char* kBucketTag = "lambdaml:bucket-was-silent";

/// The bucket, and what keys begin with.
std::pair<std::string, std::string> place_of(const std::string& on_upload) {
  const Uri uri = Uri::parse(on_upload);
  if (uri.scheme != "s3" || uri.host.empty() || !uri.query.empty() || uri.port ||
      uri.host.ends_with("--x-s3"))
    fail(
        Code::invalid_argument,
        "--on-upload '{}': give s3://BUCKET/PREFIX; uploads to a bucket of S3 Express and to other "
        "stores start no job",
        uri.display());
  // Not the URI's path: a slash at the end belongs to what keys begin with.
  std::string prefix = on_upload.substr(std::min(on_upload.size(), 5 + uri.host.size()));
  while (prefix.starts_with('/')) prefix.erase(0, 1);
  return {uri.host, prefix};
}

/// What a job writes must not start it.
void check_no_circle(const json& job, const std::string& on_upload) {
  const auto [bucket, prefix] = place_of(on_upload);
  for (const char* name : {"channel", "checkpoint", "output"}) {
    const std::string text = text_at(job, name);
    if (text.empty()) continue;
    const Uri uri = Uri::parse(text);
    std::string folder = uri.path;
    while (folder.starts_with('/')) folder.erase(0, 1);
    if (!folder.empty() && !folder.ends_with('/')) folder += '/';
    if (uri.scheme == "s3" && uri.host == bucket &&
        (folder.starts_with(prefix) || prefix.starts_with(folder)))
      fail(Code::invalid_argument,
           "--on-upload {}: the job's {} is {}, so what a job writes there would start the next; "
           "give another prefix",
           on_upload, name, uri.display());
  }
}

void check_reach(const json& job) {
  for (const char* name : {"data", "channel"}) {
    const std::string text = text_at(job, name);
    if (text.empty())
      fail(Code::invalid_argument,
           "--job: it says no {}, which a job that starts by itself must have", name);
    for (const std::string& place : split(text, ','))
      if (storage::reach_of(Uri::parse(trim(place))) != Reach::anywhere)
        fail(Code::invalid_argument, "--job: its {} is {}, which functions on AWS cannot reach",
             name, Uri::parse(trim(place)).display());
  }
}

/// Whoever may read rules reads their jobs.
void check_no_password(const json& job) {
  for (const auto& [name, value] : job.items()) {
    if (!value.is_string()) continue;
    const std::string text = value;
    if (without_passwords(text) != text)
      fail(Code::invalid_argument,
           "--job: its {} has a password, which the rule would show to all who may read rules: "
           "leave "
           "it out, and give it to the functions, with lambdaml deploy --env REDISCLI_AUTH=… for "
           "redis and LAMBDAML_PS_TOKEN=… for ps",
           name);
  }
}

bool is_wanted(const std::string& value) { return !value.empty() && value != kNone; }

struct Rule {
  const char* kind;  ///< the end of its name
  const char* flag;
};
constexpr Rule kRules[] = {{"schedule", "--schedule"}, {"upload", "--on-upload"}};

std::string pattern_of(const std::string& on_upload) {
  const auto [bucket, prefix] = place_of(on_upload);
  json detail = {{"bucket", {{"name", {bucket}}}}};
  if (!prefix.empty()) detail["object"] = {{"key", {{{"prefix", prefix}}}}};
  return json_text(
      json{{"source", {"aws.s3"}}, {"detail-type", {"Object Created"}}, {"detail", detail}});
}

/// The place of a pattern that this program wrote; empty for another.
std::string place_in(const std::string& pattern) {
  try {
    const json detail = parse_json(pattern).at("detail");
    const std::string bucket = detail.at("bucket").at("name").at(0);
    std::string prefix;
    if (detail.contains("object")) prefix = detail.at("object").at("key").at(0).at("prefix");
    return prefix.empty() ? "s3://" + bucket : fmt::format("s3://{}/{}", bucket, prefix);
  } catch (const json::exception&) {
    return {};
  }
}

}  // namespace

void check_starts(const Starts& starts, const std::string& function) {
  if (starts.empty()) return;
  if (is_wanted(starts.schedule)) check_schedule(starts.schedule);
  if (is_wanted(starts.on_upload)) place_of(starts.on_upload);
  if (function.starts_with("arn:") || function.size() + sizeof("-schedule") - 1 > kMostRuleName)
    fail(
        Code::invalid_argument,
        "--schedule and --on-upload make rules called FUNCTION-schedule and FUNCTION-upload, which "
        "may have {} characters: '{}' is too long",
        kMostRuleName, function);
  if (starts.job.empty()) {
    if (is_wanted(starts.schedule) || is_wanted(starts.on_upload))
      fail(Code::invalid_argument,
           "--schedule and --on-upload start a job: give its job file with --job");
    return;
  }
  const json job = parse_json(starts.job);
  check_reach(job);
  check_no_password(job);
  if (is_wanted(starts.on_upload)) check_no_circle(job, starts.on_upload);
  if (starts.job.size() > kMostInput)
    fail(Code::invalid_argument, "--job: it has {} bytes as JSON, and a rule takes {}",
         human_count(starts.job.size()), human_count(kMostInput));
}

class StartRules::Impl {
 public:
  explicit Impl(std::string function) : function_(std::move(function)) {}

  std::vector<Change> look(const Starts& wanted, const std::string& tagged) {
    wanted_ = wanted;
    std::vector<Change> changes;
    const std::vector<std::string> known = split(tagged, ' ');
    for (std::size_t i = 0; i < std::size(kRules); ++i) {
      there_[i] = find(kRules[i]);
      const std::string& value = wanted_value(i);
      const std::string now = there_[i] ? there_[i]->value : "";
      if (!value.empty() && value != now && !(value == kNone && now.empty()))
        changes.push_back({kRules[i].kind, now, value});
      is_known_[i] = std::ranges::find(known, kRules[i].kind) != known.end();
      // The function is another than the one for which the rule was made.
      if (there_[i] && !is_known_[i] && value != kNone)
        changes.push_back({fmt::format("permission of {}", kRules[i].kind), "", kCaller});
      const bool will_be = value.empty() ? !now.empty() : value != kNone;
      if (!wanted.job.empty() && will_be && (!there_[i] || there_[i]->input != wanted.job))
        changes.push_back({fmt::format("job of {}", kRules[i].kind),
                           there_[i] ? redacted(there_[i]->input) : "", redacted(wanted.job)});
    }
    if (!wanted.job.empty() && changes.empty() && !there_[0] && !there_[1])
      fail(Code::invalid_argument, "--job: the function {} has neither --schedule nor --on-upload",
           function_);
    if (!wanted.job.empty() && wanted.on_upload.empty() && there_[1])
      check_no_circle(parse_json(wanted.job), there_[1]->value);
    if (is_wanted(wanted.on_upload))
      bucket_sends_ = BucketEvents(place_of(wanted.on_upload).first).are_on();
    return changes;
  }

  void apply(aws::LambdaClient& client, const std::string& arn) {
    for (std::size_t i = 0; i < std::size(kRules); ++i) {
      const std::string& value = wanted_value(i);
      if (value == kNone) {
        if (there_[i]) delete_rule(kRules[i], *there_[i]);
        there_[i].reset();
      } else if (!value.empty() || (there_[i] && (!wanted_.job.empty() || !is_known_[i]))) {
        put(client, arn, i);
      }
    }
  }

  std::map<std::string, std::string> tags() const {
    std::string kinds;
    for (std::size_t i = 0; i < std::size(kRules); ++i)
      if (there_[i]) kinds += (kinds.empty() ? "" : " ") + std::string(kRules[i].kind);
    return {{std::string(kStartsTag), kinds.empty() ? std::string(kNone) : kinds}};
  }

  std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const Rule& rule : kRules)
      if (find(rule)) names.push_back(name_of(rule));
    return names;
  }

  const std::vector<std::string>& notes() const { return notes_; }

  std::vector<std::string> remove() {
    std::vector<std::string> names;
    for (const Rule& rule : kRules)
      if (const std::optional<There> there = find(rule)) {
        delete_rule(rule, *there);
        names.push_back(name_of(rule));
      }
    return names;
  }

 private:
  /// A rule that exists.
  struct There {
    std::string value;  ///< as --schedule or --on-upload has it
    std::string input;
    bool bucket_was_silent = false;
  };

  std::string name_of(const Rule& rule) const { return fmt::format("{}-{}", function_, rule.kind); }
  const std::string& wanted_value(std::size_t i) const {
    return i == 0 ? wanted_.schedule : wanted_.on_upload;
  }

  std::optional<There> find(const Rule& rule) {
    const std::string name = name_of(rule);
    const std::optional<json> found = events_.find("DescribeRule", {{"Name", name}});
    if (!found) return {};
    std::map<std::string, std::string> tags;
    const json listed =
        events_.call("ListTagsForResource", {{"ResourceARN", text_at(*found, "Arn")}});
    if (listed.contains("Tags") && listed["Tags"].is_array())
      for (const json& tag : listed["Tags"])
        if (tag.is_object()) tags[text_at(tag, "Key")] = text_at(tag, "Value");
    if (tags[std::string(kManagedTag)] != "true")
      fail(Code::already_exists,
           "the rule {} of EventBridge exists and was not made by lambdaml (it has no tag {}); "
           "delete it, or give the function another name",
           name, kManagedTag);
    There there;
    const std::string schedule = text_at(*found, "ScheduleExpression");
    there.value = schedule.empty() ? place_in(text_at(*found, "EventPattern")) : schedule;
    there.bucket_was_silent = tags[kBucketTag] == "true";
    const json targets = events_.call("ListTargetsByRule", {{"Rule", name}});
    if (targets.contains("Targets") && targets["Targets"].is_array())
      for (const json& target : targets["Targets"])
        if (target.is_object() && text_at(target, "Id") == kTarget)
          there.input = text_at(target, "Input");
    return there;
  }

  void put(aws::LambdaClient& client, const std::string& arn, std::size_t i) {
    const Rule& rule = kRules[i];
    const std::string name = name_of(rule);
    const bool is_upload = i == 1;
    const std::string before = there_[i] ? there_[i]->value : "";
    There there = there_[i].value_or(There());
    if (!wanted_value(i).empty()) there.value = wanted_value(i);
    if (!wanted_.job.empty()) there.input = wanted_.job;
    if (is_upload && before != there.value) {
      const bool same_bucket =
          !before.empty() && place_of(before).first == place_of(there.value).first;
      // The events of another bucket are this rule's no longer.
      if (!same_bucket && there.bucket_was_silent) silence(before);
      there.bucket_was_silent = !bucket_sends_ || (same_bucket && there.bucket_was_silent);
    }
    json tags = json::array({{{"Key", kManagedTag}, {"Value", "true"}}});
    if (is_upload)
      tags.push_back({{"Key", kBucketTag}, {"Value", there.bucket_was_silent ? "true" : "false"}});
    json put = {{"Name", name}, {"State", "ENABLED"}, {"Description", "lambdaml deploy"}};
    if (is_upload)
      put["EventPattern"] = pattern_of(there.value);
    else
      put["ScheduleExpression"] = there.value;
    if (!there_[i]) put["Tags"] = tags;
    const std::string rule_arn = text_at(events_.call("PutRule", put), "RuleArn");
    // PutRule ignores the tags of a rule that exists.
    if (there_[i]) events_.call("TagResource", {{"ResourceARN", rule_arn}, {"Tags", tags}});
    there_[i] = there;
    if (is_upload) {
      BucketEvents bucket(place_of(there.value).first);
      if (!bucket.are_on()) bucket.turn(true);
    }
    client.allow(function_, name, kCaller, rule_arn);
    // Last: a rule without its target counts as changed, so that what failed is done again.
    const json targets = events_.call(
        "PutTargets",
        {{"Rule", name},
         {"Targets", json::array({{{"Id", kTarget}, {"Arn", arn}, {"Input", there.input}}})}});
    if (count_at(targets, "FailedEntryCount") > 0) {
      const json entries = targets.value("FailedEntries", json::array());
      fail(Code::invalid_argument, "the rule {}: EventBridge refused its target: {}", name,
           entries.empty() || !entries[0].is_object()
               ? "no reason"
               : printable(text_at(entries[0], "ErrorMessage"), 300));
    }
  }

  /// Has the bucket send no more events, unless somebody else wants them.
  void silence(const std::string& place) {
    const std::string bucket = place.empty() ? "" : place_of(place).first;
    if (bucket.empty()) return;
    const auto note = [&](const std::string& why) {
      notes_.push_back(
          fmt::format("bucket {}: still sends events to EventBridge: {}", bucket, why));
    };
    try {
      BucketEvents events(bucket);
      if (!events.are_on()) return;
      const std::string other = events_.rule_for(bucket, name_of(kRules[1]));
      if (other.empty())
        events.turn(false);
      else
        note(fmt::format("the rule {} takes them", other));
    } catch (const Error& error) {
      if (error.code() == Code::permission_denied) return note(error.what());
      if (error.code() != Code::not_found) throw;  // The bucket may be gone.
    }
  }

  void delete_rule(const Rule& rule, const There& there) {
    const std::string name = name_of(rule);
    if (there.bucket_was_silent) silence(there.value);
    events_.find("RemoveTargets", {{"Rule", name}, {"Ids", {kTarget}}});
    events_.find("DeleteRule", {{"Name", name}});
  }

  const std::string function_;
  EventBridge events_;
  Starts wanted_;
  std::optional<There> there_[std::size(kRules)];
  bool is_known_[std::size(kRules)] = {};  ///< to the function, by its tag
  bool bucket_sends_ = false;
  std::vector<std::string> notes_;
};

StartRules::StartRules(std::string function) : impl_(std::make_unique<Impl>(std::move(function))) {}
StartRules::~StartRules() = default;
std::vector<Change> StartRules::look(const Starts& wanted, const std::string& tagged) {
  return impl_->look(wanted, tagged);
}
void StartRules::apply(aws::LambdaClient& client, const std::string& arn) {
  impl_->apply(client, arn);
}
std::map<std::string, std::string> StartRules::tags() const { return impl_->tags(); }
std::vector<std::string> StartRules::names() { return impl_->names(); }
std::vector<std::string> StartRules::remove() { return impl_->remove(); }
const std::vector<std::string>& StartRules::notes() const { return impl_->notes(); }

}  // namespace lambdaml::deploy
