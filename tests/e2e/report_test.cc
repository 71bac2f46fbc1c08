// Reports of runs and searches, as their files and the page's structure show them; tests/browser
// opens them.
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

class Report : public CliTest {
 protected:
  std::string read(const std::string& name) const {
    std::ifstream file(folder() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// The document in a page.
  nlohmann::json document(const std::string& name) const {
    const std::string page = read(name);
    const std::string begin = "<script type=\"application/json\" id=\"document\">";
    const std::size_t at = page.find(begin) + begin.size();
    return nlohmann::json::parse(page.substr(at, page.find("</script>", at) - at));
  }
  /// The command that the report shows trains the same model again.
  void expect_repeated(const nlohmann::json& item, const std::string& run) const {
    std::istringstream command(item["repeat"].get<std::string>());
    std::vector<std::string> words{std::istream_iterator<std::string>(command), {}};
    words.erase(words.begin());
    words.insert(words.end(), {"-q", "--output", "again"});
    const Result again = lambdaml(words);
    ASSERT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(read("again/model.safetensors"), read(run + "/model.safetensors"));
  }
};

TEST_F(Report, OfTheHiggsJobShowsEveryWorkersRounds) {
  REQUIRE_REAL_DATA();
  const nlohmann::json summary = train(
      {"--data", real_data("higgs.train.libsvm"), "--test-data", real_data("higgs.test.libsvm"),
       "--optim", "grad_avg", "--lr", "0.1", "--epochs", "3", "--workers", "3", "--output", "run"});
  const Result result = lambdaml({"report", "run", "-o", "page.html", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.json()["bytes"], read("page.html").size());
  EXPECT_LT(read("page.html").size(), 1'000'000U);
  const nlohmann::json item = document("page.html")["items"][0];
  EXPECT_EQ(item["state"], "done");
  EXPECT_EQ(item["summary"], summary);
  EXPECT_EQ(item["notes"].size(), 0U) << item["notes"];
  EXPECT_EQ(item["curves"]["epoch"].size(), 3U);
  EXPECT_EQ(item["curves"]["usd"].size(), 3U);
  EXPECT_GT(item["curves"]["usd"].back().get<double>(), 0);
  EXPECT_LE(item["curves"]["usd"].back().get<double>(), 1.001 * summary["cost_usd"].get<double>());
  ASSERT_EQ(item["timeline"]["workers"].size(), 3U);
  for (const nlohmann::json& worker : item["timeline"]["workers"]) {
    std::uint64_t rounds = 0;
    for (const nlohmann::json& n : worker["rounds"]) rounds += n.get<std::uint64_t>();
    EXPECT_GE(rounds, summary["rounds"].get<std::uint64_t>());
  }
  std::uint64_t puts = 0;
  for (const nlohmann::json& use : item["usage"])
    puts += use["kinds"]["put"]["requests"].get<std::uint64_t>();
  EXPECT_EQ(puts, summary["requests"]["put"].get<std::uint64_t>());
  EXPECT_EQ(item["model"]["confusion"]["rows"], 500);
  EXPECT_EQ(item["model"]["coefficients"].size(), 28U);
  EXPECT_NEAR(item["model"]["roc"][0]["auc"], item["model"]["measures"]["auc"].get<double>(), 1e-6);

  // 0.1 is no learning rate that a new job would choose.
  expect_repeated(item, "run");
}

TEST_F(Report, HasACommandThatRepeatsARunWithDefaults) {
  REQUIRE_REAL_DATA();
  train({"--data", real_data("higgs.train.libsvm"), "--workers", "2", "--output", "run"});
  ASSERT_EQ(lambdaml({"report", "run", "-o", "page.html"}).exit_code, 0);
  expect_repeated(document("page.html")["items"][0], "run");
}

TEST_F(Report, OfSeveralRunsAndOfASearch) {
  REQUIRE_REAL_DATA();
  const std::string data = real_data("agaricus.train.libsvm");
  for (const char* name : {"one", "two"})
    train({"--data", data, "--workers", "2", "--output", name});
  std::ofstream(folder() / "search.yaml")
      << "data: " << data << "\nworkers: 2\nepochs: 2\noptim: grad_avg\n"
      << "tune: {strategy: grid, space: {lr: {choice: [0.1, 1]}}}\n";
  ASSERT_EQ(lambdaml({"tune", "search.yaml", "--output", "search"}).exit_code, 0);
  ASSERT_EQ(lambdaml({"report", "one", "two", "search", "-o", "page.html"}).exit_code, 0);
  const nlohmann::json items = document("page.html")["items"];
  ASSERT_EQ(items.size(), 3U);
  EXPECT_EQ(items[2]["kind"], "search");
  ASSERT_EQ(items[2]["trials"].size(), 2U);
  EXPECT_EQ(items[2]["trials"][0]["curves"]["epoch"].size(), 2U);
  EXPECT_EQ(items[2]["space"][0]["name"], "lr");
}

TEST_F(Report, OfRunsOfAnOldVersionIsWhole) {
  const std::string fixtures = LAMBDAML_SOURCE_DIR "/tests/fixtures/31dee6d/cut/";
  for (const char* name : {"svm", "admm", "momentum"}) {
    const Result result = lambdaml({"report", fixtures + name, "-o", "page.html"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_GE(document("page.html")["items"][0]["curves"]["epoch"].size(), 3U);
  }
  ASSERT_EQ(lambdaml({"report", fixtures + "search", "-o", "page.html"}).exit_code, 0);
  EXPECT_GE(document("page.html")["items"][0]["trials"].size(), 2U);
}

TEST_F(Report, RefusesWhatItCannotShow) {
  EXPECT_EQ(lambdaml({"report", "nothing"}).exit_code, 2);
  EXPECT_EQ(lambdaml({"report"}).exit_code, 2);
  EXPECT_EQ(lambdaml({"report", ".", "-o", "-", "--open"}).exit_code, 2);
  const std::string search = LAMBDAML_SOURCE_DIR "/tests/fixtures/31dee6d/cut/search";
  write("good.libsvm", "1 1:1\n0 1:2\n1 1:3\n0 1:1\n");
  write("bad.libsvm", "1 1:x\n");
  ASSERT_EQ(lambdaml({"train", "--data", "good.libsvm", "--workers", "1", "--epochs", "1",
                      "--output", "run", "-q"})
                .exit_code,
            0);
  for (const auto& [arguments, why] : std::vector<std::pair<std::vector<std::string>, const char*>>{
           {{"run", "--data", "none.libsvm"}, "none.libsvm"},
           {{"run", "--data", "bad.libsvm"}, "bad.libsvm"},
           {{search, "--trace", "t.json"}, "it is a search, and a trace is of one run"},
           {{"run", "-o", "-", "--trace", "-"}, "name the same place, standard output"},
           {{"run", "-o", "a.html", "--trace", "./a.html"}, "name the same place"},
           {{"run", "-o", "s3://bucket/"}, "as s3://bucket/NAME"}}) {
    std::vector<std::string> all{"report"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Result result = lambdaml(all);
    EXPECT_EQ(result.exit_code, 2) << why;
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
    EXPECT_THAT(result.err, testing::HasSubstr(why));
    EXPECT_EQ(result.out, "");
    EXPECT_FALSE(std::filesystem::exists(folder() / "report.html"));
    EXPECT_FALSE(std::filesystem::exists(folder() / "t.json"));
  }
}

}  // namespace
}  // namespace lambdaml::e2e
