#include "lambdaml/deploy/deployment.h"

#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lambdaml/aws/lambda/lambda_json.h"
#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/deploy/zip_archive.h"

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
using ::testing::Not;

/// As much of the service as a deployment sees: functions with their states, each change pending
/// for one look.
class FakeLambda {
 public:
  ScriptedAnswer answer(const ScriptedRequest& request) {
    const std::string path = request.target.substr(0, request.target.find('?'));
    if (request.method != "GET") changes.push_back(request.method + " " + path);
    if (path == "/2015-03-31/functions/") return list();
    if (path == "/2015-03-31/functions") return create(Json::parse(request.body));
    if (path.starts_with("/2017-03-31/tags/")) {
      functions.begin()->second["Tags"].update(Json::parse(request.body)["Tags"]);
      return {.status = 204};
    }
    std::string rest = path.substr(path.find("/functions/") + 11);
    const std::string name = rest.substr(0, rest.find('/'));
    rest.erase(0, name.size());
    if (!functions.contains(name)) return problem(404, "ResourceNotFoundException");
    Json& function = functions[name];
    Json& configuration = function["Configuration"];
    if (rest.empty() && request.method == "DELETE") {
      functions.erase(name);
      return {.status = 204};
    }
    if (rest.empty()) return {.body = function.dump()};
    if (rest == "/configuration" && request.method == "GET") {
      const std::string now = configuration.dump();
      configuration["State"] = "Active";
      configuration["LastUpdateStatus"] = "Successful";
      return {.body = now};
    }
    const Json body = Json::parse(request.body, nullptr, false);
    if (rest == "/concurrency") function["Concurrency"] = body;
    if (rest == "/event-invoke-config") {
      if (request.method == "PUT") function["Events"] = body;
      if (!function.contains("Events")) return problem(404, "ResourceNotFoundException");
      return {.body = function["Events"].dump()};
    }
    if (rest == "/concurrency") return {.body = body.dump()};
    if (configuration["LastUpdateStatus"] == "InProgress")
      return problem(409, "ResourceConflictException");
    if (rest == "/code") {
      set_code(function, body);
    } else {
      configuration.update(body);
      answer_command(configuration);
    }
    configuration["LastUpdateStatus"] = "InProgress";
    return {.body = configuration.dump()};
  }

  std::map<std::string, Json> functions;
  std::vector<std::string> changes;

 private:
  static ScriptedAnswer problem(int status, const std::string& type) {
    return {.status = status, .headers = {{"x-amzn-errortype", type}}, .body = "{}"};
  }
  /// The service answers in other words than it is asked.
  static void answer_command(Json& configuration) {
    if (!configuration.contains("ImageConfig")) return;
    configuration["ImageConfigResponse"] = {{"ImageConfig", configuration["ImageConfig"]}};
    configuration.erase("ImageConfig");
  }
  static void set_code(Json& function, const Json& code) {
    Json& configuration = function["Configuration"];
    if (code.contains("ImageUri")) function["Code"] = {{"ImageUri", code["ImageUri"]}};
    if (code.contains("ZipFile"))
      configuration["CodeSha256"] =
          aws::code_sha256(*decode_base64(code["ZipFile"].get<std::string>()));
    if (code.contains("Architectures")) configuration["Architectures"] = code["Architectures"];
  }
  ScriptedAnswer list() {
    Json all = Json::array();
    for (const auto& [name, function] : functions) all.push_back(function["Configuration"]);
    return {.body = Json{{"Functions", all}, {"NextMarker", nullptr}}.dump()};
  }
  ScriptedAnswer create(Json body) {
    const std::string name = body["FunctionName"];
    const Json code = body["Code"];
    body.erase("Code");
    answer_command(body);
    Json function;
    function["Tags"] = body["Tags"];
    body.erase("Tags");
    body["FunctionArn"] = "arn:aws:lambda:us-east-1:1:function:" + name;
    body["State"] = "Pending";
    function["Configuration"] = body;
    set_code(function, code);
    functions[name] = function;
    return {.status = 201, .body = function["Configuration"].dump()};
  }
};

class DeploymentTest : public ::testing::Test {
 protected:
  DeploymentTest() {
    environment_.set("AWS_ENDPOINT_URL_LAMBDA", server_.url());
    options_.zip = write_zip("one");
    options_.role = "arn:aws:iam::1:role/r";
    options_.version = "1";
  }

  std::string write_zip(const std::string& content) {
    const std::string path = (folder_ / "lambdaml.zip").string();
    ZipEntries entries;
    entries["bootstrap"] = {Buffer(as_bytes(content)), true};
    deploy::write_zip(path, entries);
    return path;
  }
  Deployed run() {
    aws::LambdaClient client({.first_pause_s = 0.01});
    fake_.changes.clear();
    return deploy(client, options_).at(0);
  }
  Error failure() {
    try {
      run();
    } catch (const Error& error) {
      return error;
    }
    return Error(Code::internal, "nothing was thrown");
  }
  Destroyed clear(DestroyOptions options) {
    aws::LambdaClient client({.first_pause_s = 0.01});
    fake_.changes.clear();
    return destroy(client, options);
  }
  static std::vector<std::string> fields(const Deployed& deployed) {
    std::vector<std::string> out;
    for (const Change& change : deployed.changes) out.push_back(change.field);
    return out;
  }

  ScopedEnvironment environment_{ScopedEnvironment::with_keys()};
  FakeLambda fake_;
  ScriptedServer server_{[this](const ScriptedRequest& request) { return fake_.answer(request); }};
  const Scratch scratch_{"lambdaml-deploy-"};
  const std::filesystem::path folder_ = scratch_.path();
  DeployOptions options_;
};

TEST_F(DeploymentTest, AnImageRunsWhatItsCommandSays) {
  options_.zip.clear();
  options_.image = "1.dkr.ecr.us-east-1.amazonaws.com/lambdaml:1";
  options_.handler = "trigger";
  EXPECT_EQ(run().action, "created");
  const Json& function = fake_.functions.at("lambdaml-trigger");
  const auto command = [&] {
    return function["Configuration"]["ImageConfigResponse"]["ImageConfig"]["Command"];
  };
  EXPECT_EQ(function["Configuration"]["PackageType"], "Image");
  EXPECT_FALSE(function["Configuration"].contains("Handler"));
  EXPECT_EQ(command(), Json({"trigger"}));
  EXPECT_EQ(run().action, "unchanged");
  options_.function = "lambdaml-trigger";
  options_.handler = "tuner";
  EXPECT_THAT(fields(run()), ElementsAre("command"));
  EXPECT_EQ(command(), Json({"tuner"}));
}

TEST_F(DeploymentTest, CreateNoChangeUpdateDestroy) {
  options_.retries = 1;
  options_.reserved_concurrency = 9;
  options_.environment = {"A=1"};
  EXPECT_EQ(run().action, "created");
  const Json function = fake_.functions.at("lambdaml-worker");
  EXPECT_EQ(function["Configuration"]["MemorySize"], 1769);
  EXPECT_EQ(function["Configuration"]["State"], "Active");
  EXPECT_EQ(function["Tags"], Json({{"lambdaml:managed", "true"}, {"lambdaml:version", "1"}}));
  EXPECT_EQ(function["Concurrency"]["ReservedConcurrentExecutions"], 9);
  EXPECT_EQ(function["Events"]["MaximumRetryAttempts"], 1);

  EXPECT_EQ(run().action, "unchanged");
  EXPECT_THAT(fake_.changes, ElementsAre());

  write_zip("two");
  options_.memory_mb = 3008;
  options_.environment = {"B=2"};
  options_.max_event_age_s = 60;
  options_.version = "2";
  const Deployed updated = run();
  EXPECT_EQ(updated.action, "updated");
  EXPECT_THAT(fields(updated), ElementsAre("code", "memory_mb", "environment.B", "max_event_age_s",
                                           "tag lambdaml:version"));
  const Json after = fake_.functions.at("lambdaml-worker");
  EXPECT_EQ(after["Configuration"]["Environment"]["Variables"], Json({{"A", "1"}, {"B", "2"}}));
  EXPECT_EQ(after["Events"], Json({{"MaximumRetryAttempts", 1}, {"MaximumEventAgeInSeconds", 60}}));
  EXPECT_EQ(run().action, "unchanged");

  EXPECT_THAT(clear({.names = {"lambdaml-worker"}}).deleted, ElementsAre("lambdaml-worker"));
  EXPECT_TRUE(fake_.functions.empty());
  EXPECT_THAT(clear({.names = {"lambdaml-worker"}}).absent, ElementsAre("lambdaml-worker"));
}

TEST_F(DeploymentTest, ADryRunChangesNothing) {
  options_.dry_run = true;
  EXPECT_EQ(run().action, "would create");
  EXPECT_TRUE(fake_.functions.empty());
  options_.dry_run = false;
  run();
  options_.dry_run = true;
  options_.timeout_s = 60;
  const Deployed planned = run();
  EXPECT_EQ(planned.action, "would update");
  EXPECT_THAT(planned.changes, ElementsAre(Change{"timeout_s", "900", "60"}));
  EXPECT_THAT(fake_.changes, ElementsAre());
}

TEST_F(DeploymentTest, AllHandlersAreFunctionsOfTheirOwn) {
  options_.handler = "all";
  options_.function = "mine-worker";
  run();
  std::vector<std::string> handlers;
  for (const auto& [name, function] : fake_.functions)
    handlers.push_back(name + " " + function["Configuration"]["Handler"].get<std::string>());
  EXPECT_THAT(handlers,
              ElementsAre("mine-trigger trigger", "mine-tuner tuner", "mine-worker worker"));
}

TEST_F(DeploymentTest, AFunctionThatPredictsKnowsItsModel) {
  options_.handler = "predict";
  EXPECT_THAT(failure().what(), HasSubstr("give --model URI"));
  EXPECT_TRUE(fake_.functions.empty());
  options_.model = "s3://bucket/results/1/model.safetensors";
  options_.environment = {"A=b"};
  EXPECT_EQ(run().function, "lambdaml-predict");
  const auto variables = [&](const std::string& name) {
    return fake_.functions.at(name)["Configuration"]["Environment"]["Variables"];
  };
  EXPECT_EQ(variables("lambdaml-predict"),
            (Json{{"A", "b"}, {"LAMBDAML_PREDICT_MODEL", options_.model}}));
  // Another model, and nothing else.
  options_ = {};
  options_.function = "lambdaml-predict";
  options_.model = "s3://bucket/results/2/model.safetensors";
  run();
  EXPECT_EQ(variables("lambdaml-predict")["LAMBDAML_PREDICT_MODEL"], options_.model);
  EXPECT_EQ(variables("lambdaml-predict")["A"], "b");
}

TEST_F(DeploymentTest, OneOfAllFunctionsPredictsIfThereIsAModel) {
  options_.handler = "all";
  options_.model = "s3://bucket/model";
  run();
  EXPECT_EQ(fake_.functions.size(), 4u);
  for (const auto& [name, function] : fake_.functions)
    EXPECT_EQ(function["Configuration"].contains("Environment"), name == "lambdaml-predict")
        << name;
}

TEST_F(DeploymentTest, WhatIsNotSaidStaysAsItIs) {
  options_.handler = "trigger";
  EXPECT_EQ(run().function, "lambdaml-trigger");
  options_ = {};
  options_.function = "lambdaml-trigger";
  options_.memory_mb = 512;
  EXPECT_THAT(fields(run()), ElementsAre("memory_mb"));
}

TEST_F(DeploymentTest, AFileSystemIsMountedUntilItIsNoMore) {
  run();
  const auto mount = [&](const std::string& what) {
    options_.file_system = what;
    return run().changes;
  };
  const std::string efs = "arn:aws:elasticfilesystem:us-east-1:1:access-point/fsap-1=/mnt/jobs";
  EXPECT_THAT(mount(efs), ElementsAre(Change{"file_systems", "", efs}));
  EXPECT_EQ(fake_.functions.at("lambdaml-worker")["Configuration"]["FileSystemConfigs"],
            (Json{{{"Arn", efs.substr(0, efs.find('='))}, {"LocalMountPath", "/mnt/jobs"}}}));
  EXPECT_THAT(mount(efs), IsEmpty());
  EXPECT_THAT(mount(""), IsEmpty());
  EXPECT_THAT(mount("none"), ElementsAre(Change{"file_systems", efs, ""}));
  EXPECT_THAT(mount("none"), IsEmpty());
}

TEST_F(DeploymentTest, WhatIsNotOursIsLeftAlone) {
  run();
  fake_.functions["other"] = fake_.functions.at("lambdaml-worker");
  fake_.functions["other"]["Configuration"]["FunctionName"] = "other";
  fake_.functions["other"]["Tags"] = Json::object();
  options_.function = "other";
  EXPECT_EQ(failure().code(), Code::already_exists);
  EXPECT_THROW(clear({.names = {"lambdaml-worker", "other"}}), Error);
  EXPECT_EQ(fake_.functions.size(), 2u);
  EXPECT_THAT(clear({.all = true, .dry_run = true}).deleted, ElementsAre("lambdaml-worker"));
  EXPECT_EQ(fake_.functions.size(), 2u);
  const Destroyed cleared = clear({.all = true});
  EXPECT_THAT(cleared.deleted, ElementsAre("lambdaml-worker"));
  EXPECT_THAT(cleared.left, ElementsAre("other"));
  EXPECT_EQ(fake_.functions.size(), 1u);
}

TEST_F(DeploymentTest, WhatLambdaWouldRefuseIsRefusedBeforeAnyRequest) {
  const auto refused = [&](auto set, const std::string& word) {
    const DeployOptions before = options_;
    set(options_);
    const Error error = failure();
    EXPECT_EQ(error.code(), Code::invalid_argument) << error.what();
    EXPECT_THAT(error.what(), AllOf(HasSubstr(word), Not(HasSubstr("\n"))));
    options_ = before;
  };
  refused([](DeployOptions& o) { o.memory_mb = 127; }, "128 to 10,240");
  refused([](DeployOptions& o) { o.timeout_s = 901; }, "1 to 900");
  refused([](DeployOptions& o) { o.ephemeral_mb = 511; }, "512 to 10,240");
  refused([](DeployOptions& o) { o.retries = 3; }, "--retries");
  refused([](DeployOptions& o) { o.image = "i"; }, "one of them");
  refused([](DeployOptions& o) { o.handler = "x"; }, "trigger");
  refused([](DeployOptions& o) { o.environment = {"x"}; }, "NAME=VALUE");
  refused([](DeployOptions& o) { o.handler = "predict", o.model = "memory://x/model"; },
          "cannot reach it");
  refused([](DeployOptions& o) { o.handler = "tuner", o.model = "s3://b/model"; },
          "--handler predict");
  refused([](DeployOptions& o) { o.subnets = {"s"}; }, "--security-group");
  refused([](DeployOptions& o) { o.architecture = "sparc"; }, "arm64");
  for (const char* mount :
       {"arn:x", "arn:x=/tmp/a", "arn:x=/mnt/", "arn:x=/mnt/a/b", "fs-1=/mnt/a"})
    refused([&](DeployOptions& o) { o.file_system = mount; }, "ARN=/mnt/NAME");
  EXPECT_TRUE(server_.requests().empty());
  refused([](DeployOptions& o) { o.environment = {"A=" + std::string(4096, 'a')}; }, "4,096");
  refused([](DeployOptions& o) { o.role.clear(); }, "WorkerRoleArn");
  refused([](DeployOptions& o) { o.zip.clear(); }, "--zip");
  EXPECT_TRUE(fake_.functions.empty());
}

TEST_F(DeploymentTest, AZipSaysItsArchitecture) {
  std::string elf = std::string(
                        "\x7f"
                        "ELF\x02\x01\x01",
                        7) +
                    std::string(57, '\0');
  elf[18] = '\xb7';  // EM_AARCH64
  elf[52] = 64;      // e_ehsize
  elf[54] = 56;      // e_phentsize
  write_zip(elf);
  run();
  EXPECT_EQ(fake_.functions["lambdaml-worker"]["Configuration"]["Architectures"],
            Json::array({"arm64"}));
  options_.architecture = "x86_64";
  EXPECT_THAT(failure().what(), AllOf(HasSubstr("arm64"), HasSubstr("x86_64")));
  ZipEntries entries;
  entries["index.js"] = {Buffer(as_bytes("")), false};
  deploy::write_zip(options_.zip, entries);
  EXPECT_THAT(failure().what(), HasSubstr("bootstrap"));
  write_file(options_.zip, as_bytes("PK\x03\x04 and no more"));
  EXPECT_THAT(failure().what(), HasSubstr("no zip"));
}

TEST_F(DeploymentTest, ALargeZipMustGoThroughS3) {
  write_file(options_.zip, as_bytes("PK\x03\x04" + std::string(aws::kMaxDirectZipBytes, 'z')));
  EXPECT_THAT(failure().what(), HasSubstr("--code-bucket"));
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(DeploymentTest, SecretsAreNotShown) {
  options_.environment = {"AWS_SECRET_ACCESS_KEY=hush", "URL=redis://u:p@h", "N=1"};
  options_.dry_run = true;
  std::string all;
  for (const Change& change : run().changes) all += change.field + "=" + change.to + "\n";
  EXPECT_THAT(all, AllOf(HasSubstr("environment.AWS_SECRET_ACCESS_KEY=(hidden)\n"),
                         HasSubstr("environment.URL=(hidden)\n"), HasSubstr("environment.N=1\n"),
                         Not(HasSubstr("hush")), Not(HasSubstr("u:p"))));
}

}  // namespace
}  // namespace lambdaml::deploy
