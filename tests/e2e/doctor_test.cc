// What `lambdaml doctor` says about this machine, and what is generated from the declared commands.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class Doctor : public CliTest {
 protected:
  nlohmann::json check_of(const std::string& name, const std::vector<std::string>& arguments,
                          const std::vector<std::string>& environment, int exit_code) const {
    std::vector<std::string> all{"doctor", "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Result result = lambdaml(all, environment);
    EXPECT_EQ(result.exit_code, exit_code) << result.out << result.err;
    const nlohmann::json report = result.json();
    for (const nlohmann::json& check : report.at("checks"))
      if (check.at("name") == name) return check;
    ADD_FAILURE() << "no check " << name;
    return {};
  }
  /// A program that answers --version so.
  std::string worker(const std::string& says) const {
    const fs::path path = write("worker", "#!/bin/sh\n" + says + "\n");
    fs::permissions(path, fs::perms::owner_all);
    return "LAMBDAML_WORKER=" + path.string();
  }
};

TEST_F(Doctor, ThisMachineIsFine) {
  const Result result = lambdaml({"doctor"});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr("ok       worker: "));
  EXPECT_THAT(result.out, HasSubstr("shared memory: "));
  EXPECT_THAT(result.out, Not(HasSubstr("FAILED")));
}

TEST_F(Doctor, AWorkerOfAnotherVersionOrNoneIsAFailure) {
  EXPECT_FALSE(check_of("worker", {}, {worker("echo lambdaml-worker 0.0.1")}, 1).at("ok"));
  EXPECT_FALSE(check_of("worker", {}, {worker("echo sorry >&2; exit 3")}, 1).at("ok"));
  const nlohmann::json none = check_of("worker", {}, {"LAMBDAML_WORKER=/nowhere/worker"}, 1);
  EXPECT_FALSE(none.at("ok"));
  EXPECT_THAT(none.at("detail").get<std::string>(), HasSubstr("/nowhere/worker"));
}

TEST_F(Doctor, AWorkerThatHangsEndsInTime) {
  EXPECT_LT(check_of("worker", {}, {worker("sleep 100")}, 1).at("seconds"), 12);
}

TEST_F(Doctor, DataAndJobFilesAreChecked) {
  write("a.csv", "x,y\n1,0\n2,1\n");
  write("job.yaml", "data: a.csv\nworkers: 2\n");
  EXPECT_TRUE(check_of("data", {"job.yaml"}, {}, 0).at("ok"));
  EXPECT_FALSE(check_of("data", {"job.yaml", "--data", "b.csv"}, {}, 1).at("ok"));
  EXPECT_EQ(lambdaml({"doctor", "--workers", "none"}).exit_code, 2);
}

TEST_F(Doctor, OtherPlatformsThanAwsNeedNoKeysOfAws) {
  const std::vector<std::string> job{"--platform", "array", "--events",
                                     (folder() / "events").string()};
  EXPECT_FALSE(check_of("credentials", job, {"HOME=/nowhere"}, 0).at("needed"));
  const std::vector<std::string> of_aws{"--platform", "aws", "--function", "x"};
  EXPECT_TRUE(check_of("credentials", of_aws, {"HOME=/nowhere"}, 1).at("needed"));
}

TEST_F(Doctor, SecretsAreNotShown) {
  const Result result =
      lambdaml({"doctor", "--channel", "redis://user:tellnobody@127.0.0.1:1/0"},
               {"AWS_ACCESS_KEY_ID=AKIDTELLNOBODY", "AWS_SECRET_ACCESS_KEY=tellnobody",
                "AWS_SESSION_TOKEN=tellnobody"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("FAILED   channel: "));
  EXPECT_THAT(result.out, HasSubstr("credentials: from the environment"));
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("tellnobody")));
  EXPECT_THAT(result.out + result.err, Not(HasSubstr("AKIDTELLNOBODY")));
}

class Pages : public CliTest {};

TEST_F(Pages, AManPageHasTheOptions) {
  const Result page = lambdaml({"man", "data", "split"});
  EXPECT_EQ(page.exit_code, 0);
  EXPECT_THAT(page.out, HasSubstr(".TH LAMBDAML\\-DATA\\-SPLIT 1 "));
  EXPECT_THAT(page.out, HasSubstr("\\fB\\-\\-parts\\fR"));
  EXPECT_THAT(lambdaml({"man"}).out, HasSubstr("\nlambdaml \\- machine-learning"));
  const Result unknown = lambdaml({"man", "trian"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("train"));
}

TEST_F(Pages, BashCompletes) {
  write("completion", lambdaml({"completion", "bash"}).out);
  write("script",
        "source completion\n"
        "COMP_WORDS=(lambdaml train --optim = mod); COMP_CWORD=4; _lambdaml; echo "
        "\"${COMPREPLY[@]}\"\n"
        "COMP_WORDS=(lambdaml dat); COMP_CWORD=1; _lambdaml; echo \"${COMPREPLY[@]}\"\n");
  const std::string command = "cd '" + folder().string() + "' && bash script > answers 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(read(folder() / "answers"), "model_avg\ndata\n");
  EXPECT_EQ(lambdaml({"completion", "tcsh"}).exit_code, 2);
}

TEST_F(Pages, ParsingOnlyChecksOptionsAndRunsNothing) {
  const std::vector<std::string> only{"LAMBDAML_PARSE_ONLY=1"};
  EXPECT_EQ(lambdaml({"train", "--data", "s3://BUCKET/x", "--workers", "4"}, only).exit_code, 0);
  EXPECT_EQ(lambdaml({"train", "--data", "x", "--wrokers", "4"}, only).exit_code, 2);
  EXPECT_EQ(lambdaml({"train", "--data", "x", "--workers", "many"}, only).exit_code, 2);
  EXPECT_EQ(lambdaml({"data", "splat", "x"}, only).exit_code, 2);
  EXPECT_FALSE(fs::exists(folder() / "runs"));
}

}  // namespace
}  // namespace lambdaml::e2e
