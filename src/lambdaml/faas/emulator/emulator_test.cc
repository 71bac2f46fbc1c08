// The Lambda service over HTTP, with real processes.
#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <zip.h>

#include "lambdaml/aws/lambda/lambda_client.h"
#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/faas/sandbox/zip_file.h"
#include "lambdaml/faas/testing/test_support.h"

namespace lambdaml::faas::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;

struct Entry {
  std::string name;
  std::string content;
  unsigned mode = 0100755;
};

std::string zip_of(const std::vector<Entry>& entries) {
  const TempFolder folder;
  const std::string path = folder / "code.zip";
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE, nullptr);
  for (const Entry& entry : entries) {
    zip_source_t* source =
        zip_source_buffer(archive, entry.content.data(), entry.content.size(), 0);
    const zip_int64_t at = zip_file_add(archive, entry.name.c_str(), source, 0);
    zip_file_set_external_attributes(archive, static_cast<zip_uint64_t>(at), 0, ZIP_OPSYS_UNIX,
                                     entry.mode << 16);
  }
  zip_close(archive);
  return content_of(path);
}

std::string function_zip() {
  return zip_of({{"bootstrap", content_of(LAMBDAML_FAAS_TEST_FUNCTION)}});
}

struct Reply {
  long status = 0;
  std::string headers;
  std::string body;
  json value() const { return json::parse(body, nullptr, false); }
};

std::size_t append(char* data, std::size_t, std::size_t size, void* text) {
  static_cast<std::string*>(text)->append(data, size);
  return size;
}

class LambdaServiceTest : public ::testing::Test {
 protected:
  void start(EmulatorSettings settings = {}) {
    settings.log_folder = folder_ / "log";
    emulator_ = registry().get("local").emulate(settings);
  }

  Reply send(const std::string& method, const std::string& path, const std::string& body = "",
             const std::vector<std::string>& headers = {}) const {
    Reply out;
    CURL* curl = curl_easy_init();
    curl_slist* list = curl_slist_append(nullptr, "Expect:");
    for (const std::string& header : headers) list = curl_slist_append(list, header.c_str());
    const std::string url = "http://127.0.0.1:" + std::to_string(emulator_->port()) + path;
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method.c_str());
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &out.body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &out.headers);
    if (!body.empty()) {
      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.c_str());
    }
    if (curl_easy_perform(curl) == CURLE_OK)
      curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out.status);
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    return out;
  }

  Reply create(const std::string& zip, json more = json::object()) const {
    json request = {{"FunctionName", "f"},
                    {"Role", "arn:aws:iam::000000000000:role/r"},
                    {"Runtime", "provided.al2023"},
                    {"Handler", "worker"},
                    {"MemorySize", 256},
                    {"Code", {{"ZipFile", encode_base64(as_bytes(zip))}}}};
    request.update(more);
    return send("POST", "/2015-03-31/functions", request.dump());
  }

  Reply invoke(const std::string& words, const std::vector<std::string>& headers = {}) const {
    return send("POST", "/2015-03-31/functions/f/invocations", json(words).dump(), headers);
  }

  const TempFolder folder_;
  std::unique_ptr<Emulator> emulator_;
};

TEST_F(LambdaServiceTest, RunsAFunctionFromItsZip) {
  start();
  const Reply created = create(function_zip(), {{"Environment", {{"Variables", {{"A", "b"}}}}}});
  ASSERT_EQ(created.status, 201) << created.body;
  EXPECT_EQ(created.value()["State"], "Pending");
  EXPECT_EQ(send("GET", "/2015-03-31/functions/f/configuration").value()["State"], "Active");
  EXPECT_EQ(invoke("echo hello").body, "hello");
  EXPECT_EQ(invoke("variable A").body, "b");
  const std::string process = invoke("pid").body;
  EXPECT_EQ(invoke("pid").body, process) << "a warm start keeps the environment";
  // Frozen between events.
  EXPECT_TRUE(eventually(
      [&] { return content_of("/proc/" + process + "/stat").find(" T ") != std::string::npos; }));
  const Reply logged = invoke("log 3", {"X-Amz-Log-Type: Tail"});
  EXPECT_THAT(logged.headers, HasSubstr("X-Amz-Log-Result: "));
  EXPECT_THAT(logged.headers, HasSubstr("X-Amz-Executed-Version: $LATEST"));
  EXPECT_EQ(invoke("echo", {"X-Amz-Invocation-Type: DryRun"}).status, 204);
  // A frozen environment that dies is noticed: the next event gets a new one.
  kill(std::stoi(process), SIGKILL);
  EXPECT_TRUE(eventually([&] { return !is_running(std::stoi(process)); }));
  EXPECT_NE(invoke("pid").body, process);
  const std::string last = invoke("pid").body;
  emulator_.reset();
  EXPECT_FALSE(is_running(std::stoi(last)));
}

TEST_F(LambdaServiceTest, FailuresAreThoseOfAws) {
  start();
  ASSERT_EQ(create(function_zip(), {{"Timeout", 1}}).status, 201);
  const Reply failed = invoke("throw not_found nothing");
  EXPECT_EQ(failed.status, 200);
  EXPECT_THAT(failed.headers, HasSubstr("X-Amz-Function-Error: Unhandled"));
  EXPECT_EQ(failed.value()["errorType"], "not_found");
  EXPECT_EQ(invoke("exit 3").value()["errorType"], "Runtime.ExitError");
  const Reply late = invoke("sleep 30");
  EXPECT_EQ(late.value()["errorType"], "Sandbox.Timedout");
  EXPECT_THAT(late.body, HasSubstr("Task timed out after 1.00 seconds"));
  EXPECT_EQ(invoke("echo well").body, "well");
  const std::string path = "/2015-03-31/functions/f/invocations";
  EXPECT_THAT(send("POST", path, "{no json").headers, HasSubstr("InvalidRequestContentException"));
  EXPECT_EQ(send("POST", path, std::string(6'291'557, ' ')).status, 413);
  EXPECT_EQ(
      send("POST", path, std::string(1'100'000, ' '), {"X-Amz-Invocation-Type: Event"}).status,
      413);
  EXPECT_EQ(send("GET", "/2015-03-31/functions/nothing").status, 404);
  EXPECT_EQ(create(function_zip()).status, 409);
}

TEST_F(LambdaServiceTest, AsynchronousEventsAreTriedThreeTimes) {
  EmulatorSettings settings;
  settings.retry_delay_s = 0.01;
  start(settings);
  ASSERT_EQ(create(function_zip()).status, 201);
  const std::string event = "X-Amz-Invocation-Type: Event";
  const std::string seen = folder_ / "seen";
  const Reply accepted = invoke("id_twice " + seen, {event});
  EXPECT_EQ(accepted.status, 202);
  EXPECT_EQ(accepted.body, "");
  EXPECT_TRUE(eventually([&] { return split(content_of(seen), '\n').size() == 3; }));
  EXPECT_TRUE(eventually([&] {
    return invoke("kill_first " + (folder_ / "k"), {event}).status == 202 &&
           std::filesystem::exists(folder_ / "k");
  }));
}

TEST_F(LambdaServiceTest, MoreThanTheConcurrencyIsThrottled) {
  EmulatorSettings settings;
  settings.concurrency = 1;
  start(settings);
  ASSERT_EQ(create(function_zip(), {{"Timeout", 60}}).status, 201);
  const std::string file = folder_ / "hangs";
  ASSERT_EQ(invoke("hang " + file, {"X-Amz-Invocation-Type: Event"}).status, 202);
  ASSERT_TRUE(eventually([&] { return !content_of(file).empty(); }));
  const Reply refused = invoke("echo x");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.value()["Reason"], "ConcurrentInvocationLimitExceeded");
  const int process = std::stoi(content_of(file));
  emulator_.reset();
  EXPECT_FALSE(is_running(process));
}

TEST_F(LambdaServiceTest, ZipsThatLeadOutAreRefused) {
  start();
  const std::string outside = folder_ / "outside";
  const std::vector<std::vector<Entry>> bad = {
      {{"bootstrap", "#!"}, {"../x", "x"}},
      {{"bootstrap", "#!"}, {outside, "x"}},
      {{"bootstrap", "#!"}, {"link", "/etc/passwd", 0120777}},
      {{"bootstrap", "#!"}, {"a", ".", 0120777}, {"b", "a/../..", 0120777}},
      {{"no_bootstrap", "#!"}}};
  for (const auto& entries : bad) {
    const Reply reply = create(zip_of(entries));
    EXPECT_EQ(reply.status, 400) << entries.back().name;
    EXPECT_THAT(reply.headers, HasSubstr("InvalidParameterValueException"));
  }
  EXPECT_EQ(create("no zip").status, 400);
  EXPECT_EQ(send("POST", "/2015-03-31/functions", "[1").status, 400);
  EXPECT_EQ(send("GET", "/2015-03-31/functions").value()["Functions"].size(), 0u);
}

TEST_F(LambdaServiceTest, AHundredEventsRunAtOnce) {
  start();
  ASSERT_EQ(create(function_zip(), {{"Timeout", 60}}).status, 201);
  const std::filesystem::path met = folder_ / "met";
  std::filesystem::create_directory(met);
  const std::string words = "rendezvous " + met.string() + " 101";
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(invoke(words, {"X-Amz-Invocation-Type: Event"}).status, 202);
  EXPECT_EQ(invoke(words).body, "met");
}

TEST_F(LambdaServiceTest, EventsMayBeDeliveredTwice) {
  EmulatorSettings settings;
  settings.deliver_twice = true;
  start(settings);
  ASSERT_EQ(create(function_zip()).status, 201);
  const std::string hello = folder_ / "hello";
  ASSERT_EQ(invoke("append " + hello, {"X-Amz-Invocation-Type: Event"}).status, 202);
  EXPECT_TRUE(eventually([&] {
    const auto ids = split(content_of(hello), '\n');
    return ids.size() == 3 && ids[0] == ids[1];
  }));
}

TEST_F(LambdaServiceTest, AnIdleEnvironmentEnds) {
  EmulatorSettings settings;
  settings.idle_s = 0.02;
  start(settings);
  ASSERT_EQ(create(function_zip()).status, 201);
  const int process = std::stoi(invoke("pid").body);
  EXPECT_TRUE(eventually([&] { return !is_running(process); }));
  EXPECT_EQ(invoke("echo again").body, "again");
}

TEST_F(LambdaServiceTest, FunctionsThatTakeTooMuchOrNeverStartFail) {
  start();
  ASSERT_EQ(create(function_zip(), {{"Timeout", 30}}).status, 201);
  const Reply greedy = invoke("allocate_unlimited 400");
  EXPECT_THAT(greedy.headers, HasSubstr("X-Amz-Function-Error: Unhandled"));
  EXPECT_THAT(greedy.body, HasSubstr("256 MB"));
  EXPECT_THAT(invoke("answer 6300000").body, HasSubstr("ResponseSizeTooLarge"));
  ASSERT_EQ(
      create(zip_of({{"bootstrap", "#!/bin/sh\nexit 3\n"}}), {{"FunctionName", "dies"}}).status,
      201);
  const Reply died = send("POST", "/2015-03-31/functions/dies/invocations", "{}");
  EXPECT_EQ(died.value()["errorType"], "Runtime.ExitError") << died.body;
}

TEST_F(LambdaServiceTest, RequestsAreSignedWithItsKeys) {
  EmulatorSettings settings;
  settings.keys = {{"key", "secret", ""}};
  settings.function_keys = settings.keys.front();
  start(settings);
  EXPECT_EQ(create(function_zip()).status, 403);
  EXPECT_EQ(send("GET", "/2015-03-31/functions").status, 403);
  const std::string url = "http://127.0.0.1:" + std::to_string(emulator_->port());
  const auto list_with = [&](const std::string& secret) {
    const aws::ScopedEnvironment environment({{"AWS_ACCESS_KEY_ID", "key"},
                                              {"AWS_SECRET_ACCESS_KEY", secret},
                                              {"AWS_ENDPOINT_URL_LAMBDA", url}});
    return aws::LambdaClient().list_functions().size();
  };
  EXPECT_EQ(list_with("secret"), 0u);
  try {
    list_with("another");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::permission_denied);
    EXPECT_THAT(error.what(), HasSubstr("InvalidSignatureException"));
  }
  const aws::ScopedEnvironment environment({{"AWS_ACCESS_KEY_ID", "key"},
                                            {"AWS_SECRET_ACCESS_KEY", "secret"},
                                            {"AWS_ENDPOINT_URL_LAMBDA", url}});
  aws::LambdaClient client;
  const std::string zip = function_zip();
  aws::FunctionSettings function;
  function.role = "arn:aws:iam::000000000000:role/r";
  function.handler = "worker";
  function.memory_mb = 256;
  client.create_function("f", function, {.zip = as_bytes(zip)}, {});
  client.wait_until_active("f", Deadline::in(20));
  // What a function finds to call others with.
  EXPECT_EQ(client.invoke("f", {.payload = R"("variable AWS_ACCESS_KEY_ID")"}).payload, "key");
  EXPECT_EQ(client.invoke("f:$LATEST", {.payload = R"("variable AWS_SECRET_ACCESS_KEY")"}).payload,
            "secret");
}

TEST_F(LambdaServiceTest, WhatCannotBeDoneHereIsRefused) {
  start();
  const auto refusal = [](const Reply& reply) {
    EXPECT_EQ(reply.status, 400) << reply.body;
    return reply.headers + reply.body;
  };
  const std::string zip = function_zip();
  const std::string layer = "arn:aws:lambda:us-east-1:000000000000:layer:l:1";
  EXPECT_THAT(refusal(create(zip, {{"Layers", {layer}}})),
              AllOf(HasSubstr("InvalidParameterValueException"), HasSubstr("function's zip")));
  EXPECT_THAT(refusal(create(zip, {{"FileSystemConfigs", {{{"LocalMountPath", "/mnt/x"}}}}})),
              HasSubstr("FileSystemConfigs"));
  EXPECT_THAT(refusal(create(zip, {{"DeadLetterConfig", {{"TargetArn", "arn:aws:sqs:x"}}}})),
              HasSubstr("DeadLetterConfig"));
  const json key = "arn:aws:kms:us-east-1:000000000000:key/k";
  const std::pair<json, const char*> changes[] = {
      {{{"KMSKeyArn", key}}, "variables are not encrypted"},
      {{{"CodeSigningConfigArn", key}}, "CodeSigningConfigArn"},
      {{{"ImageConfig", {{"Command", {"x"}}}}}, "ImageConfig"},
      {{{"Publish", true}}, "$LATEST is the only version"},
      {{{"SnapStart", {{"ApplyOn", "PublishedVersions"}}}},
       "provided.al2023 is not supported for SnapStart enabled functions."},
      {{{"LoggingConfig", {{"LogFormat", "JSON"}}}}, "logs are Text here"},
      {{{"LoggingConfig", {{"LogGroup", "/own"}}}}, "there are no log groups"},
      {{{"TracingConfig", {{"Mode", "Always"}}}}, "enum value set: [Active, PassThrough]"}};
  for (const auto& [change, why] : changes)
    EXPECT_THAT(refusal(create(zip, change)), HasSubstr(why)) << change;
  for (const std::string& role :
       {std::string("r"), std::string(), std::string("arn:aws:iam::1:role/r"),
        std::string("arn:aws:iam::000000000000:user/u"), std::string(100'000, 'x')})
    EXPECT_THAT(refusal(create(zip, {{"Role", role}})),
                AllOf(HasSubstr("ValidationException"), HasSubstr("at 'role' failed to satisfy"),
                      HasSubstr(R"(arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?)")))
        << role.substr(0, 80);
  EXPECT_EQ(send("GET", "/2015-03-31/functions").value()["Functions"].size(), 0u);

  ASSERT_EQ(create(zip, {{"Layers", json::array()},
                         {"DeadLetterConfig", {{"TargetArn", ""}}},
                         {"KMSKeyArn", ""},
                         {"Publish", false},
                         {"SnapStart", {{"ApplyOn", "None"}}},
                         {"LoggingConfig", {{"LogFormat", "Text"}}},
                         {"Role", "arn:aws-cn:iam::000000000000:role/service-role/r_x@y"}})
                .status,
            201);
  const std::string configuration = "/2015-03-31/functions/f/configuration";
  for (const json& change : {json{{"Layers", {layer}}}, json{{"Role", "r"}}})
    refusal(send("PUT", configuration, change.dump()));
  EXPECT_EQ(send("PUT", configuration, R"({"Timeout":9})").status, 200);
  refusal(send("PUT", "/2015-03-31/functions/f/code",
               json{{"ZipFile", encode_base64(as_bytes(zip))}, {"Publish", true}}.dump()));
  EXPECT_THAT(
      refusal(send("PUT", "/2019-09-25/functions/f/event-invoke-config",
                   R"({"DestinationConfig":{"OnFailure":{"Destination":"arn:aws:sqs:x"}}})")),
      HasSubstr("Destinations"));
  EXPECT_EQ(send("PUT", "/2019-09-25/functions/f/event-invoke-config",
                 R"({"DestinationConfig":{"OnFailure":{}},"MaximumRetryAttempts":1})")
                .status,
            200);
}

TEST_F(LambdaServiceTest, KeepsWhatHasNoEffectHere) {
  start();
  ASSERT_EQ(create(function_zip(), {{"TracingConfig", {{"Mode", "Active"}}}}).status, 201);
  const std::string configuration = "/2015-03-31/functions/f/configuration";
  const json vpc{{"SubnetIds", {"subnet-1"}}, {"SecurityGroupIds", {"sg-1"}}};
  EXPECT_EQ(send("PUT", configuration, json{{"VpcConfig", vpc}}.dump()).status, 200);
  const json kept = send("GET", configuration).value();
  EXPECT_EQ(kept["TracingConfig"]["Mode"], "Active");
  EXPECT_EQ(kept["VpcConfig"]["SubnetIds"], vpc["SubnetIds"]);
  EXPECT_EQ(kept["VpcConfig"]["SecurityGroupIds"], vpc["SecurityGroupIds"]);
}

TEST_F(LambdaServiceTest, ListsVersionsAndEventInvokeConfigs) {
  start();
  ASSERT_EQ(create(function_zip()).status, 201);
  const std::string versions = "/2015-03-31/functions/f/versions";
  const json listed = send("GET", versions).value();
  ASSERT_EQ(listed["Versions"].size(), 1u) << listed;
  EXPECT_EQ(listed["Versions"][0]["Version"], "$LATEST");
  EXPECT_THAT(listed["Versions"][0]["FunctionArn"].get<std::string>(), EndsWith(":f:$LATEST"));
  EXPECT_EQ(send("GET", versions + "?MaxItems=1&Marker=x").value()["Versions"].size(), 0u);
  const std::string configs = "/2019-09-25/functions/f/event-invoke-config/list";
  const char* const kConfigs = "FunctionEventInvokeConfigs";
  EXPECT_EQ(send("GET", configs).value()[kConfigs], json::array());
  ASSERT_EQ(
      send("PUT", "/2019-09-25/functions/f/event-invoke-config", R"({"MaximumRetryAttempts":1})")
          .status,
      200);
  EXPECT_EQ(send("GET", configs + "?MaxItems=50").value()[kConfigs][0]["MaximumRetryAttempts"], 1);
  EXPECT_EQ(send("GET", configs + "?Marker=x").value()[kConfigs], json::array());
  for (const std::string& refused :
       {versions + "?MaxItems=0", versions + "?MaxItems=10001", configs + "?MaxItems=51"})
    EXPECT_EQ(send("GET", refused).status, 400) << refused;
  for (const std::string unknown :
       {"/2015-03-31/functions/g/versions", "/2019-09-25/functions/g/event-invoke-config/list"})
    EXPECT_EQ(send("GET", unknown).status, 404) << unknown;
}

TEST_F(LambdaServiceTest, NamesMayBeArns) {
  start();
  const std::string arn = create(function_zip()).value()["FunctionArn"];
  for (const std::string& name :
       {arn, arn + ":$LATEST", std::string("f:$LATEST"), std::string("000000000000:function:f")}) {
    const Reply reply =
        send("POST", "/2015-03-31/functions/" + name + "/invocations", "\"echo by name\"");
    EXPECT_EQ(reply.body, "by name") << name;
  }
  EXPECT_EQ(send("GET", "/2015-03-31/functions/f:1").status, 404);
}

TEST_F(LambdaServiceTest, CodeOfAnotherArchitectureIsRefused) {
  start();
  std::string elf = content_of(LAMBDAML_FAAS_TEST_FUNCTION).substr(0, 64);
  elf[18] = '\x16';  // EM_S390
  EXPECT_THAT(create(zip_of({{"bootstrap", elf}})).body, HasSubstr("no executable of"));
  const json other = {{"Architectures", {"arm64"}}};
#if !defined(__aarch64__)
  EXPECT_THAT(create(function_zip(), other).body, HasSubstr("arm64"));
#endif
}

TEST_F(LambdaServiceTest, AZipIsUnpackedUpToItsLimitOnly) {
  const std::string zip = zip_of({{"bootstrap", std::string(2000, 'x')}});
  const std::filesystem::path into = folder_ / "into";
  std::filesystem::create_directory(into);
  EXPECT_THROW(sandbox::unzip(zip, into, 1999), std::exception);
  std::filesystem::remove_all(into);
  std::filesystem::create_directory(into);
  sandbox::unzip(zip, into, 2000);
  EXPECT_EQ(content_of(into / "bootstrap").size(), 2000u);
}

}  // namespace
}  // namespace lambdaml::faas::testing
