// A job's files, one bit of which is another, or that lie where others belong: nobody goes on with
// them, and the error names the key.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/checkpoint.h"
#include "lambdaml/control/data_record.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/control/worker_report.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/trigger/staging.h"
#include "lambdaml/worker/worker.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

Buffer flipped(const Buffer& bytes, std::size_t bit) {
  Buffer out(bytes.view());
  out.data()[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  return out;
}

/// A folder of the test's own, and a store in it or in memory.
class InAStore : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    uri_ = is_in_memory() ? "memory://train-integrity"
                          : Uri::parse((folder_ / "store").string()).text();
    store_ = storage::open(uri_);
  }
  void TearDown() override { store_->clear(""); }
  void flip(const std::string& key, std::size_t bit) {
    const std::optional<Buffer> bytes = store_->load(key);
    ASSERT_TRUE(bytes) << key;
    store_->save(key, flipped(*bytes, bit % (bytes->size() * 8)));
  }
  /// So many bits lie between two that are flipped: every one is where saving costs nothing.
  static std::size_t stride() { return GetParam() == "memory" ? 1 : is_in_memory() ? 5 : 37; }
  static bool is_in_memory() { return GetParam().starts_with("memory"); }
  void copy(const std::string& from, const std::string& to) {
    store_->save(to, *store_->load(from));
  }

  const Scratch scratch_{"lambdaml-integrity-"};
  const fs::path folder_ = scratch_.path();
  std::string uri_;
  std::shared_ptr<storage::Storage> store_;
};

/// State without a method.
class State : public optim::Optimizer {
 public:
  explicit State(float first = 0) : values{first, 2, 3} {}
  void begin(std::span<const float>) override {}
  model::Totals step(const model::Batch&, const optim::Position&) override { return {}; }
  std::span<const float> parameters() const override { return values; }
  optim::State state() override { return {{"values", values}}; }
  std::vector<double> scalars() const override { return {4}; }
  void set_scalars(std::span<const double>) override {}

  std::vector<float> values;
};

class CheckpointIntegrity : public InAStore {
 protected:
  void SetUp() override {
    InAStore::SetUp();
    save("job", 0);
    save("job", 1);
    save("other", 0);
  }
  control::Checkpoints open(const std::string& job, std::uint32_t worker) const {
    return {store_, job, nlohmann::json::object(), worker, 2, {}, has_records() ? 0U : 1U << 20U};
  }
  /// Small states have none.
  static bool has_records() { return GetParam() != "memory_without_records"; }
  /// Epochs 1 (slot 0) and 2 (slot 1), and a suspension in epoch 3.
  void save(const std::string& job, std::uint32_t worker) {
    State state(static_cast<float>(worker));
    control::Checkpoints checkpoints = open(job, worker);
    for (std::uint64_t epoch = 1; epoch <= 2; ++epoch)
      checkpoints.save({epoch, 10 * epoch}, state, *communicator_, {"", "line\n"});
    control::SavedState saved;
    saved.take(state, *communicator_);
    checkpoints.suspend({2, 25}, {0, 5, {}}, saved, {});
  }
  /// What is whole, newest first; that a worker loads the newest.
  std::vector<control::Progress> found() {
    control::Checkpoints own = open("job", 0);
    const std::optional<control::Progress> newest = own.load_newest();
    control::Checkpoints::read_states({&own, 1});
    std::vector<control::Progress> whole = own.available();
    EXPECT_EQ(newest, whole.empty() ? std::nullopt : std::optional(whole.front()));
    return whole;
  }

  const std::vector<control::Progress> both_{{2, 20}, {1, 10}};
  std::unique_ptr<comm::Communicator> communicator_ = comm::registry().get("reduce").make({});
};

TEST_P(CheckpointIntegrity, NoBitOfOneCanBeAnother) {
  ASSERT_EQ(found(), both_);
  const std::string key = "job/0_2.1.safetensors";
  const Buffer whole = *store_->load(key);
  for (std::size_t bit = 0; bit < whole.size() * 8; bit += stride()) {
    store_->save(key, flipped(whole, bit));
    ASSERT_EQ(found(), (std::vector<control::Progress>{{1, 10}})) << "bit " << bit;
  }
  store_->remove("job/0_2.0.safetensors");
  EXPECT_THAT(error_of([&] { found(); }), AllOf(StartsWith("data_corrupt: "), HasSubstr(key)));
}

TEST_P(CheckpointIntegrity, NoBitOfARecordCanBeAnother) {
  if (!has_records()) return;
  const std::vector<control::Progress> older{{1, 10}};
  const std::string key = "job/0_2.1.commit";
  const Buffer whole = *store_->load(key);
  for (std::size_t bit = 0; bit < whole.size() * 8; bit += stride()) {
    store_->save(key, flipped(whole, bit));
    ASSERT_EQ(open("job", 0).available(), older) << "bit " << bit;
  }
  for (const char* from : {"job/0_2.0.commit", "job/1_2.1.commit", "other/0_2.1.commit"}) {
    copy(from, key);
    EXPECT_EQ(open("job", 0).available(), older) << from;
  }
  // Without a record that is good the states tell.
  flip("job/0_2.0.commit", 77);
  EXPECT_EQ(open("job", 0).available(), both_);
}

TEST_P(CheckpointIntegrity, NoBitOfASuspensionCanBeAnother) {
  ASSERT_TRUE(open("job", 0).suspension());
  const std::string key = "job/0_2.suspended.safetensors";
  const Buffer whole = *store_->load(key);
  for (std::size_t bit = 0; bit < whole.size() * 8; bit += stride()) {
    store_->save(key, flipped(whole, bit));
    ASSERT_FALSE(open("job", 0).suspension()) << "bit " << bit;
  }
}

TEST_P(CheckpointIntegrity, OneThatSaysAnotherEpochIsPassedOver) {
  // What a person might do with an editor: the lengths stay, and every tensor.
  const std::string key = "job/0_2.1.safetensors";
  std::string text(store_->load(key)->text());
  for (const auto& [from, to] : {std::pair("\"epoch\":\"2\"", "\"epoch\":\"7\""),
                                 std::pair("\"round\":\"20\"", "\"round\":\"21\""),
                                 std::pair("\"step\":\"0\"", "\"step\":\"9\""),
                                 std::pair("\"pass\":\"0\"", "\"pass\":\"1\"")}) {
    std::string changed = text;
    const std::size_t at = changed.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    changed.replace(at, std::string_view(from).size(), to);
    store_->save(key, as_bytes(changed));
    EXPECT_EQ(found(), (std::vector<control::Progress>{{1, 10}})) << to;
  }
}

TEST_P(CheckpointIntegrity, ThoseOfOthersAreNotTaken) {
  for (const char* from : {"job/1_2.1.safetensors", "other/0_2.1.safetensors",
                           "job/0_2.0.safetensors", "job/0_2.suspended.safetensors"}) {
    copy(from, "job/0_2.1.safetensors");
    EXPECT_EQ(found(), (std::vector<control::Progress>{{1, 10}})) << from;
  }
  for (const char* from : {"job/1_2.suspended.safetensors", "other/0_2.suspended.safetensors",
                           "job/0_2.0.safetensors"}) {
    copy(from, "job/0_2.suspended.safetensors");
    EXPECT_FALSE(open("job", 0).suspension()) << from;
  }
  copy("job/1_2.0.safetensors", "job/0_2.0.safetensors");
  EXPECT_THAT(error_of([&] { found(); }),
              AllOf(StartsWith("data_corrupt: "), HasSubstr("job/0_2."), HasSubstr("copied here")));
}

INSTANTIATE_TEST_SUITE_P(, CheckpointIntegrity,
                         testing::Values("file", "memory", "memory_without_records"));

class StagedIntegrity : public InAStore {
 protected:
  void SetUp() override {
    InAStore::SetUp();
    std::ofstream data(folder_ / "data.libsvm"), test(folder_ / "test.libsvm");
    for (int r = 0; r < 40; ++r) data << r % 2 << " 1:" << r << " 2:" << r * 0.5 << '\n';
    for (int r = 0; r < 10; ++r) test << r % 2 << " 1:" << r << " 2:1\n";
    data.close();
    test.close();
    Options options = job::job_options();
    options.parse("data", (folder_ / "data.libsvm").string(), "test");
    options.parse("test_data", (folder_ / "test.libsvm").string(), "test");
    options.parse("workers", "2", "test");
    options.parse("channel", uri_, "test");
    options.parse("checkpoint", (folder_ / "checkpoint").string(), "test");
    job::resolve(options);
    channel_ = control::open_channel(uri_, "job");
    const trigger::StagedData staged = trigger::stage(options, *channel_);
    event_.job_id = "job";
    event_.worker = 1;
    event_.options = options;
    event_.data = staged.data;
    event_.test = staged.test;
    event_.part = staged.data.part_files[1];
    event_.test_part = staged.test->part_files[1];
    channel_->save(control::keys::kJob, {});
  }
  /// What a worker says to the event.
  std::string error() const {
    faas::Invocation invocation;
    invocation.payload = job::to_json(event_);
    return error_of([&] { worker::handle_worker_event(invocation); });
  }

  job::TrainEvent event_;
  std::shared_ptr<storage::Storage> channel_;
};

TEST_P(StagedIntegrity, APartThatWasDamagedInTheChannelIsRefused) {
  Rng rng(1);
  for (const std::string key : {"job/data/1_2", "job/test/1_2"}) {
    const Buffer whole = *store_->load(key);
    for (int k = 0; k < 100; ++k) {
      // The first bytes and the last, and some in between.
      const std::size_t byte = k < 20   ? static_cast<std::size_t>(k)
                               : k < 40 ? whole.size() - 1 - static_cast<std::size_t>(k - 20)
                                        : rng.below(whole.size());
      store_->save(key, flipped(whole, byte * 8 + rng.below(8)));
      ASSERT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr(key))) << byte;
    }
    store_->save(key, as_bytes(whole.text().substr(0, whole.size() - 1)));
    EXPECT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr(key)));
    store_->save(key, whole);
  }
}

TEST_P(StagedIntegrity, PatienceWithALostPeerSpansTheInvocationsOfAWorker) {
  event_.options.set("patience_s", Option::Value(2.5), "patience_s");
  int invocations = 0;
  const auto run = [&] {
    faas::Invocation invocation;
    invocation.payload = job::to_json(event_);
    while (true) {
      invocation.deadline = Deadline::in(1);
      ++invocations;
      const std::string response = worker::handle_worker_event(invocation);
      EXPECT_EQ(response, control::kToBeContinued);
      if (invocations == 20) return;
    }
  };
  EXPECT_THAT(error_of(run), AllOf(StartsWith("deadline_exceeded: "), HasSubstr("worker 0")));
  // Less than a second of each is waited, for the state is to be saved too.
  EXPECT_THAT(invocations, AllOf(testing::Ge(3), testing::Le(8)));
}

TEST_P(StagedIntegrity, AnotherPartIsRefused) {
  for (const std::string set : {"job/data/", "job/test/"}) {
    const Buffer own = *store_->load(set + "1_2");
    copy(set + "0_2", set + "1_2");
    EXPECT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr(set + "1_2"),
                               HasSubstr("this is part 0_2")));
    store_->save(set + "1_2", own);
  }
  // Of the right number, but of another data set.
  copy("job/test/1_2", "job/data/1_2");
  EXPECT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr("job/data/1_2"),
                             HasSubstr("this is part 1_2 of the data set")));
}

TEST_P(StagedIntegrity, TheFileOfAModelThatWasDamagedInTheChannelIsRefused) {
  // Deep models may be left out of a build, but not in CI.
  REQUIRE_OR_SKIP(model::registry().find("torchscript") != nullptr,
                  "this build has no models made of a file");
  const std::string script = "any bytes: who runs them looks at the checksum first";
  std::ofstream(folder_ / "model.pt") << script;
  Options options = event_.options;
  options.parse("model", "torchscript:" + (folder_ / "model.pt").string(), "test");
  job::resolve(options);
  const trigger::StagedData staged = trigger::stage(options, *channel_);
  EXPECT_EQ(staged.files.front().content, data::content_of(as_bytes(script)));
  event_.options = options;
  event_.definition = data::content_of(*staged.definition);
  flip("job/definition", 77);
  EXPECT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr("definition")));
}

INSTANTIATE_TEST_SUITE_P(, StagedIntegrity, testing::Values("file", "memory"));

TEST(ModelIntegrity, NoBitOfItCanBeAnother) {
  const model::Shape shape{3, {-1, 1}};
  const Options options = job::job_options();
  const auto model = model::registry().get("lr").make(shape, options);
  const Buffer whole =
      job::model_to_bytes("lr", shape, options, *model, std::vector<float>{1, 2, 3, 4});
  const auto error = [](Buffer bytes) {
    return error_of([&] {
      job::model_from_bytes(std::make_shared<const Buffer>(std::move(bytes)), "model M");
    });
  };
  ASSERT_EQ(error(Buffer(whole.view())), "");
  EXPECT_THAT(error(job::model_to_bytes("lr", shape, options, *model,
                                        std::vector<float>{1, 2, std::nanf(""), 4})),
              HasSubstr("not finite"));
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit)
    ASSERT_THAT(error(flipped(whole, bit)), AllOf(StartsWith("data_corrupt: "), HasSubstr("M")))
        << "bit " << bit;
  for (std::size_t size = 0; size < whole.size(); ++size)
    ASSERT_THAT(error(Buffer(whole.view().first(size))), StartsWith("data_corrupt: ")) << size;
}

class DataRecordTest : public InAStore {};

TEST_P(DataRecordTest, NamesTheFileThatIsNotWhatItWas) {
  const std::vector<data::SourceFile> files{{"data/0_2", {100, 1}}, {"data/1_2", {200, 2}}};
  control::DataRecord(store_, "job").begin(files);
  const auto error = [&](const std::vector<data::SourceFile>& now) {
    return error_of([&] { control::DataRecord(store_, "job").require_same(now); });
  };
  EXPECT_EQ(error(files), "");
  EXPECT_EQ(error({files[1], files[0]}), "");
  for (const data::Content changed : {data::Content{200, 3}, data::Content{201, 2}})
    EXPECT_THAT(error({files[0], {"data/1_2", changed}}),
                AllOf(StartsWith("data_corrupt: reading data/1_2: "), HasSubstr("had 200 bytes")));
  EXPECT_THAT(error({files[0]}), StartsWith("data_corrupt: reading data/1_2: "));
  EXPECT_THAT(error({files[0], files[1], {"data/2_2", {}}}),
              StartsWith("data_corrupt: reading data/2_2: the job began without this file"));
  // A damaged record is no reason to lose a job: the checkpoints know the rows too.
  flip("job/data.json", 400);
  EXPECT_EQ(error({files[0]}), "");
  EXPECT_THAT(error(files), StartsWith("data_corrupt: reading data/1_2: "));
  // What began without such files, or by an old version.
  control::DataRecord(store_, "job").begin({});
  EXPECT_FALSE(store_->load("job/data.json"));
  EXPECT_EQ(error(files), "");
  EXPECT_THAT(error({files[0]}), StartsWith("data_corrupt: "));
}

INSTANTIATE_TEST_SUITE_P(, DataRecordTest, testing::Values("file", "memory"));

class RunFolderIntegrity : public InAStore {};

TEST_P(RunFolderIntegrity, GoesOnOnlyWithTheJobThatItBeganWith) {
  const fs::path run = folder_ / "run";
  control::RunFolder::create(run, "20261129-101112-0123456789ab", job::job_options());
  const auto error = [&] {
    return error_of([&] { (void)control::RunFolder::open(run).options(); });
  };
  ASSERT_EQ(error(), "");
  for (const char* name : {"run.json", "job.yaml"}) {
    const Buffer whole = *read_file(run / name);
    for (std::size_t bit = 0; bit + 8 < whole.size() * 8; bit += 11) {
      write_file(run / name, flipped(whole, bit));
      ASSERT_THAT(error(), AllOf(StartsWith("data_corrupt: "), HasSubstr(name))) << bit;
    }
    write_file(run / name, whole);
  }
}

INSTANTIATE_TEST_SUITE_P(, RunFolderIntegrity, testing::Values("file"));

}  // namespace
}  // namespace lambdaml::e2e
