// What `lambdaml doctor` says about services that are there, down, frozen, wrong or read-only.
#include <csignal>
#include <filesystem>

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "e2e/command.h"
#include "e2e/lambda.h"
#include "integration/stores.h"
#include "integration/talk.h"
#include "lambdaml/base/deadline.h"

namespace lambdaml::e2e {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// The check of that name.
nlohmann::json check_of(const nlohmann::json& report, const std::string& name) {
  for (const nlohmann::json& check : report.at("checks"))
    if (check.at("name") == name) return check;
  ADD_FAILURE() << "no check " << name << " in " << report.dump();
  return nlohmann::json::object();
}

class DoctorTest : public CliTest {
 protected:
  /// Checks the channel; expects the exit code that fits.
  nlohmann::json channel(const std::string& uri, const std::vector<std::string>& environment = {}) {
    const Stopwatch watch;
    const Result result = lambdaml({"doctor", "--channel", uri, "--json"}, environment);
    // 4 s for the service; the other checks take some, and the machine may be loaded.
    EXPECT_LT(watch.seconds(), 60);
    const nlohmann::json report = result.json();
    const nlohmann::json check = check_of(report, "channel");
    EXPECT_EQ(result.exit_code, check.at("ok") ? 0 : 1) << result.out << result.err;
    EXPECT_EQ(report.at("ok"), check.at("ok"));
    if (!check.at("ok")) {
      EXPECT_THAT(check.at("advice").get<std::string>(), Not(IsEmpty()));
    }
    EXPECT_LT(check.at("seconds"), 12);
    return check;
  }
};

class Doctor_redis : public DoctorTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    REQUIRE_STORE("redis");
    server_ = &servers::get("redis");
  }
  void TearDown() override {
    if (server_ != nullptr) servers::talk(server_->port, "ACL DELUSER reader\r\nFLUSHALL\r\n");
    CliTest::TearDown();
  }
  const servers::Server* server_ = nullptr;
};

TEST_F(Doctor_redis, AWorkingServerIsLeftAsItWas) {
  const nlohmann::json check = channel(server_->uri);
  EXPECT_TRUE(check.at("ok")) << check;
  EXPECT_THAT(check.at("detail").get<std::string>(), HasSubstr("save"));
  EXPECT_THAT(servers::talk(server_->port, "DBSIZE\r\n"), HasSubstr(":0"));
}

TEST_F(Doctor_redis, AServerThatIsDownIsNamed) {
  server_->stop();
  const nlohmann::json check = channel(server_->uri);
  server_->start();
  EXPECT_FALSE(check.at("ok"));
  EXPECT_THAT(check.at("detail").get<std::string>(), HasSubstr(std::to_string(server_->port)));
}

TEST_F(Doctor_redis, AFrozenServerIsGivenUp) {
  server_->signal(SIGSTOP);
  const nlohmann::json check = channel(server_->uri);
  server_->signal(SIGCONT);
  EXPECT_FALSE(check.at("ok"));
  EXPECT_THAT(check.at("detail").get<std::string>(), HasSubstr(std::to_string(server_->port)));
}

TEST_F(Doctor_redis, AUserWhoMayOnlyReadIsToldSoWithoutItsPassword) {
  servers::talk(server_->port, "ACL SETUSER reader on >tellnobody ~* +@read +@connection\r\n");
  const nlohmann::json check =
      channel(fmt::format("redis://reader:tellnobody@127.0.0.1:{}/0", server_->port));
  EXPECT_FALSE(check.at("ok"));
  EXPECT_THAT(check.at("advice").get<std::string>(), HasSubstr("right"));
  EXPECT_THAT(check.dump(), Not(HasSubstr("tellnobody")));
}

TEST_F(Doctor_redis, AnotherServiceAtTheAddressIsNotTakenForIt) {
  const nlohmann::json check = channel(fmt::format("memcached://127.0.0.1:{}", server_->port));
  EXPECT_FALSE(check.at("ok"));
}

class Doctor_s3 : public DoctorTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    REQUIRE_STORE("s3");
  }
};

TEST_F(Doctor_s3, WrongKeysAreRefusedAndNotShown) {
  const servers::Server& server = servers::get("s3");
  EXPECT_TRUE(channel(server.uri + "/doctor").at("ok"));
  const nlohmann::json check =
      channel(server.uri + "/doctor", {"AWS_SECRET_ACCESS_KEY=tellnobody"});
  EXPECT_FALSE(check.at("ok"));
  EXPECT_THAT(check.dump(), Not(HasSubstr("tellnobody")));
}

TEST_F(Doctor_s3, ABucketThatDoesNotExistIsNamed) {
  const nlohmann::json check = channel("s3://no-such-bucket-here/x");
  EXPECT_FALSE(check.at("ok"));
  EXPECT_THAT(check.at("detail").get<std::string>(), HasSubstr("no-such-bucket-here"));
}

TEST_F(Doctor_s3, DataMustBeThere) {
  const servers::Server& server = servers::get("s3");
  write("a.libsvm", "1 1:1\n0 1:2\n");
  ASSERT_EQ(lambdaml({"storage", "put", server.uri + "/data", "a.libsvm", "a.libsvm"}).exit_code,
            0);
  const auto data = [&](const std::string& uri) {
    return check_of(lambdaml({"doctor", "--data", uri, "--json"}).json(), "data");
  };
  EXPECT_TRUE(data(server.uri + "/data/a.libsvm").at("ok"));
  EXPECT_TRUE(data(server.uri + "/data").at("ok"));
  const nlohmann::json missing = data(server.uri + "/data/b.libsvm");
  EXPECT_FALSE(missing.at("ok"));
  EXPECT_THAT(missing.at("detail").get<std::string>(), HasSubstr("b.libsvm"));
}

class DoctorOfFunctions : public Lambda {};

TEST_F(DoctorOfFunctions, AFunctionMustBeThereAndItsServiceToo) {
  const auto platform = [&](const std::string& function) {
    const Result result = with_keys(
        {"doctor", "--platform", "aws", "--function", function, "--channel", channel(), "--json"});
    const nlohmann::json check = check_of(result.json(), "platform");
    EXPECT_EQ(result.exit_code, check.at("ok") ? 0 : 1) << result.out;
    EXPECT_THAT(result.out, Not(HasSubstr("secret\"")));
    return check;
  };
  deploy("there");
  const nlohmann::json found = platform("there");
  EXPECT_TRUE(found.at("ok")) << found;
  EXPECT_THAT(found.at("detail").get<std::string>(), HasSubstr("MB"));
  const nlohmann::json missing = platform("missing");
  EXPECT_FALSE(missing.at("ok"));
  EXPECT_THAT(missing.at("detail").get<std::string>(), HasSubstr("missing"));
  kill_emulator();
  const nlohmann::json down = platform("there");
  EXPECT_FALSE(down.at("ok"));
  EXPECT_LT(down.at("seconds"), 12);
}

}  // namespace
}  // namespace lambdaml::e2e
