// What old versions wrote opens still: tests/fixtures/VERSION/README.md says what lies there.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class OldFiles : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    fs::copy(fs::path(LAMBDAML_SOURCE_DIR) / "tests/fixtures/31dee6d", folder() / "old",
             fs::copy_options::recursive);
    // Where the files name their own folder, it is this one now.
    for (const auto& entry : fs::recursive_directory_iterator(folder() / "old" / "cut")) {
      if (entry.path().extension() != ".yaml" && entry.path().extension() != ".json") continue;
      std::string text = read(entry.path());
      const std::string mark = "@FOLDER@";
      for (std::size_t at = 0; (at = text.find(mark, at)) != std::string::npos;)
        text.replace(at, mark.size(), (folder() / "old").string());
      std::ofstream(entry.path(), std::ios::binary) << text;
    }
  }
  std::string channel() const { return "file://" + (folder() / "channel").string(); }

  /// That the command ended well with a single line of warning, which says that.
  static void expect_one_warning(const Result& result, const std::string& words) {
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_THAT(result.err, HasSubstr(words));
  }
  /// Bit by bit: all tensors, and all metadata but those of the file itself and options that were
  /// not there yet.
  void expect_same_model(const fs::path& model, const std::string& expected) const {
    const auto open = [&](const fs::path& path) {
      const std::string bytes = read(path);
      return tensor::SafetensorsFile(std::make_shared<const Buffer>(as_bytes(bytes)),
                                     path.string());
    };
    const tensor::SafetensorsFile one = open(folder() / model);
    const tensor::SafetensorsFile other = open(folder() / "old" / "expected" / expected);
    ASSERT_EQ(one.tensors().size(), other.tensors().size());
    for (const tensor::Tensor& tensor : one.tensors()) {
      EXPECT_EQ(tensor.shape, other.get(tensor.name).shape);
      EXPECT_TRUE(std::ranges::equal(tensor.bytes, other.get(tensor.name).bytes)) << tensor.name;
    }
    std::map<std::string, std::string> metadata = one.metadata(), before = other.metadata();
    for (const char* own : {"format", "xxh3"}) {
      metadata.erase(own);
      before.erase(own);
    }
    nlohmann::json options = nlohmann::json::parse(metadata.at("options"));
    const nlohmann::json options_before = nlohmann::json::parse(before.at("options"));
    for (auto at = options.begin(); at != options.end();)
      at = options_before.contains(at.key()) ? std::next(at) : options.erase(at);
    EXPECT_EQ(options, options_before);
    metadata.erase("options");
    before.erase("options");
    EXPECT_EQ(metadata, before);
  }
};

TEST_F(OldFiles, ModelsPredictWhatTheyPredicted) {
  for (const auto& [model, data] :
       {std::pair("lr", "dense.libsvm"), std::pair("svm", "sparse.libsvm"),
        std::pair("kmeans", "blobs.libsvm")}) {
    const std::string name = std::string("old/models/") + model;
    const Result result = lambdaml({"predict", "--model", name + ".safetensors", "--data",
                                    std::string("old/") + data, "--out", "labels", "-q"});
    expect_one_warning(result, "an old version wrote it, without a checksum");
    EXPECT_EQ(read(folder() / "labels"), read(folder() / (name + ".labels"))) << model;
  }
}

TEST_F(OldFiles, PreparedSetsAreReadAndTrainedOn) {
  for (const auto& [set, file] :
       {std::pair("dense", "dense"), std::pair("sparse", "sparse"), std::pair("wide", "wide"),
        std::pair("unlabelled", "unlabelled"), std::pair("text", "dense")}) {
    const std::string prepared = std::string("old/prepared/") + set;
    const Result info = lambdaml({"data", "info", prepared, "--json"});
    expect_one_warning(info, "an old version prepared it, without checksums");
    nlohmann::json of_file =
        lambdaml({"data", "info", std::string("old/") + file + ".libsvm", "--json"}).json();
    nlohmann::json of_set = info.json();
    for (const char* differs : {"path", "bytes", "parts"}) {
      of_file.erase(differs);
      of_set.erase(differs);
    }
    EXPECT_EQ(of_set, of_file) << set;
    if (std::string(set) == "unlabelled") continue;
    // In place, by as many workers as it was cut for, to the model of the file that it was cut
    // from.
    const std::string workers = std::string(set) == "text" ? "3" : "2";
    const Result trained =
        lambdaml({"train", "--data", prepared, "--workers", workers, "--optim", "grad_avg",
                  "--epochs", "3", "--output", std::string("set_") + set, "-q", "--json"});
    expect_one_warning(trained, "an old version prepared it, without checksums");
    train({"--data", std::string("old/") + file + ".libsvm", "--workers", workers, "--optim",
           "grad_avg", "--epochs", "3", "--output", std::string("file_") + set});
    EXPECT_EQ(read(folder() / (std::string("set_") + set) / "model.safetensors"),
              read(folder() / (std::string("file_") + set) / "model.safetensors"))
        << set;
  }
}

TEST_F(OldFiles, RunsThatWereCutShortGoOnToTheModelOfTheirVersion) {
  for (const char* run : {"momentum", "admm", "svm"}) {
    const std::string folder = std::string("old/cut/") + run;
    const Result resumed = lambdaml({"resume", folder, "--channel", channel(), "-q", "--json"});
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_THAT(resumed.err, HasSubstr("an old version began it"));
    // A prepared set that it reads has a warning of its own, and a result that is poor.
    const auto about_versions = [&] {
      std::size_t count = 0;
      for (std::size_t at = 0; (at = resumed.err.find("an old version", at)) != std::string::npos;
           ++at)
        ++count;
      return count;
    };
    EXPECT_LE(about_versions(), std::string(run) == "admm" ? 2U : 1U) << resumed.err;
    expect_same_model(folder + "/model.safetensors", std::string(run) + ".safetensors");
    std::size_t epoch = 0;
    std::istringstream lines(read(this->folder() / folder / "metrics.jsonl"));
    for (std::string line; std::getline(lines, line);)
      EXPECT_EQ(nlohmann::json::parse(line)["epoch"], ++epoch);
    EXPECT_EQ(epoch, resumed.json()["epochs"]);
  }
}

TEST_F(OldFiles, AnOldRunDoesNotGoOnWithOtherData) {
  std::string text = read(folder() / "old/dense.libsvm");
  text.replace(text.find(":0"), 2, ":1");
  write("old/dense.libsvm", text);
  const Result resumed =
      lambdaml({"resume", "old/cut/momentum", "--channel", channel(), "-q", "--json"});
  EXPECT_EQ(resumed.exit_code, 2) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("a run with other options or data"));
}

TEST_F(OldFiles, ASearchThatWasCutShortGoesOn) {
  const Result result = lambdaml({"tune", "--resume", "old/cut/search", "-q", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.json()["trials"].size(), 4U) << result.out;
  expect_same_model("old/cut/search/model.safetensors", "search.safetensors");
}

}  // namespace
}  // namespace lambdaml::e2e
