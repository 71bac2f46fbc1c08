// The deep job files of examples/ over their own services: what meets there, in chunks where values
// are limited, gives the model that meeting in files gives.
#include <filesystem>

#include <gmock/gmock.h>

#include "deep/deep.h"
#include "integration/servers.h"
#include "lambdaml/base/files.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

fs::path examples() { return fs::path(LAMBDAML_SOURCE_DIR) / "examples"; }

struct Case {
  std::string example, scheme;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.example << " over " << one.scheme; }

/// ElastiCache is Memcached or Redis: what an example does over one it does over the other.
std::vector<Case> deep_examples() {
  std::vector<Case> cases;
  for (const auto& entry : fs::directory_iterator(examples())) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string text(read_file(entry.path())->text());
    if (text.find("\nmodel: mobilenet") == std::string::npos &&
        text.find("\nmodel: resnet") == std::string::npos)
      continue;
    const std::size_t begin = text.find("\nchannel: ") + 10;
    const std::string scheme = text.substr(begin, text.find("://", begin) - begin);
    cases.push_back({entry.path().stem().string(), scheme});
    if (scheme == "memcached") cases.push_back({entry.path().stem().string(), "redis"});
  }
  return cases;
}

class DeepExamples : public Deep, public testing::WithParamInterface<Case> {};

INSTANTIATE_TEST_SUITE_P(, DeepExamples, testing::ValuesIn(deep_examples()), [](const auto& info) {
  return info.param.example + "_over_" + info.param.scheme;
});

TEST_P(DeepExamples, GiveOverTheirServiceTheModelThatFilesGive) {
  const std::string path = (examples() / (GetParam().example + ".yaml")).string();
  const std::string& scheme = GetParam().scheme;
  REQUIRE_SERVER(scheme);
  REQUIRE_SERVER("s3");
  synth("48", "images.bin");
  const std::string own = "/" + folder().filename().string();
  const std::string s3 = servers::get("s3").uri + own;
  const std::string channel = servers::get(scheme).uri + own + "/channel";
  const Result split =
      lambdaml({"data", "split", "images.bin", "--workers", "2", "--to", s3 + "/cifar10", "-q"});
  ASSERT_EQ(split.exit_code, 0) << split.err;
  const auto model = [&](const std::string& meet, const std::string& save,
                         const std::string& output) {
    const Result result = lambdaml({"train", path, "--json", "-q", "--data", s3 + "/cifar10",
                                    "--workers", "2", "--epochs", "1", "--batch-size", "12",
                                    "--channel", meet, "--checkpoint", save, "--output", output});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return model_of(output);
  };
  const std::string expected = model("file", "saved", "files");
  EXPECT_EQ(model(channel, s3 + "/checkpoints", "service"), expected);
  EXPECT_THAT(storage::open(channel)->list(""), testing::IsEmpty());
  EXPECT_EQ(lambdaml({"storage", "clear", s3}).exit_code, 0);
}

}  // namespace
}  // namespace lambdaml::e2e
