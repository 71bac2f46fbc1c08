#include "lambdaml/deploy/k8s_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "lambdaml/aws/testing/thrown_by.h"
#include "lambdaml/base/formats/yaml.h"

namespace lambdaml::deploy {
namespace {

using ::testing::HasSubstr;

K8sJob job() {
  return {.name = "higgs-7",
          .image = "registry.example.com/lambdaml:1",
          .workers = 8,
          .events = "s3://bucket/events/7",
          .memory_mb = 2048,
          .secret = "aws-keys",
          .environment = {{"AWS_REGION", "eu-central-1"}, {"X", "a \"b\": c"}}};
}

TEST(K8sJobs, ManifestsStartAllWorkersAtOnce) {
  const YAML::Node found = load_yaml(manifest_of(job()), "the manifest");
  EXPECT_EQ(found["apiVersion"].as<std::string>(), "batch/v1");
  EXPECT_EQ(found["kind"].as<std::string>(), "Job");
  EXPECT_EQ(found["metadata"]["name"].as<std::string>(), "higgs-7");
  const YAML::Node spec = found["spec"];
  EXPECT_EQ(spec["completionMode"].as<std::string>(), "Indexed");
  EXPECT_EQ(spec["completions"].as<int>(), 8);
  EXPECT_EQ(spec["parallelism"].as<int>(), 8);
  EXPECT_EQ(spec["backoffLimit"].as<int>(), 16);
  const YAML::Node container = spec["template"]["spec"]["containers"][0];
  EXPECT_EQ(container["image"].as<std::string>(), "registry.example.com/lambdaml:1");
  EXPECT_EQ(container["env"][0]["name"].as<std::string>(), "LAMBDAML_EVENTS");
  EXPECT_EQ(container["env"][0]["value"].as<std::string>(), "s3://bucket/events/7");
  EXPECT_EQ(container["env"][2]["value"].as<std::string>(), "a \"b\": c");
  EXPECT_EQ(container["envFrom"][0]["secretRef"]["name"].as<std::string>(), "aws-keys");
  EXPECT_EQ(container["resources"]["limits"]["memory"].as<std::string>(), "2048Mi");
}

TEST(K8sJobs, NamesThatLookLikeNumbersAreTexts) {
  K8sJob numbers = job();
  numbers.name = "20261130";
  numbers.secret = "1e3";
  numbers.environment = {{"true", "no"}};
  const YAML::Node found = load_yaml(manifest_of(numbers), "the manifest");
  const YAML::Node container = found["spec"]["template"]["spec"]["containers"][0];
  // The tag of a scalar that is quoted.
  for (const YAML::Node& text :
       {found["metadata"]["name"], container["env"][1]["name"], container["env"][1]["value"],
        container["envFrom"][0]["secretRef"]["name"]})
    EXPECT_EQ(text.Tag(), "!") << text.as<std::string>();
}

TEST(K8sJobs, WhatKubernetesOrPodsRefuseIsOneLine) {
  const auto why = [](auto change) {
    K8sJob bad = job();
    change(bad);
    const Error error = lambdaml::aws::thrown_by([&] { manifest_of(bad); });
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return std::string(error.what());
  };
  EXPECT_THAT(why([](K8sJob& bad) { bad.name = "Higgs_7"; }), HasSubstr("--name 'Higgs_7'"));
  EXPECT_THAT(why([](K8sJob& bad) { bad.secret = "-x"; }), HasSubstr("--secret '-x'"));
  EXPECT_THAT(why([](K8sJob& bad) { bad.environment["A\nB"] = ""; }),
              HasSubstr("a variable's name"));
  EXPECT_THAT(why([](K8sJob& bad) { bad.image = ""; }), HasSubstr("with --image"));
  EXPECT_THAT(why([](K8sJob& bad) { bad.events = ""; }), HasSubstr("with --events"));
  EXPECT_THAT(why([](K8sJob& bad) { bad.events = "file:///tmp/x"; }),
              HasSubstr("pods cannot reach"));
  EXPECT_THAT(why([](K8sJob& bad) { bad.events = "redis://u:secret@host/0"; }),
              ::testing::AllOf(HasSubstr("--secret"), ::testing::Not(HasSubstr("u:secret"))));
}

}  // namespace
}  // namespace lambdaml::deploy
