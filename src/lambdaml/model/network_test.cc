#include "lambdaml/model/network.h"

#include <gmock/gmock.h>

#include "lambdaml/base/error.h"
#include "lambdaml/model/testing/testing.h"

namespace lambdaml::model::testing {
namespace {

#ifdef LAMBDAML_TORCH
/// As PyTorch counts the learned parameters of the same networks (torchvision's ResNets with a
/// first convolution of 3 × 3), and the running means and variances.
TEST(Networks, HaveTheParametersThatPyTorchCounts) {
  struct Known {
    const char* name;
    std::size_t learned;
    std::size_t statistics;
  };
  for (const Known& known : {Known{"mobilenet", 3'217'226, 21'888},
                             {"resnet18", 11'173'962, 9'600},
                             {"resnet34", 21'282'122, 17'024},
                             {"resnet50", 23'520'842, 53'120},
                             {"resnet101", 42'512'970, 105'344},
                             {"resnet152", 58'156'618, 151'424}}) {
    const auto model = make_model(known.name, shape_of(3072, 10));
    const auto& gradients = dynamic_cast<const GradientModel&>(*model);
    EXPECT_EQ(gradients.learned(), known.learned) << known.name;
    EXPECT_EQ(model->parameter_count(), known.learned + known.statistics) << known.name;
    EXPECT_EQ(elements(model->pieces()), model->parameter_count()) << known.name;
    EXPECT_GT(model->training_bytes(128), model->training_bytes(64)) << known.name;
  }
}

TEST(Networks, NeedImagesAndTwoClasses) {
  EXPECT_THROW(make_model("mobilenet", shape_of(28, 10)), Error);
  EXPECT_THROW(make_model("resnet18", shape_of(3072, 1)), Error);
  EXPECT_THROW(make_model("torchscript", shape_of(3072, 10)), Error);
}
#else
TEST(Networks, ABuildWithoutThemSaysSo) {
  try {
    make_model("mobilenet", shape_of(3072, 10));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("this build has no deep models"));
  }
}
#endif

}  // namespace
}  // namespace lambdaml::model::testing
