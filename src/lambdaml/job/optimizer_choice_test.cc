#include "lambdaml/job/optimizer_choice.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
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
  EXPECT_EQ(chosen({{"rho", "1"}}, "lr"), "lbfgs") << "neither has it";
}

TEST(OptimizerChoice, IsTheUsers) {
  EXPECT_EQ(chosen({{"optim", "admm"}}, "lr"), "admm");
  EXPECT_EQ(chosen({{"optim", "lbfgs"}, {"batch_size", "100"}}, "lr"), "lbfgs");
}

std::string optimizer_refusal(const std::map<std::string, std::string>& values) {
  Options options = job_options();
  for (const auto& [name, value] : values) options.parse(name, value, "test");
  try {
    check_optimizer(options, model::registry().get(options.text("model")));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  return "";
}

TEST(OptimizerChoice, RefusesALossForWhichTheOptimizerIsNotMade) {
  const std::string words =
      optimizer_refusal({{"model", "svm"}, {"optim", "lbfgs"}, {"loss", "hinge"}});
  EXPECT_EQ(words,
            "loss hinge: the optimizer lbfgs trains svm with squared_hinge only: leave out --loss, "
            "or use --optim grad_avg");
  EXPECT_NE(optimizer_refusal({{"model", "svm"}, {"optim", "admm"}, {"loss", "hinge"}}), "");
  const std::map<std::string, std::string> allowed[] = {
      {{"model", "svm"}, {"optim", "lbfgs"}},
      {{"model", "svm"}, {"optim", "lbfgs"}, {"loss", "squared_hinge"}, {"scale", "none"}},
      {{"model", "svm"}, {"optim", "grad_avg"}, {"loss", "hinge"}},
      // Gradient steps take any loss.
      {{"model", "svm"}, {"optim", "admm"}, {"loss", "hinge"}, {"lr", "0.1"}},
      {{"model", "svm"}, {"optim", "admm"}, {"loss", "hinge"}, {"admm_solver", "gradient"}},
      // The option is of another model.
      {{"model", "lr"}, {"optim", "lbfgs"}, {"loss", "hinge"}}};
  for (const auto& values : allowed) EXPECT_EQ(optimizer_refusal(values), "");
}

}  // namespace
}  // namespace lambdaml::job
