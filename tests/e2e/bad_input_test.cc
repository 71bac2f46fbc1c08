// Each kind of bad input: one line that names the place, the documented exit code, nothing left.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <unistd.h>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

struct BadCase {
  std::string name;
  std::string data;                    ///< content of the data file; "-" for none
  std::vector<std::string> arguments;  ///< after `train --data bad.libsvm`
  std::vector<std::string> must_say;
  int exit_code = 2;
};

void PrintTo(const BadCase& c, std::ostream* out) { *out << c.name; }

const char* const kGood = "1 1:1 2:2\n0 1:2\n1 2:1\n0 1:3 2:1\n1 1:1\n0 2:2\n1 1:5\n0 1:1 2:9\n";

const char* const kWide = "1 1:1\n0 1500000:1\n1 2:1\n0 3:1\n";

/// Each with a label of its own.
std::string numbered_rows(int n) {
  std::string out;
  for (int i = 1; i <= n; ++i) out += fmt::format("{} 1:{}\n", 3 * i, i);
  return out;
}

/// What is refused takes no memory of the size of what it asks for: that may be more than there is.
constexpr std::uint64_t kMostBytes = 300U << 20U;

class BadInput : public CliTest, public testing::WithParamInterface<BadCase> {};

TEST_P(BadInput, GetsOneLineAndLeavesNothing) {
  const BadCase& c = GetParam();
  if (c.data != "-") write("bad.libsvm", c.data);
  std::vector<std::string> arguments{"train", "--data", "bad.libsvm", "--workers", "2", "-q"};
  arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
  const Result result = lambdaml(arguments);
  EXPECT_EQ(result.exit_code, c.exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_TRUE(result.err.starts_with("lambdaml: ")) << result.err;
  for (const std::string& text : c.must_say)
    EXPECT_NE(result.err.find(text), std::string::npos)
        << "'" << text << "' is not in: " << result.err;
  EXPECT_FALSE(fs::exists(folder() / "runs"));
  EXPECT_FALSE(fs::exists(folder() / "out"));
  EXPECT_LT(result.most_bytes, kMostBytes);
}

INSTANTIATE_TEST_SUITE_P(
    , BadInput,
    testing::Values(
        BadCase{"missing_file", "-", {}, {"bad.libsvm"}},
        BadCase{"empty_file", "", {}, {"bad.libsvm"}},
        BadCase{"only_comments", "# nothing\n\n", {}, {"bad.libsvm"}},
        BadCase{"index_zero", "1 1:1\n0 0:1\n", {"--index-base", "1"}, {"bad.libsvm:2", "0"}},
        BadCase{"index_negative", "1 1:1\n0 -3:1\n", {}, {"bad.libsvm:2"}},
        BadCase{"index_out_of_order", "1 2:1 1:1\n", {}, {"bad.libsvm:1"}},
        BadCase{"index_repeated", "1 1:1 1:1\n", {}, {"bad.libsvm:1"}},
        BadCase{"index_too_large", "1 1:1\n\n0 2147483649:1\n", {}, {"bad.libsvm:3"}},
        BadCase{"value_nan", "1 1:nan\n", {}, {"bad.libsvm:1"}},
        BadCase{"value_inf", "1 1:1\n1 1:inf\n", {}, {"bad.libsvm:2"}},
        BadCase{"value_overflow", "1 1:1e999\n", {}, {"bad.libsvm:1"}},
        BadCase{"label_no_number", "spam 1:1\n", {}, {"bad.libsvm:1"}},
        BadCase{"label_no_integer", "0.5 1:1\n1 1:2\n", {}, {"bad.libsvm"}},
        BadCase{"garbage",
                std::string("\x7f"
                            "ELF\x01\x02\0\0\0",
                            9),
                {},
                {"bad.libsvm"}},
        BadCase{"truncated_gzip",
                std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b", 11),
                {},
                {"bad.libsvm"}},
        BadCase{
            "numbers_to_predict", numbered_rows(60), {}, {"60 different labels", "--model linear"}},
        BadCase{"one_class",
                "1 1:1\n1 1:2\n1 1:3\n",
                {},
                {"bad.libsvm", "every label is 1", "other classes"}},
        BadCase{"merging_takes_more_than_the_memory",
                "1 1:1\n0 60000000:1\n1 2:1\n0 3:1\n",
                {"--memory-mb", "128"},
                {"merging", "--memory-mb"}},
        BadCase{"the_optimizer_takes_more_than_the_memory",
                "1 1:1\n0 60000000:1\n1 2:1\n0 3:1\n",
                {"--workers", "1", "--memory-mb", "8000"},
                {"the vectors of lbfgs", "--lbfgs-memory", "--optim", "--memory-mb"}},
        BadCase{"doubles_take_more_than_the_memory",
                kWide,
                {"--lbfgs-precision", "float64", "--memory-mb", "200"},
                {"lr needs about ", "merging (36.0 MB)", "--lbfgs-memory"}},
        BadCase{"admm_takes_more_than_the_memory",
                "1 1:1\n0 60000000:1\n1 2:1\n0 3:1\n",
                {"--optim", "admm", "--workers", "1", "--memory-mb", "8000"},
                {"the vectors of admm", "--admm-memory", "--memory-mb"}},
        BadCase{"clusters_take_more_than_the_memory",
                "1 1:1\n0 60000000:1\n1 2:1\n0 3:1\n",
                {"--model", "kmeans", "--clusters", "2", "--workers", "1", "--memory-mb", "2000"},
                {"the vectors of em", "--memory-mb"}},
        BadCase{"option_of_another_pattern",
                kGood,
                {"--staleness", "2"},
                {"staleness", "add --sync-mode async"}},
        BadCase{"option_of_another_model",
                kGood,
                {"--clusters", "5"},
                {"clusters", "add --model kmeans"}},
        BadCase{"option_of_another_optimizer", kGood, {"--rho", "2"}, {"rho", "add --optim admm"}},
        BadCase{"fewer_rows_than_workers",
                "1 1:1\n0 1:2\n",
                {"--workers", "3"},
                {"2 rows", "3 workers"}},
        BadCase{
            "more_clusters_than_rows", kGood, {"--model", "kmeans", "--clusters", "9"}, {"9", "8"}},
        BadCase{"unknown_option", kGood, {"--modle", "lr"}, {"--modle", "'--model'"}},
        BadCase{"unknown_value", kGood, {"--model", "svn"}, {"'svn'", "'svm'"}},
        BadCase{"unknown_pattern", kGood, {"--sync-mode", "reduce_scater"}, {"'reduce_scatter'"}},
        BadCase{"unknown_channel", kGood, {"--channel", "fille"}, {"fille", "'file'"}},
        BadCase{"unknown_scheme", kGood, {"--channel", "fil://x"}, {"fil", "'file'"}},
        BadCase{"slip_in_channel", kGood, {"--channel", "s3:bkt/p"}, {"s3://bkt/p", "./s3:bkt"}},
        BadCase{"slip_in_output", kGood, {"--output", "s3:/bkt/run"}, {"s3://bkt/run"}},
        BadCase{"slip_in_checkpoint", kGood, {"--checkpoint", "s3//bkt/c"}, {"s3://bkt/c"}},
        BadCase{"no_scheme", kGood, {"--channel", "localhost:6379"}, {"redis://localhost:6379"}},
        BadCase{"scheme_of_tls", kGood, {"--channel", "pss://h"}, {"ps://HOST?tls=1"}},
        BadCase{"scheme_with_an_s", kGood, {"--channel", "s3s://b"}, {"did you mean 's3'"}},
        BadCase{"pattern_of_others", kGood, {"--sync-mode", "sync"}, {"did you mean 'reduce'?"}},
        BadCase{"optimizer_as_optim", kGood, {"--optim", "adam"}, {"'--optimizer adam'"}},
        BadCase{"model_of_others", kGood, {"--model", "logistic_regression"}, {"'lr'?"}},
        BadCase{"option_of_others", kGood, {"--max-epochs", "2"}, {"did you mean '--epochs'?"}},
        BadCase{
            "solver", kGood, {"--solver", "adam"}, {"did you mean '--optim' or '--optimizer'?"}},
        BadCase{"empty_value", kGood, {"--until="}, {"--until: its value is missing"}},
        BadCase{"no_workers", kGood, {"--workers", "0"}, {"--workers", "at least 1"}},
        BadCase{"negative_rate", kGood, {"--lr", "-1"}, {"--lr", "above 0"}},
        BadCase{"rate_not_finite", kGood, {"--lr", "nan"}, {"--lr"}},
        BadCase{"wrong_optimizer",
                kGood,
                {"--model", "kmeans", "--clusters", "2", "--optim", "admm"},
                {"admm"}},
        BadCase{"loss_with_corners_for_lbfgs",
                kGood,
                {"--model", "svm", "--loss", "hinge", "--optim", "lbfgs"},
                {"loss hinge", "lbfgs", "squared_hinge", "--optim grad_avg"}},
        BadCase{"wrong_optimizer_for_lr", kGood, {"--optim", "em"}, {"em"}},
        BadCase{"bad_until", kGood, {"--until", "valid_los<=1"}, {"'valid_loss'"}},
        BadCase{"bad_set", kGood, {"--set", "workers"}, {"NAME=VALUE"}},
        BadCase{"unknown_set", kGood, {"--set", "worker=3"}, {"'workers'"}},
        BadCase{"missing_test_data", kGood, {"--test-data", "no.libsvm"}, {"no.libsvm"}},
        BadCase{"missing_job_file", kGood, {"job.yaml"}, {"job.yaml"}}),
    [](const auto& info) { return info.param.name; });

class BadFiles : public CliTest {};

TEST_F(BadFiles, AnOutputFolderThatExistsIsNotTouched) {
  write("good.libsvm", kGood);
  fs::create_directory(folder() / "out");
  write("out/mine", "keep");
  const Result result =
      lambdaml({"train", "--data", "good.libsvm", "--workers", "2", "--output", "out"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("out: it exists"), std::string::npos) << result.err;
  EXPECT_EQ(read(folder() / "out" / "mine"), "keep");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder() / "out"), fs::directory_iterator()), 1);
}

TEST_F(BadFiles, WideRowsThatTheMemoryCanHoldAreNotRefused) {
  write("wide.libsvm", kWide);
  for (const auto& [precision, memory] : {std::pair("float32", "512"), {"float64", "1024"}}) {
    const Result result =
        lambdaml({"train", "--data", "wide.libsvm", "--workers", "2", "--epochs", "1",
                  "--lbfgs-precision", precision, "--memory-mb", memory, "--output", precision});
    EXPECT_EQ(result.exit_code, 0) << precision << ": " << result.err;
    EXPECT_TRUE(fs::exists(folder() / precision / "model.safetensors"));
  }
}

TEST_F(BadFiles, AJobFilesErrorsNameTheLine) {
  write("good.libsvm", kGood);
  const auto error_of = [&](const std::string& text) {
    write("job.yaml", text);
    const Result result = lambdaml({"train", "job.yaml", "-q"});
    EXPECT_EQ(result.exit_code, 2) << text;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    return result.err;
  };
  EXPECT_NE(error_of("data: good.libsvm\nworker: 2\n")
                .find("job.yaml:2: unknown option 'worker', did you mean 'workers'"),
            std::string::npos);
  EXPECT_NE(error_of("data: good.libsvm\nlr: fast\n").find("job.yaml:2: lr wants a number"),
            std::string::npos);
  EXPECT_NE(error_of("- a\n- b\n").find("job.yaml"), std::string::npos);
  EXPECT_NE(error_of("data: [unclosed\n").find("job.yaml"), std::string::npos);
  EXPECT_NE(error_of("data: good.libsvm\nlr: [1, 2]\n").find("job.yaml:2"), std::string::npos);
  // Also by another name.
  EXPECT_NE(error_of("data: good.libsvm\nepochs: 2\nn_epochs: 3\n")
                .find("job.yaml:3: epochs occurs twice"),
            std::string::npos);
  EXPECT_NE(error_of("data: good.libsvm\n---\nlr: 1\n").find("one YAML document"),
            std::string::npos);
  // The parser takes these for documents without end (found by a fuzz target).
  EXPECT_NE(error_of(",").find("job.yaml:1"), std::string::npos);
  EXPECT_NE(error_of("lr: (\n\"a\",\n)\n").find("job.yaml"), std::string::npos);
}

TEST_F(BadFiles, AModelThatIsNoneIsRefused) {
  write("good.libsvm", kGood);
  const Result trained = lambdaml({"train", "--data", "good.libsvm", "--workers", "2", "-q",
                                   "--output", "run", "--epochs", "1"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const std::string model = read(folder() / "run" / "model.safetensors");
  const auto expect_refused = [&](const std::string& bytes, const std::string& says) {
    write("m.safetensors", bytes);
    const Result result =
        lambdaml({"predict", "--model", "m.safetensors", "--data", "good.libsvm"});
    EXPECT_EQ(result.exit_code, 2) << says;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_NE(result.err.find("m.safetensors"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(says), std::string::npos) << result.err;
  };
  expect_refused("", "");
  expect_refused("not a model at all, but long enough to have a length", "");
  expect_refused(model.substr(0, model.size() - 1), "");
  expect_refused(model.substr(0, 20), "");
  std::string nan = model;
  nan.replace(nan.size() - 4, 4, std::string("\0\0\xc0\x7f", 4));
  expect_refused(nan, "does not fit its checksum");
  std::string other = model;
  other.replace(other.find("lambdaml-model"), 14, "somebody-elses");
  expect_refused(other, "no model of this program");
  EXPECT_EQ(lambdaml({"predict", "--model", "none", "--data", "good.libsvm"}).exit_code, 2);
}

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

TEST_F(BadFiles, DeepTextsAreRefused) {
  write("good.libsvm", kGood);
  const auto expect_refused = [&](const std::vector<std::string>& arguments,
                                  const std::string& says) {
    const Result result = lambdaml(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err.substr(0, 200);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    EXPECT_NE(result.err.find(says), std::string::npos) << result.err.substr(0, 200);
    EXPECT_LT(result.err.size(), 500U);
  };
  // A model whose metadata are text that nests 142,000 deep.
  ASSERT_EQ(lambdaml({"train", "--data", "good.libsvm", "-q", "--output", "run"}).exit_code, 0);
  const std::string model = read(folder() / "run" / "model.safetensors");
  const auto length = static_cast<std::size_t>(static_cast<unsigned char>(model[0]) |
                                               static_cast<unsigned char>(model[1]) << 8);
  for (const char* field : {"options", "labels"}) {
    nlohmann::json header = nlohmann::json::parse(model.substr(8, length));
    header["__metadata__"][field] = nested(142'000);
    std::string text = header.dump();
    text.append(64 - (text.size() + 8) % 64, ' ');
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes += static_cast<char>(text.size() >> (8 * i));
    write("deep.safetensors", bytes + text + model.substr(8 + length));
    expect_refused({"predict", "--model", "deep.safetensors", "--data", "good.libsvm"},
                   "deep.safetensors");
  }
  // Data that a manifest describes.
  fs::create_directory(folder() / "set");
  write("set/manifest.json", nested(142'000));
  expect_refused({"train", "--data", "set", "-q"}, "manifest.json");
  write("set/manifest.json", "{\"version\":" + nested(142'000) + "}");
  expect_refused({"data", "info", "set"}, "manifest.json");
  // Records of a job, and an event.
  write("run/run.json", nested(142'000));
  expect_refused({"status", "run"}, "run");
  write("job.yaml", nested(142'000));
  expect_refused({"train", "job.yaml", "-q"}, "job.yaml:1");
  expect_refused({"tune", "job.yaml", "-q"}, "job.yaml:1");
}

TEST_F(BadFiles, AFullDiskEndsTheJobWithOne) {
  const fs::path small = folder() / "small";
  fs::create_directory(small);
  const std::string mount = "mount -t tmpfs -o size=64k tmpfs " + small.string() + " 2>/dev/null";
  REQUIRE_OR_SKIP(std::system(mount.c_str()) == 0, "mounting a small file system needs root");
  const Result data = lambdaml({"data", "synth", "higgs", "--rows", "2000", "-o", "h.libsvm"});
  const Result result = lambdaml({"train", "--data", "h.libsvm", "--workers", "2", "-q",
                                  "--channel", "file://" + (small / "channel").string()});
  const bool clean = !fs::exists(small / "channel") || fs::is_empty(small / "channel");
  std::system(("umount " + small.string()).c_str());
  ASSERT_EQ(data.exit_code, 0);
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_NE(result.err.find("No space left"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("--channel"), std::string::npos) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_TRUE(clean);
}

TEST_F(BadFiles, ValuesThatOverflowEndNothingInSilence) {
  std::string small, large;
  for (int i = 0; i < 100; ++i) small += i % 2 == 0 ? "1 1:1 2:0.5\n" : "0 1:-1 2:-0.5\n";
  for (int i = 0; i < 50; ++i) large += i % 2 == 0 ? "1 1:3e38 2:-3e38\n" : "0 1:3e38 2:3e38\n";
  write("small.libsvm", small);
  write("large.libsvm", large);
  const Result trained =
      lambdaml({"train", "--data", "small.libsvm", "--test-data", "large.libsvm", "--workers", "1",
                "--epochs", "50", "--lr", "5", "--output", "run", "-q", "--json"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_TRUE(trained.json()["test_loss"].is_null() || trained.json()["test_loss"] > 1e30)
      << trained.out;
  const Result predicted = lambdaml({"predict", "--model", "run/model.safetensors", "--data",
                                     "large.libsvm", "--json", "--out", "labels"});
  EXPECT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_EQ(predicted.json()["rows"], 50);
}

TEST_F(BadFiles, ACheckpointOrAPackageThatCannotBeLeavesNothing) {
  write("good.libsvm", kGood);
  for (const std::string place : {"bogus://x", "redis://127.0.0.1:1", "ps://127.0.0.1:1"}) {
    const Result result = lambdaml({"train", "--data", "good.libsvm", "--workers", "2",
                                    "--checkpoint", place, "--output", "run", "-q"});
    EXPECT_NE(result.exit_code, 0);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.err.find("resume"), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists(folder() / "run")) << place;
  }
  for (const std::string output : {".", "nowhere/x.zip", "/dev/null"}) {
    const Result result = lambdaml({"package", "-o", output, "-q"});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(BadFiles, NoMessageShowsAPassword) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"resume", "redis://u:hunter2@127.0.0.1:1/0/job"},
           {"train", "redis://u:hunter2@127.0.0.1:1/0/job.yaml"},
           {"tune", "redis://u:hunter2@127.0.0.1:1/0/job.yaml"},
           {"storage", "ls", "redis://u:hun/hunter2@127.0.0.1:1"},
           {"data", "info", "redis://u:hunter2?x@127.0.0.1:1"},
           {"invoke", "f", "--payload", "{\"channel\": \"redis://u:hunter2@h\",}"}}) {
    const Result result = lambdaml(arguments);
    EXPECT_NE(result.exit_code, 0);
    EXPECT_EQ(result.err.find("hunter2"), std::string::npos) << result.err;
  }
}

TEST_F(BadFiles, TestRowsWithLabelsThatNoModelMetAreRefused) {
  write("train.libsvm", "0 1:1\n1 1:2\n0 1:3\n1 1:4\n");
  write("test.libsvm", "-1 1:1\n1 1:2\n");
  const Result result = lambdaml({"train", "--data", "train.libsvm", "--test-data", "test.libsvm",
                                  "--workers", "1", "--output", "out", "-q"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("test.libsvm: it has the label -1, the training data have only 0, 1"),
            std::string::npos)
      << result.err;
  EXPECT_FALSE(fs::exists(folder() / "out"));
}

TEST_F(BadFiles, ATestSetWithMoreFeaturesIsTold) {
  write("train.libsvm", "1 1:1\n0 1:2\n1 1:3\n0 1:1\n");
  write("test.libsvm", "1 1:1 7:1\n0 1:2\n");
  const std::string words = "test.libsvm: it has 7 features; those beyond the ";
  const Result trained = lambdaml({"train", "--data", "train.libsvm", "--test-data", "test.libsvm",
                                   "--workers", "1", "--epochs", "1", "--output", "run", "-q"});
  EXPECT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_NE(trained.err.find(words), std::string::npos) << trained.err;
  const Result predicted = lambdaml(
      {"predict", "--model", "run/model.safetensors", "--data", "test.libsvm", "--out", "labels"});
  EXPECT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_NE(predicted.err.find(words), std::string::npos) << predicted.err;
}

TEST_F(BadFiles, ACheckpointThatEndsWithTheProcessIsRefused) {
  // An interrupted job of 400 epochs was lost with it.
  write("data.libsvm", "0 1:1\n1 1:2\n0 1:3\n1 1:4\n");
  const Result result = lambdaml(
      {"train", "--data", "data.libsvm", "--checkpoint", "memory://x", "--output", "out", "-q"});
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_NE(result.err.find("checkpoint memory://x: it ends with the process"), std::string::npos)
      << result.err;
  EXPECT_FALSE(fs::exists(folder() / "out"));
}

TEST_F(BadFiles, ATableOfPricesIsReadBeforeTheJobBegins) {
  write("data.libsvm", "0 1:1\n1 1:2\n0 1:3\n1 1:4\n");
  for (const std::string& table :
       {std::string("nowhere"), write("prices", "no: table\n").string()}) {
    const Result result = lambdaml({"train", "--data", "data.libsvm", "--output", "out", "-q"},
                                   {"LAMBDAML_PRICES=" + table});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find(table), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists(folder() / "out"));
  }
}

TEST_F(BadFiles, APreparedSetIsReadInTheFormatThatIsAskedFor) {
  write("data.libsvm", "0 1:1\n1 1:2\n0 1:3\n1 1:4\n");
  ASSERT_EQ(lambdaml({"data", "split", "data.libsvm", "--workers", "2", "--to", "set"}).exit_code,
            0);
  const auto train = [&](const std::string& format, const std::string& output) {
    return lambdaml(
        {"train", "--data", "set", "--format", format, "--workers", "2", "--output", output, "-q"});
  };
  EXPECT_EQ(train("shard", "out").exit_code, 0);
  const Result refused = train("sparse_libsvm", "refused");
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_NE(refused.err.find("its parts are of the format shard, not sparse_libsvm"),
            std::string::npos)
      << refused.err;
  EXPECT_FALSE(fs::exists(folder() / "refused"));
}

TEST_F(BadFiles, DevicesAreNoData) {
  const Result result = lambdaml({"data", "info", "/dev/zero"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("a device"), std::string::npos) << result.err;
}

TEST_F(BadFiles, UsageErrorsAreTwo) {
  const Result early = lambdaml({"--workers", "2", "train", "--data", "d.libsvm"});
  EXPECT_EQ(early.exit_code, 2);
  EXPECT_NE(early.err.find("'--workers' before the command: write it after 'lambdaml train'"),
            std::string::npos)
      << early.err;
  EXPECT_EQ(lambdaml({}).exit_code, 2);
  EXPECT_EQ(lambdaml({"trian"}).exit_code, 2);
  EXPECT_NE(lambdaml({"trian"}).err.find("'train'"), std::string::npos);
  EXPECT_EQ(lambdaml({"train"}).exit_code, 2);
  EXPECT_EQ(lambdaml({"resume", "nowhere"}).exit_code, 2);
  EXPECT_EQ(lambdaml({"data", "info", "nowhere"}).exit_code, 2);
  EXPECT_EQ(lambdaml({"data", "synth", "hixgs", "--rows", "10", "-o", "x"}).exit_code, 2);
  EXPECT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "0", "-o", "x"}).exit_code, 2);
  EXPECT_FALSE(fs::exists(folder() / "x"));
  EXPECT_EQ(lambdaml({"storage", "get", "file://" + folder().string(), "../etc/passwd"}).exit_code,
            2);
  EXPECT_EQ(lambdaml({"bench", "comm", "--sync-mode", "none"}).exit_code, 2);
  write("job.yaml", "data: x\n");
  for (const auto& [arguments, said] :
       {std::pair(std::vector<std::string>{"train", "--shuffle", "False"},
                  "'False' is no job file: a value of --shuffle follows after =, as in "
                  "--shuffle=False\n"),
        std::pair(std::vector<std::string>{"tune", "job.yaml", "--shuffle", "no"},
                  "'no' is one argument too many; the value of an option that is on or off follows "
                  "after =")}) {
    const Result flag = lambdaml(arguments);
    EXPECT_EQ(flag.exit_code, 2);
    EXPECT_NE(flag.err.find(said), std::string::npos) << flag.err;
  }
  EXPECT_EQ(lambdaml({"train", "job.yaml", "--shuffle=False", "--data", "nowhere"}).exit_code, 2);
  EXPECT_EQ(lambdaml({"--help"}).exit_code, 0);
  EXPECT_EQ(lambdaml({"train", "--help"}).exit_code, 0);
}

}  // namespace
}  // namespace lambdaml::e2e
