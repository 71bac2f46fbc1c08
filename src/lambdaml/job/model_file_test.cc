#include "lambdaml/job/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/testing/testing.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/registry.h"

namespace lambdaml::job {
namespace {

using testing::HasSubstr;

Buffer file_of(const model::Shape& shape) {
  Options options = job_options();
  options.parse("threads", "1", "test");
  const auto model = model::registry().get("lr").make(shape, options);
  return model_to_bytes("lr", shape, options, *model,
                        std::vector<float>(model->parameter_count(), 0.5F));
}

TrainedModel opened(const Buffer& file) {
  return model_from_bytes(std::make_shared<const Buffer>(file.view()), "MODEL");
}

TEST(ModelFile, KeepsNames) {
  model::Shape shape{2, {0, 1}};
  EXPECT_EQ(opened(file_of(shape)).shape.names, nullptr);
  const data::Names names{{"age", "colour=red"}, {"no", "yes"}, "bought", {40, 0}};
  shape.names = std::make_shared<const data::Names>(names);
  EXPECT_EQ(*opened(file_of(shape)).shape.names, names);
}

TEST(ModelFile, NamesThatDoNotFitAreRefused) {
  model::Shape shape{2, {0, 1}};
  shape.names = std::make_shared<const data::Names>(data::Names{{"age"}, {}});
  EXPECT_THAT(error_of([&] { opened(file_of(shape)); }),
              HasSubstr("data_corrupt: MODEL: it names 1 features and has 2"));
  shape.names = std::make_shared<const data::Names>(data::Names{{}, {"no"}});
  EXPECT_THAT(error_of([&] { opened(file_of(shape)); }),
              HasSubstr("data_corrupt: MODEL: a label has no name"));
}

}  // namespace
}  // namespace lambdaml::job
