#include "lambdaml/control/run_folder.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/options.h"

namespace lambdaml::control {
namespace {

namespace fs = std::filesystem;

constexpr const char* kId = "20261122-101500-3f9c01d2a47b";

class RunFolderTest : public testing::Test {
 protected:
  std::string metrics() const {
    return std::string(read_file(folder_ / "run/metrics.jsonl")->text());
  }
  const Scratch scratch_{"lambdaml-run-"};
  const fs::path folder_ = scratch_.path();
};

TEST_F(RunFolderTest, RewindsToAnEpochAndFillsWhatIsMissing) {
  RunFolder run = RunFolder::create(folder_ / "run", kId, job::job_options());
  run.add({1, {{"train_loss", 0.5}}});
  run.add({4, {{"train_loss", 0.2}}});
  append_to_file(folder_ / "run/metrics.jsonl", as_bytes("{\"epoch\":5,\"tr"));
  run.rewind(3,
             "{\"epoch\":2,\"train_loss\":0.4}\n{\"epoch\":3,\"train_loss\":0.3}\n{\"epoch\":4}\n");
  EXPECT_EQ(metrics(),
            "{\"epoch\":1,\"train_loss\":0.5}\n{\"epoch\":2,\"train_loss\":0.4}\n"
            "{\"epoch\":3,\"train_loss\":0.3}\n");
}

TEST_F(RunFolderTest, KeepsNoPassword) {
  Options options = job::job_options();
  const std::string uri = "redis://user:hunter2@host/0";
  std::vector<std::string> set;
  const Options declared = job::job_options();
  for (const Option& option : declared.declared()) {
    if (!std::holds_alternative<std::string>(option.default_value)) continue;
    if (!option.choices.empty() && option.open_choices.empty()) continue;
    const std::string before = option.choices.empty() ? "" : option.open_choices.front() + ":";
    options.set(option.name, before + uri, "test");
    set.push_back(option.name);
  }
  EXPECT_THAT(set, testing::IsSupersetOf({"data", "test_data", "channel", "checkpoint", "script",
                                          "model", "until", "function", "output"}));
  const RunFolder run = RunFolder::create(folder_ / "run", kId, options);
  const Buffer text = *read_file(folder_ / "run/job.yaml");
  EXPECT_EQ(text.text().find("hunter2"), std::string_view::npos) << text.text();
  EXPECT_EQ(run.options().text("channel"), "redis://user@host/0");
  EXPECT_EQ(run.options().text("script"), "redis://user@host/0");
}

TEST_F(RunFolderTest, IsForItsOwnerOnly) {
  RunFolder run = RunFolder::create(folder_ / "runs/run", kId, job::job_options());
  run.add({1, {{"train_loss", 0.5}}});
  run.rewind(1, "");
  run.finish(as_bytes("model"), "{}");
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "runs")) {
    EXPECT_EQ(entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all),
              fs::perms::none)
        << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 6U);
}

TEST_F(RunFolderTest, OfAnEarlierVersionStillOpens) {
  RunFolder::create(folder_ / "run", kId, job::job_options());
  for (const auto& entry : fs::directory_iterator(folder_ / "run"))
    fs::permissions(entry.path(), fs::perms(0644));
  fs::permissions(folder_ / "run", fs::perms(0755));
  RunFolder run = RunFolder::open(folder_ / "run");
  EXPECT_NO_THROW(run.add({1, {}}));
  EXPECT_EQ(run.options().integer("workers"), 4);
}

TEST_F(RunFolderTest, WithAnIdThatIsNoJobsIsRefused) {
  RunFolder::create(folder_ / "run", kId, job::job_options());
  for (const std::string& id :
       {std::string(), std::string(".."), std::string("/"), std::string("searches"),
        std::string("results"), std::string("job"), std::string("../") + kId,
        std::string(kId) + "/..", std::string(kId) + "-1", std::string("job-/../x"),
        std::string("20261122-101500-"), std::string("20261122-101500-xxxxxxxxxxxx"),
        std::string("job-\\u001b[2J")}) {
    write_file(folder_ / "run/run.json", as_bytes("{\"job_id\": \"" + id + "\"}"));
    try {
      RunFolder::open(folder_ / "run");
      ADD_FAILURE() << id;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::data_corrupt) << id;
      EXPECT_EQ(std::string_view(error.what()).find('\x1b'), std::string_view::npos);
    }
    EXPECT_THROW(RunFolder::identify(folder_ / "run"), Error) << id;
  }
  for (const std::string& id : {std::string(kId), job::new_job_id(), job::new_job_id() + "-0012",
                                std::string("20261122-101500-3f9c"),
                                job::id_of_request("job-", "8b5fa1c4-0f7e-4c8f-b8ee-1d0d8b2a3c4d"),
                                job::id_of_request("tune-", std::string(200, 'x')) + "-0003"}) {
    write_file(folder_ / "run/run.json", as_bytes("{\"job_id\": \"" + id + "\"}"));
    EXPECT_EQ(RunFolder::open(folder_ / "run").job_id(), id);
  }
}

TEST_F(RunFolderTest, ThatAnotherUserPlantedIsNotGoneOnWith) {
  REQUIRE_ROOT();
  ASSERT_EQ(::chmod(folder_.c_str(), 01777), 0);
  ASSERT_EQ(as_user(kMallory,
                    [&] {
                      RunFolder::create(folder_ / "run", kId, job::job_options());
                      fs::permissions(folder_ / "run", fs::perms(0777));
                      for (const auto& entry : fs::directory_iterator(folder_ / "run"))
                        fs::permissions(entry.path(), fs::perms(0666));
                      fs::create_symlink("/etc/hostname", folder_ / "run/metrics.jsonl");
                      fs::create_directory(folder_ / "runs");
                      fs::permissions(folder_ / "runs", fs::perms(0777));
                    }),
            "");
  EXPECT_THAT(as_user(kAlice, [&] { RunFolder::open(folder_ / "run"); }),
              testing::HasSubstr("belongs to another user"));
  EXPECT_THAT(
      as_user(kAlice, [&] { RunFolder::create(folder_ / "runs/mine", kId, job::job_options()); }),
      testing::HasSubstr("belongs to another user"));
  EXPECT_EQ(
      as_user(kAlice, [&] { RunFolder::create(folder_ / "own/run", kId, job::job_options()); }),
      "");
}

TEST_F(RunFolderTest, IsOpenedByOneAtATimeAndKnowsItsOptions) {
  Options options = job::job_options();
  options.parse("lr", "0.125", "test");
  {
    RunFolder run = RunFolder::create(folder_ / "run", kId, options);
    EXPECT_THROW(RunFolder::create(folder_ / "run", kId, options), Error);
    EXPECT_THROW(RunFolder::open(folder_ / "run"), Error) << "it is still running";
  }
  const RunFolder again = RunFolder::open(folder_ / "run");
  EXPECT_EQ(again.job_id(), kId);
  EXPECT_EQ(again.options().real("lr"), 0.125);
  EXPECT_FALSE(again.summary());
  EXPECT_THROW(RunFolder::open(folder_ / "nothing"), Error);
}

}  // namespace
}  // namespace lambdaml::control
