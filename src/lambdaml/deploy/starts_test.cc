#include "lambdaml/deploy/starts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/aws/lambda/lambda_client.h"
#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/base/error.h"

namespace lambdaml::deploy {
namespace {

using aws::ScopedEnvironment;
using aws::ScriptedAnswer;
using aws::ScriptedRequest;
using aws::ScriptedServer;
using Json = nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kArn = "arn:aws:lambda:us-east-1:1:function:lambdaml-trigger";
constexpr const char* kJob = R"({"channel":"s3://channel","data":"s3://data/higgs","workers":8})";
constexpr const char* kNotifications =
    "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<QueueConfiguration><Queue>arn:q</Queue></QueueConfiguration></NotificationConfiguration>";

constexpr const char* kSending =
    "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>";

/// As much of EventBridge, S3 and Lambda as rules see.
class FakeServices {
 public:
  ScriptedAnswer answer(const ScriptedRequest& request) {
    const std::string path = request.target.substr(0, request.target.find('?'));
    if (path.ends_with("/policy")) {
      permissions.push_back(Json::parse(request.body));
      return {.status = 201};
    }
    if (request.target.find("?notification") != std::string::npos) {
      if (path == "/sends") {
        if (request.method == "PUT") changes.push_back("notifications of sends");
        return {.body = kSending};
      }
      if (path != "/data")
        return {.status = 404, .body = "<Error><Code>NoSuchBucket</Code></Error>"};
      if (request.method == "PUT") {
        changes.push_back("notifications");
        notifications = request.body;
      }
      return {.body = notifications};
    }
    const std::string target = request.header("x-amz-target");
    return events(target.substr(target.find('.') + 1), Json::parse(request.body));
  }

  std::map<std::string, Json> rules;  ///< with Tags and Targets
  std::vector<Json> permissions;
  std::vector<std::string> changes;
  std::string notifications = kNotifications;
  std::string refusal;  ///< of PutTargets
  bool may_list = true;

 private:
  ScriptedAnswer events(const std::string& operation, const Json& input) {
    const std::string name = input.value("Name", input.value("Rule", ""));
    const auto missing = [] {
      return ScriptedAnswer{
          .status = 400,
          .body = R"({"__type":"com.amazonaws.events#ResourceNotFoundException","message":"no"})"};
    };
    if (operation.starts_with("Put") || operation.starts_with("Delete") ||
        operation.starts_with("Remove"))
      changes.push_back(operation + " " + name);
    if (operation == "PutRule") {
      Json& rule = rules.try_emplace(name, Json::object()).first->second;
      const Json tags = rule.value("Tags", input.value("Tags", Json::array()));
      const Json targets = rule.value("Targets", Json::array());
      rule = input;
      rule["Arn"] = "arn:rule/" + name;
      rule["Tags"] = tags;
      rule["Targets"] = targets;
      return {.body = Json{{"RuleArn", rule["Arn"]}}.dump()};
    }
    if (operation == "ListRules") {
      // One a page.
      auto at = rules.begin();
      std::advance(at, std::stoi(input.value("NextToken", "0")));
      Json page = {{"Rules", Json::array()}};
      if (at == rules.end()) return {.body = page.dump()};
      page["Rules"].push_back(at->second);
      if (std::next(at) != rules.end())
        page["NextToken"] = std::to_string(std::distance(rules.begin(), at) + 1);
      return may_list
                 ? ScriptedAnswer{.body = page.dump()}
                 : ScriptedAnswer{.status = 400, .body = R"({"__type":"AccessDeniedException"})"};
    }
    if (operation == "ListTagsForResource" || operation == "TagResource") {
      Json& rule = rules.at(input["ResourceARN"].get<std::string>().substr(9));
      if (operation == "TagResource") rule["Tags"] = input["Tags"];
      return {.body = Json{{"Tags", rule["Tags"]}}.dump()};
    }
    if (!rules.contains(name)) return missing();
    if (operation == "DescribeRule") return {.body = rules[name].dump()};
    if (operation == "ListTargetsByRule")
      return {.body = Json{{"Targets", rules[name]["Targets"]}}.dump()};
    if (operation == "PutTargets") {
      if (!refusal.empty())
        return {.body =
                    Json{{"FailedEntryCount", 1}, {"FailedEntries", {{{"ErrorMessage", refusal}}}}}
                        .dump()};
      rules[name]["Targets"] = input["Targets"];
      return {.body = R"({"FailedEntryCount":0})"};
    }
    if (operation == "RemoveTargets") rules[name]["Targets"] = Json::array();
    if (operation == "DeleteRule") rules.erase(name);
    return {.body = "{}"};
  }
};

class StartsTest : public ::testing::Test {
 protected:
  std::vector<Change> make(const Starts& wanted) {
    check_starts(wanted, "lambdaml-trigger");
    StartRules rules("lambdaml-trigger");
    std::vector<Change> changes = rules.look(wanted, tags_["lambdaml:starts"]);
    aws::LambdaClient client;
    if (!changes.empty()) rules.apply(client, kArn);
    tags_ = rules.tags();
    notes_ = rules.notes();
    return changes;
  }
  std::string refusal_of(const Starts& wanted, Code code = Code::invalid_argument) {
    try {
      make(wanted);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      return error.what();
    }
    return "";
  }

  FakeServices services_;
  const ScriptedServer server_{[this](const ScriptedRequest& r) { return services_.answer(r); }};
  const ScopedEnvironment environment_{{{"AWS_ENDPOINT_URL", server_.url()},
                                        {"AWS_REGION", "us-east-1"},
                                        {"AWS_ACCESS_KEY_ID", "k"},
                                        {"AWS_SECRET_ACCESS_KEY", "s"}}};
  std::map<std::string, std::string> tags_;  ///< of the function
  std::vector<std::string> notes_;
};

TEST_F(StartsTest, ARuleCallsTheFunctionBySchedule) {
  const Starts wanted{"cron(0 3 * * ? *)", "", kJob};
  EXPECT_THAT(make(wanted), ElementsAre(Change{"schedule", "", "cron(0 3 * * ? *)"},
                                        Change{"job of schedule", "", kJob}));
  const Json& rule = services_.rules.at("lambdaml-trigger-schedule");
  EXPECT_EQ(rule["ScheduleExpression"], "cron(0 3 * * ? *)");
  EXPECT_EQ(rule["State"], "ENABLED");
  EXPECT_EQ(rule["Targets"], (Json{{{"Id", "trigger"}, {"Arn", kArn}, {"Input", kJob}}}));
  ASSERT_EQ(services_.permissions.size(), 1u);
  EXPECT_EQ(services_.permissions[0], (Json{{"StatementId", "lambdaml-trigger-schedule"},
                                            {"Action", "lambda:InvokeFunction"},
                                            {"Principal", "events.amazonaws.com"},
                                            {"SourceArn", "arn:rule/lambdaml-trigger-schedule"}}));
  EXPECT_EQ(tags_.at("lambdaml:starts"), "schedule");

  services_.changes.clear();
  EXPECT_THAT(make(wanted), IsEmpty());
  EXPECT_THAT(make({"", "", kJob}), IsEmpty());
  EXPECT_THAT(services_.changes, IsEmpty());
  EXPECT_THAT(make({"rate(1 day)", "", kJob}),
              ElementsAre(Change{"schedule", "cron(0 3 * * ? *)", "rate(1 day)"}));
  EXPECT_THAT(make({"none", "", ""}), ElementsAre(Change{"schedule", "rate(1 day)", "none"}));
  EXPECT_THAT(services_.rules, IsEmpty());
  EXPECT_EQ(tags_.at("lambdaml:starts"), "none");
  EXPECT_THAT(make({"none", "none", ""}), IsEmpty());
}

TEST_F(StartsTest, ANewObjectStartsAJob) {
  EXPECT_THAT(make({"", "s3://data/higgs/ready", kJob}),
              ElementsAre(Change{"upload", "", "s3://data/higgs/ready"},
                          Change{"job of upload", "", kJob}));
  const Json pattern =
      Json::parse(services_.rules.at("lambdaml-trigger-upload")["EventPattern"].get<std::string>());
  EXPECT_EQ(pattern, Json::parse(R"({"source":["aws.s3"],"detail-type":["Object Created"],
      "detail":{"bucket":{"name":["data"]},"object":{"key":[{"prefix":"higgs/ready"}]}}})"));
  // The bucket's other notifications stay.
  EXPECT_THAT(services_.notifications,
              AllOf(HasSubstr("<EventBridgeConfiguration"), HasSubstr("<Queue>arn:q</Queue>")));
  services_.changes.clear();
  EXPECT_THAT(make({"", "s3://data/higgs/ready", kJob}), IsEmpty());
  EXPECT_THAT(services_.changes, IsEmpty());
  // Keys of a folder are not those of one whose name begins alike.
  EXPECT_THAT(make({"", "s3://data/higgs/ready/", kJob}),
              ElementsAre(Change{"upload", "s3://data/higgs/ready", "s3://data/higgs/ready/"}));
  EXPECT_THAT(services_.rules.at("lambdaml-trigger-upload")["EventPattern"].get<std::string>(),
              HasSubstr(R"("prefix":"higgs/ready/")"));
  EXPECT_THAT(make({"", "s3://data/higgs/ready/", kJob}), IsEmpty());

  EXPECT_THAT(StartRules("lambdaml-trigger").remove(), ElementsAre("lambdaml-trigger-upload"));
  EXPECT_THAT(services_.rules, IsEmpty());
  EXPECT_THAT(services_.notifications, ::testing::Not(HasSubstr("EventBridge")));
  EXPECT_THAT(services_.notifications, HasSubstr("<Queue>arn:q</Queue>"));
  EXPECT_THAT(StartRules("lambdaml-trigger").remove(), IsEmpty());
}

TEST_F(StartsTest, ABucketThatSentEventsBeforeGoesOnSendingThem) {
  services_.notifications = kSending;
  make({"", "s3://data/ready/", kJob});
  StartRules("lambdaml-trigger").remove();
  EXPECT_THAT(services_.changes, ::testing::Not(::testing::Contains("notifications")));
}

TEST_F(StartsTest, ARuleThatMovesLeavesEachBucketAsItWas) {
  make({"", "s3://data/ready/", kJob});
  EXPECT_THAT(services_.notifications, HasSubstr("EventBridge"));
  make({"", "s3://sends/ready/", kJob});
  EXPECT_THAT(services_.notifications, ::testing::Not(HasSubstr("EventBridge")));
  StartRules("lambdaml-trigger").remove();
  EXPECT_THAT(services_.changes, ::testing::Not(::testing::Contains("notifications of sends")));
  // And back to one that sent none, by a way through another folder of it.
  make({"", "s3://sends/ready/", kJob});
  make({"", "s3://data/ready/", kJob});
  make({"", "s3://data/more/", kJob});
  EXPECT_THAT(services_.notifications, HasSubstr("EventBridge"));
  StartRules("lambdaml-trigger").remove();
  EXPECT_THAT(services_.notifications, ::testing::Not(HasSubstr("EventBridge")));
  EXPECT_THAT(services_.changes, ::testing::Not(::testing::Contains("notifications of sends")));
}

TEST_F(StartsTest, ABucketGoesOnSendingEventsThatAnotherRuleTakes) {
  const auto ends = [&](const std::string& pattern) {
    services_.notifications = kNotifications;
    make({"", "s3://data/ready/", kJob});
    services_.rules["other"] = {{"Name", "other"}, {"EventPattern", pattern}};
    services_.rules["z-by-time"] = {{"Name", "z-by-time"}, {"ScheduleExpression", "rate(1 day)"}};
    StartRules rules("lambdaml-trigger");
    EXPECT_THAT(rules.names(), ElementsAre("lambdaml-trigger-upload"));
    EXPECT_THAT(rules.remove(), ElementsAre("lambdaml-trigger-upload"));
    EXPECT_THAT(rules.names(), IsEmpty());
    notes_ = rules.notes();
    return services_.notifications.find("EventBridge") == std::string::npos;
  };
  for (const char* pattern :
       {R"({"source":["aws.s3"],"detail":{"bucket":{"name":["data"]}}})",
        R"({"source":["aws.s3"],"detail":{"bucket":{"name":[{"prefix":"da"}]}}})",
        R"({"source":["aws.s3"]})", R"({"source":[{"prefix":"aws."}]})", R"({"account":["1"]})",
        "no JSON"}) {
    EXPECT_FALSE(ends(pattern)) << pattern;
    EXPECT_THAT(notes_, ElementsAre(AllOf(HasSubstr("bucket data"), HasSubstr("rule other"))));
  }
  for (const char* pattern :
       {R"({"source":["aws.ec2"]})",
        R"({"source":["aws.s3"],"detail":{"bucket":{"name":["data2","dat"]}}})"}) {
    EXPECT_TRUE(ends(pattern)) << pattern;
    EXPECT_THAT(notes_, IsEmpty());
  }
  services_.may_list = false;
  EXPECT_FALSE(ends(R"({"source":["aws.ec2"]})"));
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("events:ListRules")));
}

TEST_F(StartsTest, AFunctionThatWasMadeAnewIsAllowedToBeCalledAgain) {
  const Starts wanted{"rate(1 day)", "s3://data/ready/", kJob};
  make(wanted);
  ASSERT_EQ(services_.permissions.size(), 2u);
  // Deleted and made by others: without permissions and without tags.
  services_.permissions.clear();
  tags_.clear();
  EXPECT_THAT(make({"rate(1 day)", "", kJob}),
              ElementsAre(Change{"permission of schedule", "", "events.amazonaws.com"},
                          Change{"permission of upload", "", "events.amazonaws.com"}));
  ASSERT_EQ(services_.permissions.size(), 2u);
  EXPECT_EQ(services_.permissions[0]["SourceArn"], "arn:rule/lambdaml-trigger-schedule");
  EXPECT_EQ(services_.permissions[1]["SourceArn"], "arn:rule/lambdaml-trigger-upload");
  EXPECT_THAT(make(wanted), IsEmpty());
  // What ended in the midst is done again.
  tags_["lambdaml:starts"] = "changing";
  EXPECT_EQ(make(wanted).size(), 2u);
  EXPECT_THAT(make({"none", "none", ""}),
              ElementsAre(Change{"schedule", "rate(1 day)", "none"},
                          Change{"upload", "s3://data/ready/", "none"}));
}

TEST_F(StartsTest, PasswordsGoIntoNoRule) {
  for (const char* job : {R"({"channel":"redis://:Hidden1@host:6379","data":"s3://data/x"})",
                          R"({"channel":"s3://c","data":"redis://me:Hidden1@host/0/x"})",
                          R"({"channel":"ps://:Hidden1@host","data":"s3://data/x"})"})
    EXPECT_THAT(refusal_of({"rate(1 day)", "", job}),
                AllOf(HasSubstr("has a password"), ::testing::Not(HasSubstr("Hidden1"))));
  EXPECT_THAT(services_.changes, IsEmpty());
  make({"rate(1 day)", "", R"({"channel":"rediss://me@host:6379","data":"s3://data/x"})"});
  // Of a rule that others changed.
  services_.rules.at("lambdaml-trigger-schedule")["Targets"][0]["Input"] =
      R"({"channel":"redis://:Hidden1@host"})";
  const std::vector<Change> changes = make({"rate(1 day)", "", kJob});
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_THAT(changes[0].from, AllOf(HasSubstr("host"), ::testing::Not(HasSubstr("Hidden1"))));
}

TEST_F(StartsTest, WhatIsRefusedChangesNothing) {
  const std::string job = kJob;
  EXPECT_THAT(refusal_of({"rate(1 days)", "", job}), HasSubstr("--schedule 'rate(1 days)'"));
  EXPECT_THAT(refusal_of({"rate(1 day)", "", ""}), HasSubstr("give its job file with --job"));
  EXPECT_THAT(refusal_of({"", "", job}), HasSubstr("neither --schedule nor --on-upload"));
  for (const char* place :
       {"data", "/tmp", "s3://data:80/x", "redis://h", "s3://", "s3://b--use1-az4--x-s3/"})
    EXPECT_THAT(refusal_of({"", place, job}), HasSubstr("--on-upload")) << place;
  EXPECT_THAT(refusal_of({"rate(1 day)", "", R"({"data":"s3://d"})"}), HasSubstr("no channel"));
  EXPECT_THAT(refusal_of({"rate(1 day)", "", R"({"data":"here.csv","channel":"s3://c"})"}),
              HasSubstr("which functions on AWS cannot reach"));
  EXPECT_THAT(refusal_of({"rate(1 day)", "",
                          R"({"channel":"s3://c","data":"s3://)" + std::string(9000, 'x') + "\"}"}),
              HasSubstr("a rule takes 8,192"));
  // What the job writes would start the next one.
  for (const char* place : {"s3://channel", "s3://channel/", "s3://channel/results"})
    EXPECT_THAT(refusal_of({"", place, job}), HasSubstr("would start the next")) << place;
  EXPECT_THAT(refusal_of({"", "s3://absent/x", job}, Code::not_found),
              HasSubstr("--on-upload names no bucket"));
  EXPECT_THAT(services_.changes, IsEmpty());

  services_.rules["lambdaml-trigger-schedule"] = {{"Name", "lambdaml-trigger-schedule"},
                                                  {"Arn", "arn:rule/lambdaml-trigger-schedule"},
                                                  {"Tags", Json::array()},
                                                  {"Targets", Json::array()}};
  EXPECT_THAT(refusal_of({"rate(1 day)", "", job}, Code::already_exists),
              HasSubstr("was not made by lambdaml"));
  EXPECT_THAT(services_.changes, IsEmpty());
  services_.rules.clear();
  services_.refusal = "not allowed";
  EXPECT_THAT(refusal_of({"rate(1 day)", "", job}), HasSubstr("refused its target: not allowed"));
}

}  // namespace
}  // namespace lambdaml::deploy
