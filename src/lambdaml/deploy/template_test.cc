// deploy/template.yaml: what it refers to must be there.
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace lambdaml::deploy {
namespace {

/// Of CloudFormation itself.
bool is_pseudo(const std::string& name) { return name.starts_with("AWS::"); }

class TemplateTest : public ::testing::Test {
 protected:
  TemplateTest() : root_(YAML::LoadFile(LAMBDAML_SOURCE_DIR "/deploy/template.yaml")) {
    for (const char* section : {"Parameters", "Resources"})
      for (const auto& entry : root_[section]) names_.insert(entry.first.as<std::string>());
    for (const auto& entry : root_["Resources"]) resources_.insert(entry.first.as<std::string>());
    for (const auto& entry : root_["Conditions"]) conditions_.insert(entry.first.as<std::string>());
  }

  /// Visits every node; `where` is its path, for messages.
  void check(const YAML::Node& node, const std::string& where) {
    const std::string tag = node.Tag();
    if (tag == "!Ref") expect_name(node.Scalar(), where);
    if (tag == "!GetAtt") expect_attribute(node.Scalar(), where);
    if (tag == "!Sub" && node.IsScalar()) check_text(node.Scalar(), where);
    if (tag == "!Condition") expect_condition(node.Scalar(), where);
    if (tag == "!If") expect_condition(node[0].Scalar(), where);
    if (node.IsSequence())
      for (std::size_t i = 0; i < node.size(); ++i)
        check(node[i], where + "[" + std::to_string(i) + "]");
    if (!node.IsMap()) return;
    for (const auto& entry : node) {
      const std::string key = entry.first.as<std::string>();
      const YAML::Node value = entry.second;
      if (key == "Condition" && value.IsScalar()) expect_condition(value.Scalar(), where);
      if (key == "DependsOn") expect_name(value.Scalar(), where);
      check(value, where + "." + key);
    }
  }

  /// ${Name} and ${Name.Attribute}.
  void check_text(const std::string& text, const std::string& where) {
    for (std::size_t at = text.find("${"); at != std::string::npos; at = text.find("${", at + 1)) {
      const std::string name = text.substr(at + 2, text.find('}', at) - at - 2);
      if (name.find('.') == std::string::npos)
        expect_name(name, where);
      else
        expect_attribute(name, where);
    }
  }
  void expect_name(const std::string& name, const std::string& where) {
    ++references_;
    EXPECT_TRUE(is_pseudo(name) || names_.contains(name)) << where << ": no " << name;
  }
  void expect_attribute(const std::string& text, const std::string& where) {
    ++references_;
    EXPECT_TRUE(resources_.contains(text.substr(0, text.find('.')))) << where << ": no " << text;
  }
  void expect_condition(const std::string& name, const std::string& where) {
    ++references_;
    EXPECT_TRUE(conditions_.contains(name)) << where << ": no condition " << name;
  }

  YAML::Node root_;
  std::set<std::string> names_, resources_, conditions_;
  int references_ = 0;
};

TEST_F(TemplateTest, EveryReferenceIsThere) {
  check(root_, "template");
  EXPECT_GT(references_, 60);
}

TEST_F(TemplateTest, TheTableIsOneThatTheStoreCanUse) {
  const YAML::Node table = root_["Resources"]["ChannelTable"]["Properties"];
  ASSERT_EQ(table["KeySchema"].size(), 1u);
  EXPECT_EQ(table["KeySchema"][0]["AttributeName"].Scalar(), "key");
  EXPECT_EQ(table["KeySchema"][0]["KeyType"].Scalar(), "HASH");
  EXPECT_EQ(table["AttributeDefinitions"][0]["AttributeType"].Scalar(), "S");
}

TEST_F(TemplateTest, NoBucketIsPublicOrInTheClear) {
  int buckets = 0;
  for (const auto& entry : root_["Resources"]) {
    const YAML::Node resource = entry.second;
    if (resource["Type"].Scalar() != "AWS::S3::Bucket") continue;
    ++buckets;
    const YAML::Node properties = resource["Properties"];
    EXPECT_TRUE(properties["BucketEncryption"]) << entry.first;
    for (const char* block :
         {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"})
      EXPECT_TRUE(properties["PublicAccessBlockConfiguration"][block].as<bool>()) << entry.first;
  }
  EXPECT_EQ(buckets, 2);
  EXPECT_TRUE(root_["Resources"]["ExpressBucket"]["Properties"]["BucketEncryption"]);
}

TEST_F(TemplateTest, DollarsAreThoseOfTheArchitecture) {
  const YAML::Node price =
      root_["Resources"]["CostAlarm"]["Properties"]["Metrics"][0]["Expression"][1];
  EXPECT_EQ(price["GbSecondDollars"][0].Scalar(), "OnArm");
  EXPECT_EQ(price["GbSecondDollars"][2].Scalar(), "0.0000166667");
  EXPECT_EQ(root_["Resources"]["Dashboard"]["Properties"]["DashboardBody"][1]["GbSecondDollars"][1]
                .Scalar(),
            "0.0000133334");
}

TEST_F(TemplateTest, FunctionsCarryTheTagThatDeployLooksFor) {
  for (const char* name : {"WorkerFunction", "TriggerFunction", "TunerFunction"})
    EXPECT_EQ(root_["Resources"][name]["Properties"]["Tags"]["lambdaml:managed"].Scalar(), "true");
}

TEST_F(TemplateTest, ModelsOfTheTriggerOutliveTheChannel) {
  const YAML::Node resources = root_["Resources"];
  const YAML::Node variables =
      resources["TriggerFunction"]["Properties"]["Environment"]["Variables"];
  EXPECT_EQ(variables["LAMBDAML_OUTPUT"].Scalar(), "s3://${DataBucket}/results");
  EXPECT_EQ(variables["LAMBDAML_FUNCTION"].Scalar(), "${Prefix}-worker");
  EXPECT_EQ(resources["DataBucket"]["DeletionPolicy"].Scalar(), "Retain");
  for (const auto& rule : resources["DataBucket"]["Properties"]["LifecycleConfiguration"]["Rules"])
    EXPECT_FALSE(rule["ExpirationInDays"]);
}

TEST_F(TemplateTest, EveryFunctionHasItsLogsAndTheyEnd) {
  int groups = 0;
  for (const auto& entry : root_["Resources"]) {
    if (entry.second["Type"].Scalar() != "AWS::Logs::LogGroup") continue;
    ++groups;
    EXPECT_EQ(entry.second["Properties"]["RetentionInDays"].Scalar(), "LogRetentionDays");
  }
  EXPECT_EQ(groups, 3);
}

TEST_F(TemplateTest, ServerlessCachesAreOpenedWithATimeToLive) {
  EXPECT_THAT(root_["Outputs"]["ServerlessUri"]["Value"].Scalar(),
              ::testing::AllOf(::testing::StartsWith("rediss://"), ::testing::HasSubstr("?ttl=")));
}

}  // namespace
}  // namespace lambdaml::deploy
