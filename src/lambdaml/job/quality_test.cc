#include "lambdaml/job/quality.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/job/options.h"

namespace lambdaml::job {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Warnings : public testing::Test {
 protected:
  Warnings() {
    data_.features = 3;
    data_.labels = {-1, 1};
    data_.part_rows = {100};
    use("lr", "lbfgs");
  }

  void use(const std::string& model, const std::string& optimizer) {
    options_.parse("model", model, "test");
    options_.parse("optim", optimizer, "test");
  }

  std::vector<std::string> of(const model::Totals& train) const {
    return warnings_of({.options = options_,
                        .data = data_,
                        .train = train,
                        .class_rows = class_rows_,
                        .class_weight_sums = class_weight_sums_,
                        .loss_is_log_loss = options_.text("model") == "lr",
                        .epochs = 7,
                        .ended_by = ended_by_});
  }

  Options options_ = job_options();
  data::Manifest data_;
  std::vector<std::uint64_t> class_rows_{30, 70};
  std::vector<double> class_weight_sums_;
  std::string ended_by_ = "converged";
};

// −0.3 ln 0.3 − 0.7 ln 0.7 is the log loss of a model that knows the shares and nothing else.
constexpr double kEntropy = 0.6108643020548935;

TEST_F(Warnings, OfALogLossThatTheSharesOfTheClassesReach) {
  EXPECT_THAT(of({.loss = 100 * kEntropy - 0.01, .rows = 100, .correct = 70}), IsEmpty())
      << "no row is taken for the rarer class, but the probabilities tell rows apart";
  EXPECT_THAT(of({.loss = 100 * kEntropy + 0.01, .rows = 100, .correct = 90}),
              ElementsAre(HasSubstr("no better than a constant one: its log loss on the training "
                                    "rows is 0.611, and that of the classes' shares 0.6109")));
  EXPECT_THAT(of({.loss = std::nan(""), .rows = 100, .correct = 90}), testing::SizeIs(1));
}

TEST_F(Warnings, OfAnAccuracyThatTheMostFrequentClassReaches) {
  use("svm", "grad_avg");
  EXPECT_THAT(of({.loss = 90, .rows = 100, .correct = 71}), IsEmpty());
  EXPECT_THAT(of({.loss = 1, .rows = 100, .correct = 70}),
              ElementsAre(HasSubstr("is 0.7, and 0.7 if every row is taken for 1;")));
  data_.names = std::make_shared<data::Names>(data::Names{{}, {"ham", "spam"}});
  data_.labels = {0, 1};
  EXPECT_THAT(of({.loss = 1, .rows = 100, .correct = 7}),
              ElementsAre(HasSubstr("taken for spam;")));
}

TEST_F(Warnings, OfLossesThatAreWeighted) {
  class_weight_sums_ = {50, 50};
  // Balanced: both classes weigh as much, and a coin's loss is ln 2.
  EXPECT_THAT(of({.loss = 69.2, .rows = 100, .correct = 60}), IsEmpty());
  EXPECT_THAT(of({.loss = 69.4, .rows = 100, .correct = 90}),
              ElementsAre(HasSubstr("is 0.694, and that of the classes' shares 0.6931;")));
  use("svm", "grad_avg");
  EXPECT_THAT(of({.loss = 60, .rows = 100, .correct = 60}), IsEmpty())
      << "the rarer class may well cost others";
}

TEST_F(Warnings, OfNumbersThatTheMeanPredictsAsWell) {
  use("linear", "lbfgs");
  data_.labels = {};
  class_rows_ = {};
  // Targets 0 and 2, a hundred rows: Σ (y − mean)² is 100.
  const auto with_error = [&](double squares) {
    return of({.loss = squares / 2, .rows = 100, .targets = 100, .squared_targets = 200});
  };
  EXPECT_THAT(with_error(99), IsEmpty());
  EXPECT_THAT(with_error(100), ElementsAre(HasSubstr("its R² on the training rows is 0,")));
  EXPECT_THAT(with_error(150), ElementsAre(HasSubstr("is -0.5,")));
  EXPECT_THAT(of({.loss = 0, .rows = 100, .targets = 50, .squared_targets = 25}),
              ElementsAre(HasSubstr("every target of the training rows is 0.5, so there is nothing "
                                    "to learn: name the column of targets by --label")));
}

TEST_F(Warnings, OfAnOptimizerThatWouldHaveConvergedLater) {
  ended_by_ = "epochs";
  const model::Totals good{.loss = 1, .rows = 100, .correct = 99};
  EXPECT_THAT(of(good), ElementsAre("lbfgs has not converged in 7 epochs: give it more with "
                                    "--epochs, or scale the features"));
  use("lr", "admm");
  EXPECT_THAT(of(good), ElementsAre(HasSubstr("--admm-epochs")));
  use("lr", "grad_avg");
  EXPECT_THAT(of(good), IsEmpty()) << "it has no criterion";
  use("lr", "lbfgs");
  for (const char* how : {"until", "converged", "stop_after"}) {
    ended_by_ = how;
    EXPECT_THAT(of(good), IsEmpty()) << how;
  }
}

TEST_F(Warnings, OfALabelWithoutTrainingRows) {
  data_.labels = {-1, 1, 5};
  class_rows_ = {30, 70, 0};
  EXPECT_THAT(of({.loss = 1, .rows = 100, .correct = 99}),
              ElementsAre("the label 5 occurs in no training row, so the model cannot learn it"));
  class_rows_ = {};  // of an old version's workers
  EXPECT_THAT(of({.loss = 1, .rows = 100, .correct = 0}), IsEmpty());
}

TEST_F(Warnings, NoneOfAJobThatIsOnlyPaused) {
  ended_by_ = "stop_after";
  EXPECT_THAT(of({.loss = 1000, .rows = 100, .correct = 0}), IsEmpty());
}

}  // namespace
}  // namespace lambdaml::job
