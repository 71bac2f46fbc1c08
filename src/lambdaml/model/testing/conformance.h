#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/model/testing/testing.h"

/// What every model must do, whatever it learns. A plug-in is done when it passes: instantiate the
/// suite with a Subject for each of its shapes.
namespace lambdaml::model::testing {

struct Subject {
  std::string name;  ///< of the test
  std::string plugin;
  std::size_t classes = 2;
  std::map<std::string, std::string> options = {};
  std::size_t features = 9;

  friend void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.name; }
};

class ModelConformance : public ::testing::TestWithParam<Subject> {
 protected:
  ModelConformance() : rows_(random_rows(300, GetParam().features, GetParam().classes, 5, 0.6)) {}

  std::unique_ptr<Model> make() const {
    const Subject& subject = GetParam();
    return make_model(subject.plugin, shape_of(subject.features, subject.classes), subject.options);
  }
  /// Parameters as the first steps of training might leave them.
  std::vector<float> some_parameters(const Model& model) const {
    Rng rng(31);
    std::vector<float> parameters(model.parameter_count());
    for (float& value : parameters) value = static_cast<float>(rng.normal());
    return parameters;
  }

  Rows rows_;
};

TEST_P(ModelConformance, PiecesCoverTheParameters) {
  const auto model = make();
  std::size_t floats = 0;
  for (const Model::Piece& piece : model->pieces()) {
    std::size_t size = 1;
    for (const std::size_t extent : piece.shape) size *= extent;
    EXPECT_GT(size, 0) << piece.name;
    floats += size;
  }
  EXPECT_EQ(floats, model->parameter_count());
  if (auto* gradients = dynamic_cast<GradientModel*>(model.get())) {
    EXPECT_EQ(model->sums_count(), model->parameter_count());
    std::size_t last = 0;
    for (const auto& [begin, end] : gradients->penalized()) {
      EXPECT_LE(last, begin);
      EXPECT_LT(begin, end);
      last = end;
    }
    EXPECT_LE(last, model->parameter_count());
  } else {
    EXPECT_NE(dynamic_cast<ExpectationModel*>(model.get()), nullptr);
  }
}

TEST_P(ModelConformance, StartsBitwiseTheSameOnAnyNumberOfWorkers) {
  std::vector<float> alone;
  for (const std::uint32_t workers : {1U, 2U, 4U, 7U}) {
    std::vector<std::vector<float>> all(workers);
    run_workers(workers, [&](comm::Communicator& communicator) {
      const std::uint32_t worker = communicator.worker();
      const Rows own = rows_.part(worker, workers);
      const Batch batch = own.dense();
      const auto model = make();
      all[worker].assign(model->parameter_count(), std::nanf(""));
      model->initialize({.rows = batch,
                         .first_row = worker,
                         .row_stride = workers,
                         .communicator = communicator,
                         .seed = 77},
                        all[worker]);
    });
    if (workers == 1) alone = all[0];
    for (const std::vector<float>& parameters : all) {
      ASSERT_EQ(parameters.size(), alone.size());
      EXPECT_EQ(std::memcmp(parameters.data(), alone.data(), alone.size() * sizeof(float)), 0);
      for (const float value : parameters) EXPECT_TRUE(std::isfinite(value));
    }
  }
}

TEST_P(ModelConformance, FormsAgreeAndEvaluateIsAccumulateWithoutSums) {
  const auto model = make();
  const std::vector<float> parameters = some_parameters(*model);
  std::vector<float> expected(model->sums_count());
  const Totals dense = accumulate(*model, rows_.dense(), parameters, expected);
  EXPECT_EQ(dense.rows, 300);
  for (const auto& [form, batch] : rows_.forms()) {
    std::vector<float> sums(model->sums_count());
    const Totals totals = accumulate(*model, batch, parameters, sums);
    EXPECT_NEAR(totals.loss, dense.loss, 1e-5 * dense.loss) << form;
    EXPECT_EQ(totals.correct, dense.correct) << form;
    for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_NEAR(sums[i], expected[i], 1e-3) << form;
    const Totals only = model->evaluate(batch, parameters);
    EXPECT_NEAR(only.loss, totals.loss, 4e-6 * totals.loss) << form;  // another kernel's rounding
    EXPECT_EQ(only.rows, totals.rows) << form;
    EXPECT_EQ(only.correct, totals.correct) << form;
  }
}

TEST_P(ModelConformance, SumsAddUpOverBatches) {
  const auto model = make();
  const std::vector<float> parameters = some_parameters(*model);
  for (const auto& [form, batch] : rows_.forms()) {
    std::vector<float> whole(model->sums_count());
    std::vector<float> pieces(model->sums_count());
    const Totals expected = accumulate(*model, batch, parameters, whole);
    Totals totals;
    const std::size_t cuts[] = {0, 0, 1, 16, 33, 250, 300};
    for (std::size_t i = 1; i < std::size(cuts); ++i)
      totals += accumulate(*model, batch.slice(cuts[i - 1], cuts[i]), parameters, pieces);
    EXPECT_NEAR(totals.loss, expected.loss, 1e-5 * expected.loss) << form;
    EXPECT_EQ(totals.rows, expected.rows) << form;
    EXPECT_EQ(totals.correct, expected.correct) << form;
    for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(pieces[i], whole[i], 1e-3) << form;
  }
}

TEST_P(ModelConformance, ResultsDependOnTheArgumentsAlone) {
  const auto used = make();
  const std::vector<float> parameters = some_parameters(*used);
  std::vector<float> others(parameters.size(), 0.5F);
  std::vector<float> ignored(used->sums_count());
  accumulate(*used, rows_.csr32(), others, ignored);
  used->predict(rows_.dense(), others);

  const auto fresh = make();
  std::vector<float> a(used->sums_count());
  std::vector<float> b(used->sums_count());
  const Totals of_used = accumulate(*used, rows_.dense(), parameters, a);
  const Totals of_fresh = accumulate(*fresh, rows_.dense(), parameters, b);
  EXPECT_EQ(a, b);
  EXPECT_EQ(of_used.loss, of_fresh.loss);
}

TEST_P(ModelConformance, ABatchWithoutRowsAddsNothing) {
  const auto model = make();
  const std::vector<float> parameters = some_parameters(*model);
  for (const auto& [form, batch] : rows_.forms()) {
    std::vector<float> sums(model->sums_count(), 2.0F);
    const Totals totals = accumulate(*model, batch.slice(300, 300), parameters, sums);
    EXPECT_EQ(totals.rows, 0);
    EXPECT_EQ(totals.loss, 0);
    EXPECT_EQ(totals.correct, 0);
    EXPECT_THAT(sums, ::testing::Each(2.0F));
    EXPECT_TRUE(model->predict(batch.slice(7, 7), parameters).classes.empty());
  }
}

TEST_P(ModelConformance, PredictionsAreWhatEvaluateCounts) {
  const auto model = make();
  const std::vector<float> parameters = some_parameters(*model);
  const Plugin& plugin = registry().get(GetParam().plugin);
  const bool labelled = plugin.needs_labels;
  for (const auto& [form, batch] : rows_.forms()) {
    const Model::Prediction prediction = model->predict(batch, parameters);
    ASSERT_EQ(prediction.scores.size(), 300);
    const Totals totals = model->evaluate(batch, parameters);
    if (plugin.predicts_numbers) {
      EXPECT_TRUE(prediction.classes.empty());
      double errors = 0;
      for (std::size_t i = 0; i < 300; ++i)
        errors += std::abs(prediction.scores[i] - batch.targets[i]);
      EXPECT_NEAR(totals.absolute_error, errors, 1e-4 * errors) << form;
      continue;
    }
    ASSERT_EQ(prediction.classes.size(), 300);
    double correct = 0;
    for (std::size_t i = 0; i < 300; ++i)
      correct += prediction.classes[i] == static_cast<std::uint32_t>(batch.targets[i]) ? 1 : 0;
    EXPECT_EQ(labelled ? correct : 0, totals.correct) << form;
    if (!prediction.target_probabilities.empty()) {
      ASSERT_EQ(prediction.target_probabilities.size(), 300);
      double log_loss = 0;
      for (const float p : prediction.target_probabilities) log_loss -= std::log(p);
      EXPECT_NEAR(log_loss, totals.loss, 1e-4 * totals.loss) << form;
    }
    const Model::Prediction blind = model->predict({batch.features, {}}, parameters);
    EXPECT_EQ(blind.classes, prediction.classes) << form;
    EXPECT_EQ(blind.scores, prediction.scores) << form;
  }
}

TEST_P(ModelConformance, ScoresAndProbabilitiesOfClassesFitThePrediction) {
  const auto model = make();
  const std::vector<float> parameters = some_parameters(*model);
  const std::size_t classes = GetParam().classes;
  const Plugin& plugin = registry().get(GetParam().plugin);
  const bool has_classes = plugin.needs_labels && !plugin.predicts_numbers;
  const Model::Wanted wanted{.class_scores = true, .probabilities = model->has_probabilities()};
  for (const auto& [form, batch] : rows_.forms()) {
    const Model::Prediction plain = model->predict(batch, parameters);
    EXPECT_TRUE(plain.class_scores.empty() && plain.probabilities.empty()) << form;
    const Model::Prediction full = model->predict(batch, parameters, wanted);
    EXPECT_EQ(full.classes, plain.classes) << form;
    EXPECT_EQ(full.scores, plain.scores) << form;
    EXPECT_EQ(full.target_probabilities, plain.target_probabilities) << form;
    for (const auto& [values, expected] : {std::pair(full.class_scores, has_classes),
                                           std::pair(full.probabilities, wanted.probabilities)}) {
      ASSERT_EQ(values.size(), expected ? 300 * classes : 0) << form;
      for (std::size_t i = 0; expected && i < 300; ++i) {
        const float* row = values.data() + i * classes;
        EXPECT_EQ(row[full.classes[i]], *std::max_element(row, row + classes)) << form;
      }
    }
    for (std::size_t i = 0; wanted.probabilities && i < 300; ++i) {
      const float* row = full.probabilities.data() + i * classes;
      double sum = 0;
      for (std::size_t c = 0; c < classes; ++c) sum += row[c];
      EXPECT_NEAR(sum, 1, 1e-6) << form;
      EXPECT_NEAR(row[static_cast<std::size_t>(batch.targets[i])], full.target_probabilities[i],
                  1e-6)
          << form;
    }
    // A row's values are the same in any batch.
    const Model::Prediction part = model->predict(batch.slice(33, 250), parameters, wanted);
    EXPECT_TRUE(std::equal(part.scores.begin(), part.scores.end(), full.scores.begin() + 33));
    EXPECT_TRUE(std::equal(
        part.probabilities.begin(), part.probabilities.end(),
        full.probabilities.begin() + (wanted.probabilities ? 33 * static_cast<long>(classes) : 0)));
  }
}

TEST_P(ModelConformance, CoefficientsGiveTheScoresOfClasses) {
  const auto model = make();
  const std::vector<float> parameters = some_parameters(*model);
  const auto coefficients = model->coefficients(parameters);
  if (!coefficients) return;
  const bool is_number = registry().get(GetParam().plugin).predicts_numbers;
  const std::size_t classes = is_number ? 1 : GetParam().classes;
  ASSERT_EQ(coefficients->weights.size(), classes);
  ASSERT_EQ(coefficients->intercepts.size(), classes);
  const Batch batch = rows_.dense();
  const Model::Prediction full = model->predict(batch, parameters, {.class_scores = true});
  const auto& x = std::get<tensor::DenseView>(batch.features);
  for (std::size_t i = 0; i < 300; ++i)
    for (std::size_t c = 0; c < classes; ++c) {
      double score = coefficients->intercepts[c];
      for (std::size_t j = 0; j < x.cols; ++j)
        score += static_cast<double>(coefficients->weights[c][j]) * x.data[i * x.cols + j];
      EXPECT_NEAR(is_number ? full.scores[i] : full.class_scores[i * classes + c], score, 1e-4);
    }
}

TEST_P(ModelConformance, WrongSizesAreErrorsNotCrashes) {
  const auto model = make();
  const std::vector<float> parameters = some_parameters(*model);
  std::vector<float> sums(model->sums_count());
  const std::span<const float> few = std::span(parameters).first(parameters.size() - 1);
  EXPECT_THROW(accumulate(*model, rows_.dense(), few, sums), Error);
  EXPECT_THROW(model->evaluate(rows_.dense(), few), Error);
  EXPECT_THROW(model->predict(rows_.dense(), few), Error);
  EXPECT_THROW(accumulate(*model, rows_.dense(), parameters, std::span(sums).first(1)), Error);
  Rows wide = random_rows(5, GetParam().features + 1, GetParam().classes, 1);
  EXPECT_THROW(model->evaluate(wide.dense(), parameters), Error);
  EXPECT_THROW(model->predict(wide.csr16(), parameters), Error);
  if (registry().get(GetParam().plugin).needs_labels) {
    EXPECT_THROW(model->evaluate({rows_.dense().features, {}}, parameters), Error);
  }
}

}  // namespace lambdaml::model::testing
