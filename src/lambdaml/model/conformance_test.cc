#include "lambdaml/model/conformance.h"

namespace lambdaml::model::testing {
namespace {

INSTANTIATE_TEST_SUITE_P(
    Models, ModelConformance,
    ::testing::Values(Subject{"lr_binary", "lr"}, Subject{"lr_softmax", "lr", 5},
                      Subject{"lr_threads", "lr", 3, {{"threads", "4"}}},
                      Subject{"lr_wide", "lr", 2, {}, 700}, Subject{"svm_binary", "svm"},
                      Subject{"svm_one_vs_rest", "svm", 4},
                      Subject{"kmeans", "kmeans", 2, {{"clusters", "5"}}},
                      Subject{"kmeans_one", "kmeans", 2, {{"clusters", "1"}}},
                      Subject{
                          "kmeans_threads", "kmeans", 3, {{"clusters", "17"}, {"threads", "2"}}}),
    [](const auto& info) { return info.param.name; });

TEST(Registry, EveryPluginIsInTheSuite) {
  // Deep models run a library of their own: tests/deep.
  EXPECT_THAT(registry().names(), ::testing::UnorderedElementsAre(
                                      "lr", "svm", "kmeans", "mobilenet", "resnet18", "resnet34",
                                      "resnet50", "resnet101", "resnet152", "torchscript"));
}

}  // namespace
}  // namespace lambdaml::model::testing
