// Data and checkpoints that are not what was written are told on every service, above whatever the
// service itself checks: what is damaged here is saved properly.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "integration/stores.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::e2e {
namespace {

using testing::HasSubstr;

class StoredIntegrity : public CliTest, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    REQUIRE_STORE(GetParam());
    CliTest::SetUp();
    store_ = storage::open(place());
    ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "600", "--out", "a.libsvm"}).exit_code,
              0);
  }
  void TearDown() override {
    if (folder().empty()) return;
    store_->clear("");
    CliTest::TearDown();
  }
  std::string place() const {
    return servers::get(GetParam()).uri + "/" + folder().filename().string();
  }
  std::string load(const std::string& key) const {
    const std::optional<Buffer> bytes = store_->load(key);
    EXPECT_TRUE(bytes) << key;
    return std::string(bytes->text());
  }
  void flip(const std::string& key, std::size_t byte) {
    std::string bytes = load(key);
    bytes[byte % bytes.size()] = static_cast<char>(bytes[byte % bytes.size()] ^ 4);
    store_->save(key, as_bytes(bytes));
  }
  void expect_refused(const std::vector<std::string>& arguments, const std::string& key) const {
    const Result result = lambdaml(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(key));
  }

  std::shared_ptr<storage::Storage> store_;
};

INSTANTIATE_TEST_SUITE_P(, StoredIntegrity, testing::ValuesIn(servers::schemes()),
                         [](const auto& info) { return info.param; });

TEST_P(StoredIntegrity, OfPreparedData) {
  const std::string set = place() + "/set";
  ASSERT_EQ(lambdaml({"data", "split", "a.libsvm", "--workers", "2", "--to", set}).exit_code, 0);
  const std::vector<std::string> info{"data", "info", set};
  const std::vector<std::string> job{"train",    "--data", set,  "--workers", "2",
                                     "--epochs", "2",      "-q", "--output",  "run"};
  const std::string first = load("set/0_2"), second = load("set/1_2");
  for (const std::size_t byte :
       {std::size_t{1}, std::size_t{200}, second.size() / 2, second.size() - 1}) {
    flip("set/1_2", byte);
    expect_refused(info, "set/1_2");
    expect_refused(job, "set/1_2");
    store_->save("set/1_2", as_bytes(second));
  }
  store_->save("set/0_2", as_bytes(second));
  expect_refused(info, "this is part 1_2");
  expect_refused(job, "this is part 1_2");
  store_->save("set/0_2", as_bytes(first));
  flip("set/manifest.json", 60);
  expect_refused(info, "set/manifest.json");
  expect_refused(job, "set/manifest.json");
}

TEST_P(StoredIntegrity, OfCheckpointsThatHaveCommitRecords) {
  std::ofstream data(folder() / "wide.libsvm");
  for (int row = 0; row < 300; ++row)
    data << row % 2 << ' ' << row + 1 << ":0.5 " << 1000 + row % 7 << ":1 20000:1\n";
  data.close();
  const std::vector<std::string> job{"--data", "wide.libsvm", "--workers", "2", "--epochs", "6"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), job.begin(), job.end());
    return more;
  };
  train(with({"--output", "whole"}));
  const std::string id =
      train(with({"--output", "run", "--stop-after", "4", "--checkpoint", place()}))["job_id"];
  EXPECT_LT(load(id + "/1_2.1.commit").size(), 600U);
  flip(id + "/1_2.1.safetensors", 50'000);
  const Result resumed = lambdaml({"resume", "run", "-q"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr(id + "/1_2.1.safetensors"));
  EXPECT_EQ(read(folder() / "run/model.safetensors"), read(folder() / "whole/model.safetensors"));
}

TEST_P(StoredIntegrity, OfCheckpoints) {
  const std::vector<std::string> job{"--data", "a.libsvm", "--workers", "2", "--epochs", "6"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), job.begin(), job.end());
    return more;
  };
  train(with({"--output", "whole"}));
  train(with({"--output", "run", "--stop-after", "4", "--checkpoint", place()}));
  std::string key;
  for (const storage::Entry& entry : store_->list(""))
    if (entry.key.ends_with("/0_2.1.safetensors")) key = entry.key;
  ASSERT_FALSE(key.empty());
  const std::string whole = load(key);
  std::string earlier = whole;
  earlier.replace(earlier.find("\"epoch\":\"4\""), 11, "\"epoch\":\"2\"");
  store_->save(key, as_bytes(earlier));
  const Result resumed = lambdaml({"resume", "run", "-q"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr(key));
  EXPECT_EQ(read(folder() / "run/model.safetensors"), read(folder() / "whole/model.safetensors"));

  std::filesystem::remove(folder() / "run/summary.json");
  for (const char* slot : {"0", "1"})
    flip(key.substr(0, key.size() - 13) + slot + ".safetensors", 1000);
  expect_refused({"resume", "run", "-q"}, key.substr(0, key.size() - 13));
}

}  // namespace
}  // namespace lambdaml::e2e
