// Jobs over S3 servers that lack a kind of request, which no server that tests can start does.
#include <map>
#include <mutex>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "lambdaml/aws/testing/scripted_server.h"

namespace lambdaml::e2e {
namespace {

using aws::ScriptedAnswer;
using aws::ScriptedRequest;
using testing::HasSubstr;
using testing::Not;

/// A bucket in memory with path addressing: objects, lists, and what `refuses` lets through.
class OddS3 {
 public:
  using Refuses = std::function<std::optional<int>(const ScriptedRequest&)>;
  /// `marked`: whether answers have Amazon's headers; `ignores`: the condition of a write.
  explicit OddS3(Refuses refuses, bool marked = true, bool ignores = false)
      : refuses_(std::move(refuses)), marked_(marked), ignores_(ignores) {}

  std::string url() const { return server_.url(); }
  std::vector<ScriptedRequest> requests() const { return server_.requests(); }
  std::size_t keys() const {
    const std::lock_guard lock(mutex_);
    return objects_.size();
  }

 private:
  static ScriptedAnswer fault(int status, const std::string& code) {
    return {.status = status, .body = "<Error><Code>" + code + "</Code></Error>"};
  }
  ScriptedAnswer list(const std::string& prefix) const {
    std::string out = "<ListBucketResult><IsTruncated>false</IsTruncated>";
    for (const auto& [target, object] : objects_)
      if (const std::string key = target.substr(8); key.starts_with(prefix))
        out += "<Contents><Key>" + key + "</Key><Size>" + std::to_string(object.body.size()) +
               "</Size></Contents>";
    return {.body = out + "</ListBucketResult>"};
  }
  ScriptedAnswer serve(const ScriptedRequest& heard) {
    const std::lock_guard lock(mutex_);
    if (const auto status = refuses_(heard)) return fault(*status, "NotImplemented");
    if (const std::size_t at = heard.target.find("prefix="); at != std::string::npos) {
      std::string prefix = heard.target.substr(at + 7);
      for (std::size_t slash; (slash = prefix.find("%2F")) != std::string::npos;)
        prefix.replace(slash, 3, "/");
      return list(prefix);
    }
    if (heard.method == "DELETE") {
      objects_.erase(heard.target);
      return {.status = 204};
    }
    const auto there = objects_.find(heard.target);
    if (heard.method == "PUT") {
      if (!ignores_ && there != objects_.end() && heard.header("if-none-match") == "*")
        return fault(412, "PreconditionFailed");
      objects_[heard.target] = heard;
      return {.headers = {{"etag", "\"2063c1608d6e0baf80249c42e2be5804\""}}};
    }
    if (there == objects_.end()) return fault(404, "NoSuchKey");
    ScriptedAnswer out{.body = there->second.body};
    for (const auto& [name, value] : there->second.headers)
      if (name.starts_with("x-amz-meta-")) out.headers.emplace_back(name, value);
    return out;
  }

  const Refuses refuses_;
  const bool marked_;
  const bool ignores_;
  mutable std::mutex mutex_;
  std::map<std::string, ScriptedRequest> objects_;
  aws::ScriptedServer server_{[this](const ScriptedRequest& heard) {
    ScriptedAnswer out = serve(heard);
    out.marked = marked_;
    return out;
  }};
};

class S3Servers : public CliTest {
 protected:
  static std::vector<std::string> environment(const OddS3& server) {
    return {"AWS_ENDPOINT_URL_S3=" + server.url(), "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b",
            "AWS_REGION=us-east-1"};
  }
  Result train(const OddS3& server, const std::string& mode) const {
    std::string rows;
    for (int i = 0; i < 40; ++i)
      rows += std::to_string(i % 2) + " 1:" + std::to_string(i % 2 * 2 - 1) +
              " 2:" + std::to_string(1 + i % 3) + "\n";
    write("rows.libsvm", rows);
    return lambdaml({"train", "--data", "rows.libsvm", "--channel", "s3://bucket/ch", "--workers",
                     "2", "--epochs", "3", "--optim", "grad_avg", "--sync-mode", mode, "--output",
                     "run", "--json", "-q"},
                    environment(server));
  }
};

TEST_F(S3Servers, WithoutMultiObjectDeletionLoseNoWorkerAndKeepNoKey) {
  for (const int status : {501, 404})
    for (const bool marked : {true, false}) {
      const OddS3 server(
          [status](const ScriptedRequest& heard) -> std::optional<int> {
            if (heard.target.find("?delete") == std::string::npos) return {};
            return status;
          },
          marked);
      for (const char* mode : {"reduce", "async"}) {
        const Result result = train(server, mode);
        EXPECT_EQ(result.exit_code, 0) << result.err;
        EXPECT_EQ(result.err, "") << mode;
        EXPECT_EQ(server.keys(), 0U) << mode;
        std::filesystem::remove_all(folder() / "run");
      }
    }
}

TEST_F(S3Servers, WithoutConditionalWritesAreFoundBeforeTraining) {
  const OddS3 server([](const ScriptedRequest& heard) -> std::optional<int> {
    if (heard.header("if-none-match").empty()) return {};
    return 501;
  });
  const Result result = train(server, "async");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("sync_mode async needs conditional writes"));
  EXPECT_THAT(result.err, Not(HasSubstr("lost")));
  EXPECT_FALSE(std::filesystem::exists(folder() / "run"));
  EXPECT_LT(server.requests().size(), 10U) << "something was staged or trained";
  EXPECT_EQ(train(server, "reduce").exit_code, 0) << "it needs none";
}

TEST_F(S3Servers, TheDoctorSaysWhatDoesNotWorkWithoutConditionalWrites) {
  for (const bool ignores : {false, true}) {
    const OddS3 server(
        [ignores](const ScriptedRequest& heard) -> std::optional<int> {
          if (ignores || heard.header("if-none-match").empty()) return {};
          return 501;
        },
        true, ignores);
    const auto line_of = [&](const char* mode, int exit_code) {
      const Result result =
          lambdaml({"doctor", "--channel", "s3://bucket/ch", "--sync-mode", mode, "--json"},
                   environment(server));
      EXPECT_EQ(result.exit_code, exit_code) << result.out;
      const nlohmann::json report = result.json();
      for (const nlohmann::json& check : report.at("checks"))
        if (check.at("name") == "channel") return check;
      ADD_FAILURE() << "the channel is not checked";
      return nlohmann::json();
    };
    const nlohmann::json reduce = line_of("reduce", 0);
    EXPECT_EQ(reduce.at("state"), "warning");
    EXPECT_THAT(reduce.at("detail").get<std::string>(), HasSubstr("no conditional writes"));
    EXPECT_THAT(reduce.at("advice").get<std::string>(), HasSubstr("--sync-mode reduce"));
    const nlohmann::json async = line_of("async", 1);
    EXPECT_EQ(async.at("state"), "failed");
    EXPECT_THAT(async.at("advice").get<std::string>(), HasSubstr("--sync-mode reduce"));
    EXPECT_EQ(server.keys(), 0U);
  }
}

TEST_F(S3Servers, WhatTheyDoNotSupportIsNotTriedAgain) {
  // Messages of the third round and later ones.
  const OddS3 server([](const ScriptedRequest& heard) -> std::optional<int> {
    if (heard.method != "PUT" || heard.target.find("/v/2-") == std::string::npos) return {};
    return 501;
  });
  const Result result = train(server, "reduce");
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr("docs/reference/channels.md"));
  for (const char* hint : {"lost", "resume", "trying again"})
    EXPECT_THAT(result.err, Not(HasSubstr(hint)));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

}  // namespace
}  // namespace lambdaml::e2e
