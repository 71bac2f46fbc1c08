#include "lambdaml/report/document.h"

#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/report/search_now.h"
#include "lambdaml/tune/records.h"
#include "lambdaml/tune/search.h"
#include "lambdaml/tune/segment.h"

namespace lambdaml::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using testing::HasSubstr;
using testing::Not;

class ReportFiles : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    write_file(folder_ / name, as_bytes(text));
  }
  ordered_json item() const {
    const std::vector<std::string> places{folder_.string()};
    return document_of(places, {})["items"][0];
  }

  const Scratch scratch_{"lambdaml-report-"};
  const fs::path folder_ = scratch_.path();
};

/// One whose jobs a tuner of another build has begun, in that place.
TEST(SearchNow, AFoldOfAModelThatThisBuildLacksAddsItsCostsAlone) {
  tune::Search search;
  tune::read_search_text(
      "data: x\nworkers: 1\nepochs: 9\ntune:\n  strategy: random\n  trials: 2\n  folds: 2\n  "
      "space:\n    lr: {uniform: [0.1, 1]}\n",
      "job.yaml", search);
  search.id = "20261129-101500-3f9c01d2a47b";
  const std::string uri = fmt::format("memory://search-now-{}", ::getpid());
  tune::Records records(uri);
  records.begin(search);
  records.save(0, {.trial = 0, .epochs = 9});
  const std::string job = "trials/" + search.id + "-0000000";
  records.store().save(job + "/job.json",
                       as_bytes(R"({"workers":1,"channel":"memory://x","begun_ms":1000000})"));
  records.store().save(
      job + "/summary.json",
      as_bytes(R"({"model":"of another build","epochs":9,"cost_usd":0.25,"wall_s":4})"));
  const ordered_json now = search_now(uri);
  EXPECT_EQ(now["search_cost_usd"], 0.25);
  EXPECT_EQ(now["trials"][0]["wall_s"], 4);
}

std::string notes_of(const ordered_json& item) { return item["notes"].dump(); }

TEST_F(ReportFiles, OfARunThatIsHalfWrittenSayWhatIsMissing) {
  write("metrics.jsonl", "{\"epoch\":1,\"train_loss\":0.5,\"compute_s\":1,\"comm_s\":1}\n{\"epo");
  const ordered_json run = item();
  EXPECT_EQ(run["curves"]["epoch"].size(), 1U);
  EXPECT_THAT(notes_of(run), HasSubstr("no job.yaml"));
  EXPECT_THAT(notes_of(run), HasSubstr("damaged"));
  EXPECT_EQ(run["state"], "unknown");
}

TEST_F(ReportFiles, OfADamagedRunShowTheRest) {
  write("summary.json", "{\"job_id\":");
  write("job.yaml", "epochs: [");
  write("workers.jsonl", "{\n");
  write("model.safetensors", "nonsense");
  const ordered_json run = item();
  for (const char* name : {"summary.json", "options", "workers.jsonl", "model"})
    EXPECT_THAT(notes_of(run), HasSubstr(name));
}

TEST_F(ReportFiles, OfADoneRunSayWhatIsDamagedAndNothingElse) {
  write("job.yaml", "epochs: 3\n");
  write("summary.json", R"({"job_id":"x","cost":{}})");
  write("run.json", "{\"job_id\"");
  write("metrics.jsonl", "{\n");
  write("workers.jsonl", "{\nnonsense\n");
  const std::string notes = notes_of(item());
  EXPECT_THAT(notes, HasSubstr("run.json is damaged"));
  EXPECT_THAT(notes, HasSubstr("A line of metrics.jsonl is damaged"));
  EXPECT_THAT(notes, HasSubstr("2 lines of workers.jsonl are damaged"));
  EXPECT_THAT(notes, Not(HasSubstr("has no workers.jsonl")));
}

TEST_F(ReportFiles, OfADoneRunSayWhichFilesAreMissing) {
  const std::string id = "20261129-101500-3f9c01d2a47b";
  write("run.json", R"({"job_id":")" + id + "\"}");
  write("job.yaml", "data: x\nepochs: 3\n");
  write("checkpoint/" + id + "/job.json", R"({"workers":1})");
  write("checkpoint/" + id + "/summary.json", R"({"job_id":"x","cost":{}})");
  write("workers.jsonl", "");
  const ordered_json run = item();
  EXPECT_EQ(run["state"], "done");
  for (const char* name : {"summary.json", "metrics.jsonl", "model.safetensors"})
    EXPECT_THAT(notes_of(run), HasSubstr(std::string(name) + " is missing"));

  write("summary.json", R"({"job_id":"x","cost":{}})");
  write("metrics.jsonl", "{\"epoch\":1,\"train_loss\":0.5}\n");
  write("model.safetensors", "nonsense");
  EXPECT_THAT(notes_of(item()), Not(HasSubstr("missing")));
}

TEST_F(ReportFiles, OfAnInterruptedRunSayHowToContinue) {
  const std::string id = "20261129-101500-3f9c01d2a47b";
  write("run.json", R"({"job_id":")" + id + "\"}");
  write("job.yaml", "data: x\nepochs: 3\n");
  write("metrics.jsonl", "{\"epoch\":1,\"train_loss\":0.5}\n");
  write("checkpoint/" + id + "/job.json",
        R"({"workers":1,"channel":"file://)" + (folder_ / "channel").string() + "\"}");
  const ordered_json run = item();
  EXPECT_EQ(run["state"], "interrupted");
  EXPECT_THAT(notes_of(run), HasSubstr("the command that started it has ended; continue with"));
}

TEST_F(ReportFiles, ShowNoSecrets) {
  write("job.yaml", "channel: redis://user:hunter2@host:6379\nepochs: 3\n");
  write("summary.json", "{\"channel\":\"redis://user:hunter2@host:6379\",\"cost\":{}}");
  EXPECT_THAT(item().dump(), Not(HasSubstr("hunter2")));
}

TEST_F(ReportFiles, OfNothingAreAnError) {
  try {
    item();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_found);
  }
}

TEST_F(ReportFiles, CommandsRepeatTheOptionsThatWereChanged) {
  write("job.yaml", "data: my data.csv\nepochs: 3\nkeep: true\noptim: grad_avg\n");
  const auto command = item()["repeat"].get<std::string>();
  EXPECT_THAT(command, HasSubstr("--data 'my data.csv'"));
  EXPECT_THAT(command, HasSubstr("--epochs 3"));
  EXPECT_THAT(command, HasSubstr("--keep"));
}

TEST_F(ReportFiles, CommandsNameWhatANewJobWouldChooseOtherwise) {
  // These are the declared defaults; a new job would scale the columns, and find a learning rate.
  write("job.yaml", "data: x\nmodel: lr\noptim: grad_avg\nlr: 0.1\nscale: none\n");
  const auto command = item()["repeat"].get<std::string>();
  EXPECT_THAT(command, HasSubstr("--optim grad_avg"));
  EXPECT_THAT(command, HasSubstr("--lr 0.1"));
  EXPECT_THAT(command, HasSubstr("--scale none"));
  EXPECT_THAT(command, Not(HasSubstr("--epochs")));

  // L-BFGS chooses a loss for svm alone, and refuses the declared default.
  write("job.yaml", "data: x\nmodel: lr\noptim: lbfgs\nepochs: 200\n");
  EXPECT_THAT(item()["repeat"].get<std::string>(), Not(HasSubstr("--loss")));
}

}  // namespace
}  // namespace lambdaml::report
