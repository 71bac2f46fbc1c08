#include "lambdaml/job/compat_payload.h"

#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/job/options.h"

namespace lambdaml::job {
namespace {

// The keys of the original's linear jobs on ElastiCache.
constexpr const char* kElastiCache =
    R"({"dataset":"higgs","data_bucket":"higgs-10","dataset_type":"dense_libsvm","n_features":30,
        "n_classes":2,"n_workers":10,"host":"cache.example","port":11211,"tmp_bucket":"tmp-params",
        "merged_bucket":"merged-params","model":"lr","optim":"model_avg","sync_mode":"reduce",
        "lr":0.01,"batch_size":10000,"n_epochs":7,"valid_ratio":0.1,"n_admm_epochs":2,
        "lambda":0.01,"rho":0.02,"n_clusters":10,"threshold":0.0001,"start_epoch":0,
        "function_name":"lambda_core"})";

TEST(OriginalPayload, BecomesAJobOfTheSameMeaning) {
  ASSERT_TRUE(is_original_payload(parse_json(kElastiCache)));
  Options options = job_options();
  from_original_payload(parse_json(kElastiCache), options);
  EXPECT_EQ(options.text("data"), "s3://higgs-10");
  EXPECT_EQ(options.text("channel"), "memcached://cache.example:11211");
  EXPECT_EQ(options.text("format"), "dense_libsvm");
  EXPECT_EQ(options.integer("workers"), 10);
  EXPECT_EQ(options.integer("epochs"), 7);
  EXPECT_EQ(options.integer("admm_epochs"), 2);
  EXPECT_EQ(options.real("lambda"), 0.01);
  EXPECT_EQ(options.real("rho"), 0.02);
  EXPECT_EQ(options.integer("clusters"), 10);
  EXPECT_EQ(options.text("function"), "lambda_core");
}

TEST(OriginalPayload, TakesBucketsAndTables) {
  Options options = job_options();
  from_original_payload(
      parse_json(R"({"data_bucket":"ddd","train_file":"t","test_file":"e","tmp_bucket":"ccc",
                            "cp_bucket":"ppp","run_epochs":3})"),
      options);
  EXPECT_EQ(options.text("data"), "s3://ddd/t");
  EXPECT_EQ(options.text("test_data"), "s3://ddd/e");
  EXPECT_EQ(options.text("channel"), "s3://ccc");
  EXPECT_EQ(options.text("checkpoint"), "s3://ppp");
  EXPECT_EQ(options.integer("run_epochs"), 3);
  from_original_payload(parse_json(R"({"data_bucket":"ddd","tmp_table_name":"tmp"})"), options);
  EXPECT_EQ(options.text("channel"), "dynamodb://tmp");
}

TEST(OriginalPayload, TellsTheParameterServerFromMemcached) {
  Options options = job_options();
  const auto channel = [&](const char* payload) {
    from_original_payload(parse_json(payload), options);
    return options.text("channel");
  };
  EXPECT_EQ(channel(R"({"data_bucket":"ddd","host":"10.0.0.7","port":27000})"),
            "ps://10.0.0.7:27000");
  EXPECT_EQ(channel(R"({"data_bucket":"ddd","host":"h","port":"9090"})"), "ps://h:9090");
  EXPECT_EQ(channel(R"({"data_bucket":"ddd","host":"h","port":9090,"tmp_bucket":"ttt"})"),
            "memcached://h:9090");
  EXPECT_EQ(channel(R"({"data_bucket":"ddd","host":"h"})"), "memcached://h:11211");
}

// The payload of examples/lambda/elasticache/kmeans_ec_trigger.py: no model, no cp_bucket.
TEST(OriginalPayload, KMeansOnElastiCacheAsItsAuthorsShipIt) {
  Options options = job_options();
  from_original_payload(
      parse_json(
          R"({"dataset":"higgs","data_bucket":"higgs-10","dataset_type":"dense_libsvm","n_features":30,
          "tmp_bucket":"tmp-params","merged_bucket":"merged-params","n_clusters":2,"n_epochs":10,
          "threshold":0.0001,"sync_mode":"reduce","n_workers":10,"host":"127.0.0.1","port":11211})"),
      options);
  EXPECT_EQ(options.text("model"), "kmeans");
  EXPECT_EQ(options.integer("clusters"), 2);
  EXPECT_EQ(options.text("channel"), "memcached://127.0.0.1:11211");
  EXPECT_EQ(options.text("checkpoint"), "s3://tmp-params/lambdaml");
}

// examples/lambda/hybrid/kmeans_hybrid_trigger.py and linear_hybrid_trigger.py: no bucket but that
// of the data.
TEST(OriginalPayload, HybridJobsAsTheirAuthorsShipThem) {
  for (const bool kmeans : {true, false}) {
    Options options = job_options();
    from_original_payload(
        parse_json(std::string(
                       R"({"dataset":"higgs","data_bucket":"higgs-10","dataset_type":"dense_libsvm",
                "n_features":30,"host":"127.0.0.1","port":27000,"n_workers":10,"n_epochs":10,
                "sync_mode":"reduce",)") +
                   (kmeans ? R"("n_clusters":10,"threshold":0.0001})"
                           : R"("n_classes":2,"model":"svm","optim":"grad_avg","lr":0.01,
                         "batch_size":100000,"valid_ratio":0.2})")),
        options);
    EXPECT_EQ(options.text("model"), kmeans ? "kmeans" : "svm");
    EXPECT_EQ(options.text("channel"), "ps://127.0.0.1:27000");
    EXPECT_EQ(options.text("checkpoint"), "s3://higgs-10/lambdaml");
  }
}

TEST(OriginalPayload, AJobThatMeetsInS3KeepsItsResultsThere) {
  Options options = job_options();
  from_original_payload(parse_json(R"({"data_bucket":"ddd","tmp_bucket":"ccc","n_clusters":3})"),
                        options);
  EXPECT_EQ(options.text("channel"), "s3://ccc");
  EXPECT_FALSE(options.is_set("checkpoint"));
}

TEST(OriginalPayload, ErrorsNameThePayloadsOwnKeys) {
  for (const auto& [payload, key] : std::map<std::string, std::string>{
           {R"({"data_bucket":"ddd","n_workers":"two"})", "n_workers"},
           {R"({"data_bucket":"ddd","n_epochs":0})", "n_epochs"},
           {R"({"data_bucket":"Bad Bucket"})", "'data_bucket': 'Bad Bucket'"},
           {R"({"data_bucket":"ddd","tmp_bucket":"Bad Bucket"})", "'tmp_bucket': 'Bad Bucket'"},
           {R"({"data_bucket":"ddd","tmp_bucket":"ab/x"})", "'tmp_bucket'"},
           {R"({"data_bucket":"ddd","cp_bucket":"B@d"})", "'cp_bucket'"},
           {R"({"data_bucket":"ddd","cp_bucket":"s3://x"})", "'cp_bucket'"},
           {R"({"data_bucket":"ddd","train_file":"a?b"})", "'train_file'"},
           {R"({"data_bucket":"ddd","test_file":"a?b"})", "'test_file'"},
           {R"({"data_bucket":"ddd","tmp_table_name":"a b c"})", "'tmp_table_name'"},
           {R"({"data_bucket":"ddd","host":"h h","port":11211})", "'host'"},
           {R"({"data_bucket":"ddd","host":"h","port":"x"})", "'port'"},
           {R"({"data_bucket":"ddd","host":"h","port":70000})", "'port'"},
           {R"({"data_bucket":"ddd","dataset_type":"parquet"})", "dataset_type"}}) {
    Options options = job_options();
    try {
      from_original_payload(parse_json(payload), options);
      ADD_FAILURE() << payload;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("payload: ")) << payload;
      EXPECT_THAT(error.what(), testing::HasSubstr(key)) << payload;
    }
  }
}

TEST(OriginalPayload, MessagesCallOptionsAsItDoes) {
  EXPECT_EQ(in_words_of_original("em has not converged in 4 epochs: give it more with --epochs, or "
                                 "use --scale standard, --no-such, -- or --clusters"),
            "em has not converged in 4 epochs: give it more with n_epochs, or use scale standard, "
            "--no-such, -- or n_clusters");
}

TEST(OriginalPayload, WhatItCannotMeanIsAnError) {
  Options options = job_options();
  for (const char* bad :
       {"[]", R"({"tmp_bucket":"ccc"})", R"({"data_bucket":7.5})",
        R"({"data_bucket":"ddd","n_wokers":2})", R"({"data_bucket":"ddd","n_workers":"two"})"})
    EXPECT_THROW(from_original_payload(parse_json(bad), options), Error) << bad;
  EXPECT_FALSE(is_original_payload(parse_json(R"({"data":"s3://d"})")));
  EXPECT_FALSE(is_original_payload(parse_json("{")));
}

}  // namespace
}  // namespace lambdaml::job
