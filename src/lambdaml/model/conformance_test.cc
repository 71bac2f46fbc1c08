#include "lambdaml/model/testing/conformance.h"

#include <algorithm>
#include <array>

namespace lambdaml::model::testing {
namespace {

/// Deep models need images and a library of their own: tests/deep has them.
constexpr std::array kDeep = {"mobilenet", "resnet18",  "resnet34",   "resnet50",
                              "resnet101", "resnet152", "torchscript"};

/// Each registered model with its default options, and some with others.
std::vector<Subject> subjects() {
  std::vector<Subject> out = {
      {"lr_softmax", "lr", 5},
      {"lr_threads", "lr", 3, {{"threads", "4"}}},
      {"lr_wide", "lr", 2, {}, 700},
      {"svm_one_vs_rest", "svm", 4},
      {"kmeans_five", "kmeans", 2, {{"clusters", "5"}}},
      {"kmeans_one", "kmeans", 2, {{"clusters", "1"}}},
      {"kmeans_threads", "kmeans", 3, {{"clusters", "17"}, {"threads", "2"}}}};
  for (const std::string& name : registry().names())
    if (std::ranges::find(kDeep, name) == kDeep.end()) out.push_back({name, name});
  return out;
}

INSTANTIATE_TEST_SUITE_P(Models, ModelConformance, ::testing::ValuesIn(subjects()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lambdaml::model::testing
