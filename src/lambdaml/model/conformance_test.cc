#include "lambdaml/model/testing/conformance.h"

namespace lambdaml::model::testing {
namespace {

/// Each registered model with its default options, and some with others. Models of images need a
/// library of their own as well: tests/deep has them.
std::vector<Subject> subjects() {
  std::vector<Subject> out = {
      {"lr_softmax", "lr", 5},
      {"lr_threads", "lr", 3, {{"threads", "4"}}},
      {"lr_wide", "lr", 2, {}, 700},
      {"svm_one_vs_rest", "svm", 4},
      {"svm_squared_hinge", "svm", 3, {{"loss", "squared_hinge"}}},
      {"kmeans_five", "kmeans", 2, {{"clusters", "5"}}},
      {"kmeans_one", "kmeans", 2, {{"clusters", "1"}}},
      {"kmeans_threads", "kmeans", 3, {{"clusters", "17"}, {"threads", "2"}}}};
  for (const Plugin& plugin : registry().entries())
    if (!plugin.needs_images && plugin.file_option.empty())
      out.push_back({plugin.name, plugin.name});
  return out;
}

INSTANTIATE_TEST_SUITE_P(Models, ModelConformance, ::testing::ValuesIn(subjects()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lambdaml::model::testing
