#include "lambdaml/job/unused_options.h"

#include <gmock/gmock.h>

#include "lambdaml/base/testing/testing.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/options.h"

namespace lambdaml::job {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Options given(const std::map<std::string, std::string>& values) {
  Options options = job_options();
  for (const auto& [name, value] : values) options.parse(name, value, "test");
  return options;
}

/// "" if the job is accepted.
std::string refusal(const std::map<std::string, std::string>& values) {
  const Options options = given(values);
  return error_of([&] { require_used(options, options); });
}

/// The warnings about a job of a file that has these options.
std::string file_warnings(const std::map<std::string, std::string>& values) {
  testing::internal::CaptureStderr();
  warn_of_unused(given(values));
  return testing::internal::GetCapturedStderr();
}

/// The warnings about a job of typed options that is accepted.
std::string warnings(const std::map<std::string, std::string>& values) {
  EXPECT_EQ(refusal(values), "");
  return file_warnings(values);
}

TEST(UnusedOptions, AreRefusedWhereTheirOwnersChoiceWasForgotten) {
  EXPECT_THAT(refusal({{"clusters", "5"}}),
              AllOf(HasSubstr("invalid_argument: clusters: it belongs to model kmeans"),
                    HasSubstr("the job has model lr: add --model kmeans")));
  EXPECT_THAT(refusal({{"rho", "2"}}), HasSubstr("add --optim admm"));
  EXPECT_THAT(refusal({{"rho", "1"}}), HasSubstr("add --optim admm")) << "the default, but typed";
  EXPECT_THAT(refusal({{"staleness", "3"}}), HasSubstr("add --sync-mode async"));
  EXPECT_THAT(refusal({{"function", "f"}}), HasSubstr("add --platform aws"));
  EXPECT_THAT(refusal({{"label_smoothing", "0.1"}}), HasSubstr("add --model"));
}

TEST(UnusedOptions, AreToldWhereSomethingElseWasChosen) {
  EXPECT_THAT(warnings({{"model", "svm"}, {"clusters", "5"}}),
              AllOf(HasSubstr("warning: clusters has no effect: it belongs to model kmeans"),
                    HasSubstr("the job has model svm\n")));
  EXPECT_THAT(warnings({{"optim", "model_avg"}, {"rho", "2"}}), HasSubstr("rho has no effect"));
  EXPECT_THAT(warnings({{"sync_mode", "async"}, {"aggregators", "2"}}),
              HasSubstr("sync_mode reduce or reduce_scatter"));
  EXPECT_THAT(warnings({{"platform", "threads"}, {"function", "f"}}), HasSubstr("platform aws"));
  // k-means brings its own optimizer.
  EXPECT_THAT(warnings({{"model", "kmeans"}, {"momentum", "0.5"}}), HasSubstr("has optim em"));
  testing::internal::CaptureStderr();
  warn_of_unused(given({{"optim", "lbfgs"}, {"lr", "0.1"}}), given({{"lr", "0.1"}}));
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("lr has no effect"))
      << "the default, but typed";
  // A value that the resolved job file of a run has, too, tells nothing.
  EXPECT_EQ(file_warnings({{"clusters", "10"}, {"rho", "1"}, {"aggregators", "0"}}), "");
}

TEST(UnusedOptions, NeedValuesOfOthers) {
  EXPECT_THAT(refusal({{"lr_decay", "0.5"}}),
              AllOf(HasSubstr("lr_decay: it belongs to lr_schedule step or inverse"),
                    HasSubstr("has lr_schedule constant: add --lr-schedule step")));
  EXPECT_THAT(refusal({{"compress_share", "0.5"}}), HasSubstr("add --compress topk"));
  EXPECT_THAT(warnings({{"lr_schedule", "inverse"}, {"lr_step", "3"}}),
              HasSubstr("lr_step has no effect: it belongs to lr_schedule step"));
  EXPECT_THAT(warnings({{"model", "kmeans"}, {"valid_ratio", "0.3"}}),
              HasSubstr("valid_ratio has no effect"));
}

TEST(UnusedOptions, ThatTheJobUsesAreNone) {
  for (const std::map<std::string, std::string>& values :
       {std::map<std::string, std::string>{{"model", "sparse_kmeans"}, {"clusters", "5"}},
        {{"optim", "admm"}, {"rho", "2"}, {"l2", "0.1"}, {"lr", "0.2"}},
        {{"lr", "0.2"}, {"momentum", "0.5"}, {"compress", "int8"}},
        {{"model", "torchscript:/x.pt"}, {"label_smoothing", "0.1"}},
        {{"model", "sparse_lr"}, {"valid_ratio", "0.3"}},
        {{"lr_schedule", "step"}, {"lr_step", "3"}, {"lr_decay", "0.5"}},
        {{"compress", "topk"}, {"compress_share", "0.5"}},
        {{"platform", "aws"}, {"function", "f"}}})
    EXPECT_THAT(unused_options(given(values)), testing::IsEmpty());
}

TEST(UnusedOptions, OfJobFilesAndTheEnvironmentServeOtherJobsToo) {
  const Options typed = given({{"workers", "2"}});
  const Options all = given({{"workers", "2"}, {"function", "f"}});
  EXPECT_EQ(error_of([&] { require_used(all, typed); }), "");
  EXPECT_EQ(unused_options(all).size(), 1U);
}

}  // namespace
}  // namespace lambdaml::job
