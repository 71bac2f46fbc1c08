#include "lambdaml/train/run_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/train/job_options.h"

namespace lambdaml::train {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "lambdaml-run-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string metrics() const {
    return std::string(read_file(folder_ / "run/metrics.jsonl")->text());
  }
  fs::path folder_;
};

TEST_F(RunFolderTest, RewindsToAnEpochAndFillsWhatIsMissing) {
  RunFolder run = RunFolder::create(folder_ / "run", "id", job_options());
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
  Options options = job_options();
  options.set("channel", std::string("redis://user:hunter2@host/0"), "test");
  const RunFolder run = RunFolder::create(folder_ / "run", "id", options);
  const Buffer text = *read_file(folder_ / "run/job.yaml");
  EXPECT_EQ(text.text().find("hunter2"), std::string_view::npos) << text.text();
  EXPECT_EQ(run.options().text("channel"), "redis://user@host/0");
}

TEST_F(RunFolderTest, IsOpenedByOneAtATimeAndKnowsItsOptions) {
  Options options = job_options();
  options.parse("lr", "0.125", "test");
  {
    RunFolder run = RunFolder::create(folder_ / "run", "id", options);
    EXPECT_THROW(RunFolder::create(folder_ / "run", "id", options), Error);
    EXPECT_THROW(RunFolder::open(folder_ / "run"), Error) << "it is still running";
  }
  const RunFolder again = RunFolder::open(folder_ / "run");
  EXPECT_EQ(again.job_id(), "id");
  EXPECT_EQ(again.options().real("lr"), 0.125);
  EXPECT_FALSE(again.summary());
  EXPECT_THROW(RunFolder::open(folder_ / "nothing"), Error);
}

}  // namespace
}  // namespace lambdaml::train
