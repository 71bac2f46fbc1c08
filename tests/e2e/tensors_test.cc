// Sets of named tensors through the commands.
#include <filesystem>
#include <string>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

class Tensors : public CliTest {
 protected:
  /// A file of MNIST's kind, of bytes.
  static std::string idx_of(const std::vector<unsigned>& shape, const std::string& values) {
    std::string out{'\0', '\0', '\x08', static_cast<char>(shape.size())};
    for (const unsigned length : shape)
      for (const unsigned shift : {24U, 16U, 8U, 0U}) out += static_cast<char>(length >> shift);
    return out + values;
  }
  /// Forty images of 4 × 5 pixels, of two classes.
  void write_set() {
    std::string pixels;
    std::string labels;
    for (unsigned r = 0; r < 40; ++r) {
      pixels += std::string(20, static_cast<char>(r % 2 == 0 ? 10 + r : 200 + r));
      labels += static_cast<char>(r % 2);
    }
    fs::create_directory(folder() / "mnist");
    write("mnist/train-images-idx3-ubyte", idx_of({40, 4, 5}, pixels));
    write("mnist/train-labels-idx1-ubyte", idx_of({40}, labels));
  }
};

TEST_F(Tensors, AreShownAndCutToShards) {
  write_set();
  const Result whole = lambdaml({"data", "info", "mnist", "--json"});
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const nlohmann::json expected{{"name", "image"}, {"type", "uint8"}, {"shape", {1, 4, 5}},
                                {"min", 10.0},     {"mean", 124.5},   {"max", 239.0},
                                {"target", false}};
  EXPECT_EQ(whole.json()["rows"], 40);
  EXPECT_EQ(whole.json()["tensors"], nlohmann::json::array({expected}));
  EXPECT_EQ(whole.json()["labels"], (nlohmann::json{{"0", 20}, {"1", 20}}));
  const Result text = lambdaml({"data", "info", "mnist"});
  EXPECT_NE(text.out.find("image: uint8 [1, 4, 5], from 10 to 239, mean 124.5"), std::string::npos)
      << text.out;
  EXPECT_EQ(text.out.find("features"), std::string::npos) << text.out;

  const Result split = lambdaml({"data", "split", "mnist", "--workers", "3", "--to", "parts"});
  ASSERT_EQ(split.exit_code, 0) << split.err;
  EXPECT_NE(split.out.find("3 parts, 40 rows, image: uint8 [1, 4, 5]"), std::string::npos)
      << split.out;
  // A part holds bytes, not floats.
  EXPECT_LT(fs::file_size(folder() / "parts/0_3"), 14U * 20 + 14 * 4 + 1000);
  const Result parts = lambdaml({"data", "info", "parts", "--json"});
  ASSERT_EQ(parts.exit_code, 0) << parts.err;
  EXPECT_EQ(parts.json()["tensors"], whole.json()["tensors"]);
  EXPECT_EQ(parts.json()["labels"], whole.json()["labels"]);
  EXPECT_EQ(parts.json()["parts"], 3);
}

TEST_F(Tensors, AreRefusedByModelsOfFeatures) {
  write_set();
  for (const char* data : {"mnist", "mnist/train-images-idx3-ubyte"}) {
    const Result result = lambdaml({"train", "--data", data, "--workers", "1", "-q"});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(
        result.err.find("it has tensors (image: uint8 [1, 4, 5]), and lr learns from features"),
        std::string::npos)
        << result.err;
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  }
}

TEST_F(Tensors, BadFilesGetOneLine) {
  write_set();
  write("mnist/train-labels-idx1-ubyte", idx_of({39}, std::string(39, '\0')));
  write("short", idx_of({40, 4, 5}, std::string(799, '\0')));
  fs::create_directories(folder() / "pets/cat");
  write("pets/cat/1.jpg", "\xff\xd8\xff\xe0nothing");
  const std::pair<const char*, const char*> cases[] = {
      {"mnist", "it has 39 labels"}, {"short", "it was cut short"}, {"pets", "pets/cat/1.jpg"}};
  for (const auto& [data, must_say] : cases) {
    const Result result = lambdaml({"data", "info", data});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.err.find(must_say), std::string::npos) << result.err;
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.err;
  }
}

}  // namespace
}  // namespace lambdaml::e2e
