#include "lambdaml/job/job.h"

#include <map>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/job/summary.h"
#include "lambdaml/job/worker_stats.h"
#include "lambdaml/model/reporting.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::job {
namespace {

TEST(Job, EveryOptionSurvivesYamlAndJson) {
  Options options = job_options();
  const Options declared = job_options();
  for (const Option& option : declared.declared()) {
    // Another value than the default, so that one that is not carried shows.
    if (std::holds_alternative<bool>(option.default_value))
      options.set(option.name, !std::get<bool>(option.default_value), "test");
    else if (const auto* whole = std::get_if<std::int64_t>(&option.default_value))
      options.set(option.name,
                  option.maximum == static_cast<double>(*whole) ? *whole - 1 : *whole + 1, "test");
    else if (std::holds_alternative<double>(option.default_value))
      options.set(option.name, 0.1234567890123, "test");
    else
      options.set(option.name,
                  option.choices.empty() ? std::string("a: \"b\"\n#") : option.choices.back(),
                  "test");
  }
  Options from_file = job_options();
  read_job_text(to_yaml(options), "yaml", from_file);
  Options from_event = job_options();
  from_json(to_json(options), "json", from_event);
  for (const Option& option : options.declared()) {
    EXPECT_EQ(from_file.value(option.name), options.value(option.name)) << option.name;
    EXPECT_EQ(from_event.value(option.name), options.value(option.name)) << option.name;
  }
}

TEST(Job, PathsOfAnyBytesSurviveYamlAndJson) {
  const std::map<std::string, std::string> given{{"data", "/data/caf\xe9 100%"},
                                                 {"output", "/runs/\xff?a"},
                                                 {"model", "torchscript:/models/\xff.pt"}};
  Options options = job_options();
  for (const auto& [name, value] : given) options.set(name, value, "test");
  Options from_file = job_options();
  read_job_text(to_yaml(options), "yaml", from_file);
  Options from_event = job_options();
  from_json(parse_json(json_text(to_json(options))), "json", from_event);
  for (const Options& read : {from_file, from_event}) {
    for (const char* name : {"data", "output"})
      EXPECT_EQ(path_of_file_uri(read.text(name)), given.at(name)) << read.text(name);
    const std::string model = read.text("model");
    ASSERT_TRUE(model.starts_with("torchscript:")) << model;
    EXPECT_EQ("torchscript:" + path_of_file_uri(model.substr(12)), given.at("model"));
  }
  // What is no path cannot be kept.
  options = job_options();
  options.set("data", std::string("/data"), "test");
  options.set("function", std::string("\xff"), "test");
  EXPECT_EQ(error_of([&] { resolve(options); }),
            "invalid_argument: function '\\xff': it is not UTF-8");
}

/// Calls check(owner, option) for each option that a plug-in declares.
template <class Check>
void for_each_option_of_plugins(const Check& check) {
  const auto of = [&](const auto& registry) {
    for (const auto& plugin : registry.entries())
      for (const Option& option : plugin.options) check(plugin.name, option);
  };
  of(data::registry());
  of(comm::registry());
  of(optim::registry());
  of(model::registry());
  of(faas::registry());
}

TEST(Job, AnOptionHasOneMeaningWhoeverDeclaresIt) {
  const Options all = job_options();
  const Options own(own_options());
  for_each_option_of_plugins([&](const std::string& owner, const Option& option) {
    EXPECT_EQ(own.find(option.name), nullptr) << owner << ": " << option.name << " is the job's";
    const Option* known = all.find(option.name);
    ASSERT_NE(known, nullptr) << owner << ": " << option.name;
    EXPECT_EQ(known->name, option.name) << owner << ": it is another name of an option";
    EXPECT_EQ(known->help, option.help) << owner << ": " << option.name;
    EXPECT_EQ(known->default_value, option.default_value) << owner << ": " << option.name;
    EXPECT_EQ(known->choices, option.choices) << owner << ": " << option.name;
    EXPECT_EQ(known->minimum, option.minimum) << owner << ": " << option.name;
    EXPECT_EQ(known->above, option.above) << owner << ": " << option.name;
    EXPECT_EQ(known->maximum, option.maximum) << owner << ": " << option.name;
    EXPECT_EQ(known->execution_only, option.execution_only) << owner << ": " << option.name;
  });
}

TEST(Job, UntilIsForAMetricThatTheModelReports) {
  const auto error = [](const std::string& model, const std::string& until) -> std::string {
    Options options = job_options();
    options.parse("data", "some/file", "test");
    options.parse("model", model, "test");
    options.parse("until", until, "test");
    try {
      resolve(options);
    } catch (const Error& refused) {
      EXPECT_EQ(refused.code(), Code::invalid_argument) << refused.what();
      return refused.what();
    }
    return "";
  };
  for (const model::Plugin& plugin : model::registry().entries()) {
    if (!plugin.file_option.empty()) continue;
    for (const model::ReportedMetric& reported : model::reported_metrics(plugin)) {
      const std::string refused = error(plugin.name, reported.name + "<=1");
      const bool will_be = reported.each_epoch && reported.rows != model::RowSet::test;
      EXPECT_EQ(refused.empty(), will_be) << plugin.name << ": " << refused;
    }
  }
  EXPECT_THAT(error("kmeans", "valid_loss<=1"),
              testing::HasSubstr("kmeans has the metric inertia"));
  EXPECT_THAT(error("lr", "inertia<=1"), testing::HasSubstr("lr has the metrics train_loss, "));
  EXPECT_THAT(error("lr", "test_loss<=1"), testing::HasSubstr("--test-data"));
}

TEST(Job, TheOriginalsPayloadKeysAreKnown) {
  Options options = job_options();
  read_job_text(
      "{n_workers: 3, n_epochs: 4, optim: admm, sync_mode: async, n_admm_epochs: 5, n_clusters: 6, "
      "dataset_type: sparse_libsvm, lambda: 0.5, rho: 2, valid_ratio: 0.2, model: sparse_lr}",
      "payload", options);
  EXPECT_EQ(options.integer("workers"), 3);
  EXPECT_EQ(options.integer("epochs"), 4);
  EXPECT_EQ(options.integer("admm_epochs"), 5);
  EXPECT_EQ(options.integer("clusters"), 6);
  EXPECT_EQ(options.text("format"), "sparse_libsvm");
  options.set("data", std::string("/d"), "test");
  resolve(options);
  EXPECT_EQ(options.text("model"), "lr");
}

TEST(Job, ResolvingChoosesWhatDependsOnOtherOptions) {
  Options options = job_options();
  EXPECT_THROW(resolve(options), Error) << "no data";
  options.set("data", std::string("some/file"), "test");
  options.set("model", std::string("sparse_kmeans"), "test");
  resolve(options);
  EXPECT_EQ(options.text("model"), "kmeans");
  EXPECT_EQ(options.text("optim"), "em");
  EXPECT_TRUE(options.text("data").starts_with("file:///")) << options.text("data");
  EXPECT_TRUE(options.text("channel").starts_with("file:///")) << options.text("channel");
  EXPECT_GE(options.integer("threads"), 1);
}

TEST(Job, ThreadsAreAShareOfTheProcessorsThatThereAre) {
  const auto threads = [](const std::string& platform, std::int64_t memory_mb, std::int64_t workers,
                          std::int64_t jobs) {
    Options options = job_options();
    options.set("platform", platform, "test");
    options.set("memory_mb", memory_mb, "test");
    options.set("workers", workers, "test");
    choose_threads(options, jobs);
    return threads_of_function(options);
  };
  const auto here = static_cast<std::int64_t>(processors());
  EXPECT_EQ(threads("local", 1769, 1, 1), here);
  EXPECT_EQ(threads("local", 10240, 1, here), 1);
  EXPECT_EQ(threads("local", 1769, 1000, 1), 1);
  // A function of AWS has a processor for each 1,769 MB, wherever its job is started.
  EXPECT_EQ(threads("aws", 512, 100, 1), 1);
  EXPECT_EQ(threads("aws", 1769, 1, 1), 1);
  EXPECT_EQ(threads("aws", 3538, 100, 3), 2);
  EXPECT_EQ(threads("aws", 10240, 100, 1), 5);
  // What the function was deployed with counts, not what the job's options say.
  ::setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "3538", 1);
  EXPECT_EQ(threads("aws", 1769, 100, 1), 2);
  ::unsetenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
}

TEST(Job, ABudgetCountsFunctionsServersAndRequestsOfRounds) {
  Options options = job_options();
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"workers", "50"}, {"channel", "s3://bucket/jobs"}, {"sync_mode", "reduce"}})
    options.parse(name, value, "test");
  const RunningCost functions = running_cost(options, 1769);
  RunningCost bill = running_bill(options, 1769, 3500);
  EXPECT_EQ(bill.per_start, functions.per_start);
  EXPECT_EQ(bill.per_second, functions.per_second);
  EXPECT_NEAR(bill.per_round, 50 * 5e-6 + 98 * 4e-7, 1e-9);
  EXPECT_EQ(bill.after(2, 3), bill.per_start + 2 * bill.per_second + 3 * bill.per_round);
  // 3,500 writes a second are 70 aggregators of 50 workers.
  options.parse("sync_mode", "reduce_scatter", "test");
  EXPECT_NEAR(running_bill(options, 1769, 3500).per_round, 2500 * 5e-6 + 4900 * 4e-7, 1e-9);
  options.parse("servers", "2*cache.t4g.small", "test");
  options.parse("channel", "memory://jobs", "test");
  bill = running_bill(options, 1769, 3500);
  EXPECT_NEAR(bill.per_second - functions.per_second, 2 * 0.032 / 3600, 1e-9);
  EXPECT_EQ(bill.per_round, 0);
}

TEST(Job, CostsWhatTheMemoryOfItsFunctionsDoes) {
  Options options = job_options();
  options.parse("workers", "1", "test");
  options.parse("channel", "memory://job-test", "test");
  data::Manifest data;
  data.part_rows = {10};
  std::string architecture;
  const auto stats_of = [&](double seconds, std::uint64_t memory_mb) {
    WorkerStats stats;
    stats.architecture = architecture;
    stats.run_s = seconds;
    stats.invocations = 1;
    stats.memory_mb = memory_mb;
    stats.usage["s3"].put = {.requests = 1000, .bytes = 0};
    return stats.to_json();
  };
  const auto cost = [&](std::uint64_t memory_mb, const std::vector<std::string>& preparing = {}) {
    nlohmann::json report = stats_of(100, memory_mb);
    for (const char* name : {"train", "valid", "test"}) report[name] = {0.5, 10, 5};
    report["rounds"] = report["epochs"] = 1;
    report["ended_by"] = "epochs";
    const std::vector<std::string> reports{report.dump()};
    const nlohmann::json summary = summary_of({.options = options,
                                               .job_id = "job",
                                               .data = data,
                                               .reports = reports,
                                               .preparing = preparing,
                                               .trigger_usage = {},
                                               .wall_s = 1,
                                               .model_path = {}});
    return summary["cost"];
  };
  const auto dollars = [&](std::uint64_t memory_mb) {
    return cost(memory_mb)["functions_usd"].get<double>();
  };
  const double request = cost::Prices::current().of_function("lambda", 0, 0, "");
  EXPECT_NEAR((dollars(3538) - request) / (dollars(1769) - request), 2, 1e-9);
  EXPECT_EQ(dollars(0), dollars(1769));  // unknown: the option, by default 1,769

  // Those of arm64 cost a fifth less; what has no row costs what others do.
  const double usual = dollars(1769);
  architecture = "arm64";
  EXPECT_NEAR((dollars(1769) - request) / (usual - request), 0.8, 1e-4);
  architecture = "other";
  EXPECT_EQ(dollars(1769), usual);
  architecture = "";

  // Functions that read the data for the job are paid for, too.
  const nlohmann::json alone = cost(1769);
  const nlohmann::json with_three =
      cost(1769, std::vector<std::string>(3, stats_of(100, 1769).dump()));
  for (const char* part : {"functions_usd", "requests_usd"})
    EXPECT_NEAR(with_three[part].get<double>() / alone[part].get<double>(), 4, 1e-9) << part;
}

TEST(Job, PatienceNeedsRowsToJudgeByAndWorkersThatWait) {
  const auto resolved = [](const std::map<std::string, std::string>& given) {
    Options options = job_options();
    options.parse("data", "some/file", "test");
    options.parse("test_data", "other/file", "test");
    for (const auto& [name, value] : given) options.parse(name, value, "test");
    resolve(options);
    return options;
  };
  EXPECT_EQ(resolved({}).text("optim"), "lbfgs");
  EXPECT_EQ(resolved({}).real("valid_ratio"), 0);
  EXPECT_EQ(resolved({{"patience", "3"}}).real("valid_ratio"), 0.1);
  EXPECT_EQ(resolved({{"patience", "3"}, {"valid_ratio", "0"}}).real("valid_ratio"), 0);
  EXPECT_EQ(error_of([&] {
              resolved({{"patience", "3"}, {"sync_mode", "async"}});
            }).substr(0, 45),
            "invalid_argument: patience needs workers that");
}

TEST(Job, AdmmRemembersEpochsWhereItSolvesByLbfgs) {
  const auto resolved = [](const std::map<std::string, std::string>& given) {
    Options options = job_options();
    options.parse("data", "some/file", "test");
    options.parse("optim", "admm", "test");
    for (const auto& [name, value] : given) options.parse(name, value, "test");
    resolve(options);
    return std::pair(options.integer("admm_memory"), to_text(options.value("rho")));
  };
  EXPECT_EQ(resolved({}), std::pair(std::int64_t{4}, std::string("auto")));
  EXPECT_EQ(resolved({{"admm_solver", "gradient"}}),
            std::pair(std::int64_t{0}, std::string("auto")));
  EXPECT_EQ(resolved({{"lr", "0.1"}}).first, 0);
  EXPECT_EQ(resolved({{"sync_mode", "async"}}).first, 0);
}

TEST(Job, BuiltInNetworksHaveDefaultsForAdam) {
  using Values = std::map<std::string, std::string>;
  const auto resolved = [](const Values& given, Defaults defaults = Defaults::choose) {
    Options options = job_options();
    options.parse("data", "some/file", "test");
    for (const auto& [name, value] : given) options.parse(name, value, "test");
    resolve(options, defaults);
    Values out;
    for (const char* name :
         {"lr", "lr_schedule", "warmup_epochs", "batch_size", "l2", "augment_by"})
      out[name] = to_text(options.value(name));
    return out;
  };
  const Values usual = resolved({{"model", "mobilenet"}});
  EXPECT_EQ(usual.at("lr"), "auto");
  EXPECT_EQ(usual.at("lr_schedule"), "constant");
  const Values of_adamw{
      {"lr", "0.004"}, {"lr_schedule", "cosine"}, {"warmup_epochs", "0.25"}, {"batch_size", "16"},
      {"l2", "0.05"},  {"augment_by", "light"}};
  Values of_adam = of_adamw;
  of_adam["l2"] = "0";
  for (const char* model : {"mobilenet", "resnet18", "resnet50"})
    for (const char* optim : {"grad_avg", "model_avg"}) {
      const auto of = [&](const std::string& optimizer) {
        return resolved({{"model", model}, {"optimizer", optimizer}, {"optim", optim}});
      };
      EXPECT_EQ(of("adamw"), of_adamw);
      EXPECT_EQ(of("adam"), of_adam);
      EXPECT_EQ(of("lars"), usual);
    }
  for (const char* model : {"lr", "torchscript:net.pt"})
    EXPECT_EQ(resolved({{"model", model}, {"optimizer", "adamw"}}), usual) << model;

  // What is given stays, and the parts of a schedule are not mixed.
  const auto with = [&](const std::string& name, const std::string& value) {
    return resolved({{"model", "mobilenet"}, {"optimizer", "adamw"}, {name, value}});
  };
  const auto but = [](Values values, const std::string& name, const std::string& value) {
    values[name] = value;
    return values;
  };
  EXPECT_EQ(with("batch_size", "64"), but(of_adamw, "batch_size", "64"));
  EXPECT_EQ(with("epochs", "30"), but(of_adamw, "augment_by", "auto"));
  const Values bare = but(usual, "batch_size", "16");
  EXPECT_EQ(with("lr", "0.01"), but(bare, "lr", "0.01"));
  EXPECT_EQ(with("lr_schedule", "linear"), but(bare, "lr_schedule", "linear"));
  EXPECT_EQ(with("warmup_epochs", "1"), but(bare, "warmup_epochs", "1"));
  EXPECT_EQ(with("l2", "0.1"), but(bare, "l2", "0.1"));
  // A job file of an older version has its old meaning.
  EXPECT_EQ(resolved({{"model", "mobilenet"}, {"optimizer", "adamw"}}, Defaults::keep).at("lr"),
            "0.1");
}

TEST(Job, AFoldIsOneOfThoseThereAre) {
  const auto error = [](const std::map<std::string, std::string>& given) {
    Options options = job_options();
    options.parse("data", "some/file", "test");
    for (const auto& [name, value] : given) options.parse(name, value, "test");
    return error_of([&] { resolve(options); });
  };
  EXPECT_EQ(error({{"folds", "2"}, {"fold", "1"}}), "");
  EXPECT_EQ(error({{"folds", "2"}, {"until", "valid_loss<=1"}, {"valid_ratio", "0"}}), "");
  EXPECT_THAT(error({{"folds", "2"}, {"fold", "2"}}),
              testing::HasSubstr("fold 2: there are folds"));
  EXPECT_THAT(error({{"fold", "1"}}), testing::HasSubstr("fold 1"));
  EXPECT_THAT(error({{"folds", "1"}}), testing::HasSubstr("use 2 or more"));
}

TEST(Job, ARunIsResumedWithOtherPlacesOrMoreEpochs) {
  const Options options = options_of_resuming();
  for (const char* name : {"epochs", "admm_epochs", "channel", "deadline"})
    EXPECT_NE(options.find(name), nullptr) << name;
  for (const char* name : {"data", "init", "batch_size", "patience"})
    EXPECT_EQ(options.find(name), nullptr) << name;
}

TEST(Job, IdsDiffer) { EXPECT_NE(new_job_id(), new_job_id()); }

TEST(Job, WhereItRunsIsNoPartOfWhatItIs) {
  std::vector<std::string> execution_only;
  const Options options = job_options();
  for (const Option& option : options.declared())
    if (option.execution_only) execution_only.push_back(option.name);
  EXPECT_THAT(execution_only,
              testing::UnorderedElementsAre(
                  "aggregators", "channel", "output", "checkpoint", "checkpoint_every", "platform",
                  "function", "data", "test_data", "init", "read_by", "memory_mb", "timeout_s",
                  "patience_s", "retries", "deadline", "budget", "servers", "run_epochs", "keep",
                  "log_level", "shard_optimizer", "tensorboard", "metrics_port", "dashboard", "url",
                  "url_token_file", "events", "slurm_partition", "slurm_options", "slurm_folder"));
}

}  // namespace
}  // namespace lambdaml::job
