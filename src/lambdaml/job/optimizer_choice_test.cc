#include "lambdaml/job/optimizer_choice.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "lambdaml/job/options.h"

namespace lambdaml::job {
namespace {

std::string chosen(const std::map<std::string, std::string>& values, const std::string& model) {
  Options options = job_options();
  for (const auto& [name, value] : values) options.parse(name, value, "test");
  return choose_optimizer(options, model::registry().get(model));
}

TEST(OptimizerChoice, LinearModelsHaveLbfgs) {
  EXPECT_EQ(chosen({}, "lr"), "lbfgs");
  EXPECT_EQ(chosen({}, "svm"), "lbfgs");
  EXPECT_EQ(chosen({{"workers", "9"}, {"epochs", "3"}, {"l2", "0.1"}, {"lambda", "0.1"}}, "lr"),
            "lbfgs");
  EXPECT_EQ(chosen({{"sync_mode", "reduce_scatter"}, {"lbfgs_memory", "5"}}, "lr"), "lbfgs");
  EXPECT_EQ(chosen({{"loss", "squared_hinge"}}, "svm"), "lbfgs");
  EXPECT_EQ(chosen({}, "kmeans"), "em");
  for (const char* scale : {"auto", "standard", "maxabs", "none"})
    EXPECT_EQ(chosen({{"scale", scale}}, "lr"), "lbfgs") << scale;
}

TEST(OptimizerChoice, WhatIsForGradientDescentKeepsIt) {
  for (const std::map<std::string, std::string>& values :
       {std::map<std::string, std::string>{{"lr", "0.1"}},
        {{"batch_size", "1000"}},
        {{"momentum", "0.9"}},
        {{"lr_schedule", "constant"}},
        {{"sync_mode", "async"}},
        {{"compress", "int8"}}})
    EXPECT_EQ(chosen(values, "lr"), "grad_avg") << values.begin()->first;
  EXPECT_EQ(chosen({{"loss", "hinge"}}, "svm"), "grad_avg");
  EXPECT_EQ(chosen({{"compress", "none"}}, "lr"), "lbfgs");
}

TEST(OptimizerChoice, IsTheUsers) {
  EXPECT_EQ(chosen({{"optim", "admm"}}, "lr"), "admm");
  EXPECT_EQ(chosen({{"optim", "lbfgs"}, {"batch_size", "100"}}, "lr"), "lbfgs");
}

}  // namespace
}  // namespace lambdaml::job
