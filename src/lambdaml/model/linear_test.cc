#include "lambdaml/model/linear.h"

#include <cmath>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/model/testing/testing.h"

namespace lambdaml::model {
namespace {

using namespace model::testing;
using ::testing::HasSubstr;

/// The definition of each model's loss, in double: Σ over rows, for parameters as the model has
/// them.
double reference_loss(const std::string& model, std::size_t classes, Rows& rows,
                      const std::vector<double>& w) {
  const std::size_t d = rows.cols();
  const std::size_t outputs = classes == 2 ? 1 : classes;
  double loss = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<double> z(outputs);
    for (std::size_t c = 0; c < outputs; ++c) {
      z[c] = w[outputs * d + c];
      for (std::size_t j = 0; j < d; ++j) z[c] += w[c * d + j] * rows.at(i, j);
    }
    const auto target = static_cast<std::size_t>(rows.target(i));
    if (model == "lr" && outputs == 1) {
      loss += std::log1p(std::exp(target == 1 ? -z[0] : z[0]));
    } else if (model == "lr") {
      double sum = 0;
      for (const double margin : z) sum += std::exp(margin);
      loss += std::log(sum) - z[target];
    } else {
      for (std::size_t c = 0; c < outputs; ++c) {
        const bool positive = outputs == 1 ? target == 1 : target == c;
        const double lack = std::max(0.0, 1.0 - (positive ? z[c] : -z[c]));
        loss += model == "squared_svm" ? lack * lack : lack;
      }
    }
  }
  return loss;
}

std::vector<float> random_parameters(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> w(n);
  for (float& value : w) value = static_cast<float>(0.3 * rng.normal());
  return w;
}

struct Case {
  std::string model;
  std::size_t classes;
  std::size_t rows;
  std::size_t features;
  double density;

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.model << c.classes; }
};

/// By a name in Case; squared_svm is the support vector machine with its other loss.
std::unique_ptr<Model> model_of(const Case& c) {
  const Shape shape = shape_of(c.features, c.classes);
  return c.model == "squared_svm" ? make_model("svm", shape, {{"loss", "squared_hinge"}})
                                  : make_model(c.model, shape);
}

class Gradients : public ::testing::TestWithParam<Case> {};

TEST_P(Gradients, AreThoseOfTheLossInEveryForm) {
  const Case& c = GetParam();
  Rows rows = random_rows(c.rows, c.features, c.classes, 7, c.density);
  const auto model = model_of(c);
  const std::vector<float> w = random_parameters(model->parameter_count(), 3);
  ASSERT_EQ(w.size(), (c.classes == 2 ? 1 : c.classes) * (c.features + 1));

  std::vector<double> exact(w.begin(), w.end());
  const double loss = reference_loss(c.model, c.classes, rows, exact);
  std::vector<double> differences(w.size());
  const double h = 1e-6;  // error of the central difference ~h², of its rounding ~1e-16 · loss / h
  for (std::size_t k = 0; k < w.size(); ++k) {
    exact[k] = w[k] + h;
    const double above = reference_loss(c.model, c.classes, rows, exact);
    exact[k] = w[k] - h;
    differences[k] = (above - reference_loss(c.model, c.classes, rows, exact)) / (2 * h);
    exact[k] = w[k];
  }

  const auto n = static_cast<double>(c.rows);
  for (const auto& [form, batch] : rows.forms()) {
    std::vector<float> sums(w.size(), 1.0F);  // what is there already is added to
    const Totals totals = accumulate(*model, batch, w, sums);
    EXPECT_NEAR(totals.loss, loss, 2e-6 * n + 1e-9) << form;
    EXPECT_EQ(totals.rows, n) << form;
    // Float sums of n terms of order 1.
    for (std::size_t k = 0; k < w.size(); ++k)
      EXPECT_NEAR(sums[k] - 1.0, differences[k], 2e-6 * n + 1e-5) << form << " parameter " << k;
    const Totals only = model->evaluate(batch, w);
    EXPECT_NEAR(only.loss, totals.loss, 4e-6 * totals.loss) << form;  // another kernel's rounding
    EXPECT_EQ(only.correct, totals.correct) << form;
    EXPECT_EQ(only.rows, totals.rows) << form;
  }
}

TEST_P(Gradients, InDoubleAreExact) {
  const Case& c = GetParam();
  Rows rows = random_rows(c.rows, c.features, c.classes, 7, c.density);
  const auto model = model_of(c);
  auto& gradients = dynamic_cast<GradientModel&>(*model);
  DoubleSums& exact = *gradients.in_double();
  const std::vector<float> floats = random_parameters(model->parameter_count(), 3);
  std::vector<double> w(floats.begin(), floats.end()), direction(w.size());
  for (std::size_t k = 0; k < w.size(); ++k) w[k] += 1e-9 * static_cast<double>(k);
  for (std::size_t k = 0; k < w.size(); ++k) direction[k] = std::cos(static_cast<double>(k));
  const std::vector<double> lengths{1, 0.25};
  const auto at = [&](double t) {
    std::vector<double> point = w;
    for (std::size_t k = 0; k < w.size(); ++k) point[k] += t * direction[k];
    return point;
  };
  const double loss = reference_loss(c.model, c.classes, rows, w);
  // Along the direction; of the hinge, whose slope jumps, not.
  const double h = 1e-6;
  const double slope = (reference_loss(c.model, c.classes, rows, at(h)) -
                        reference_loss(c.model, c.classes, rows, at(-h))) /
                       (2 * h);
  std::vector<float> weights(c.rows);
  for (std::size_t i = 0; i < c.rows; ++i) weights[i] = static_cast<float>(i % 3) / 2;
  for (auto [form, batch] : rows.forms()) {
    std::vector<double> sums(w.size(), 1.0), losses(lengths.size(), 1.0);
    const Totals totals = exact.accumulate(batch, w, sums);
    EXPECT_NEAR(totals.loss, loss, 1e-13 * (1 + loss)) << form;
    double along = 0;
    for (std::size_t k = 0; k < w.size(); ++k) along += (sums[k] - 1) * direction[k];
    if (c.model != "svm") {
      EXPECT_NEAR(along, slope, 1e-7 * (1 + std::abs(slope))) << form;
    }
    EXPECT_NEAR(exact.evaluate(batch, w).loss, loss, 1e-13 * (1 + loss)) << form;
    EXPECT_EQ(exact.evaluate(batch, w).correct, totals.correct) << form;
    exact.add_losses_along(batch, w, direction, lengths, losses);
    for (std::size_t k = 0; k < lengths.size(); ++k) {
      const double expected = reference_loss(c.model, c.classes, rows, at(lengths[k]));
      EXPECT_NEAR(losses[k], 1 + expected, 1e-13 * (1 + expected)) << form;
    }
    // Rows with weights: the sum over the rows of each weight, times it.
    batch.weights = weights;
    std::vector<double> weighted(w.size()), one_by_one(w.size());
    const double weighted_loss = exact.accumulate(batch, w, weighted).loss;
    double expected_loss = 0;
    for (std::size_t i = 0; i < c.rows; ++i) {
      Batch row = batch.slice(i, i + 1);
      row.weights = {};
      std::vector<double> own(w.size());
      expected_loss += weights[i] * exact.accumulate(row, w, own).loss;
      for (std::size_t k = 0; k < w.size(); ++k) one_by_one[k] += weights[i] * own[k];
    }
    EXPECT_NEAR(weighted_loss, expected_loss, 1e-13 * (1 + expected_loss)) << form;
    for (std::size_t k = 0; k < w.size(); ++k)
      EXPECT_NEAR(weighted[k], one_by_one[k], 1e-12 * static_cast<double>(c.rows)) << form;
  }
}

INSTANTIATE_TEST_SUITE_P(Linear, Gradients,
                         ::testing::Values(Case{"lr", 2, 300, 28, 1}, Case{"lr", 2, 1, 1, 1},
                                           Case{"lr", 2, 37, 130, 0.1}, Case{"lr", 3, 300, 7, 1},
                                           Case{"lr", 10, 200, 12, 0.3}, Case{"svm", 2, 300, 28, 1},
                                           Case{"svm", 2, 37, 130, 0.1}, Case{"svm", 4, 300, 7, 1},
                                           Case{"svm", 3, 17, 40, 0.2},
                                           Case{"squared_svm", 2, 300, 28, 1},
                                           Case{"squared_svm", 2, 37, 130, 0.1},
                                           Case{"squared_svm", 4, 300, 7, 1}),
                         [](const auto& info) {
                           const Case& c = info.param;
                           return c.model + "_" + std::to_string(c.classes) + "_classes_" +
                                  std::to_string(c.rows) + "_rows_" + std::to_string(c.features) +
                                  "_features";
                         });

TEST(Linear, UnscaledParametersGiveTheSameMarginsOnRowsAsTheyAre) {
  for (const auto& [name, classes] : {std::pair("lr", 2U), std::pair("svm", 3U), {"linear", 2U}}) {
    Rows rows = random_rows(40, 5, classes, 8);
    const data::Scaling scaling{{100, -3, 0, 5, 0}, {0.1F, 7, 1, 0.01F, 30}};
    const data::Dataset scaled = data::scaled({rows.dense().features, {}, nullptr}, scaling);
    const auto model = make_model(name, shape_of(5, classes));
    std::vector<float> w = random_parameters(model->parameter_count(), 3);
    const Model::Prediction expected = model->predict({scaled.features, rows.targets()}, w);
    model->unscale(scaling, w);
    const Model::Prediction unscaled = model->predict(rows.dense(), w);
    for (std::size_t i = 0; i < 40; ++i)
      EXPECT_NEAR(unscaled.scores[i], expected.scores[i], 2e-5 * (1 + std::abs(expected.scores[i])))
          << name;
  }
  EXPECT_ANY_THROW(make_model("kmeans", shape_of(5, 2))->unscale({}, {}));
}

TEST_P(Gradients, ARowOfWeightTwoCountsAsTheRowTwice) {
  const Case& c = GetParam();
  Rows rows = random_rows(c.rows, c.features, c.classes, 7, c.density);
  // Weights 0, 1, 2 and 3, and the rows as often.
  std::vector<float> weights(c.rows);
  std::size_t copies = 0;
  for (std::size_t i = 0; i < c.rows; ++i) weights[i] = static_cast<float>((i + 2) % 4);
  for (const float weight : weights) copies += static_cast<std::size_t>(weight);
  Rows repeated(copies, c.features);
  for (std::size_t i = 0, to = 0; i < c.rows; ++i)
    for (int k = 0; k < static_cast<int>(weights[i]); ++k, ++to) {
      for (std::size_t j = 0; j < c.features; ++j) repeated.at(to, j) = rows.at(i, j);
      repeated.target(to) = rows.target(i);
    }
  const auto model = model_of(c);
  const std::vector<float> w = random_parameters(model->parameter_count(), 3);
  std::vector<float> expected(w.size());
  const Totals all = accumulate(*model, repeated.dense(), w, expected);
  const Totals unweighted = model->evaluate(rows.dense(), w);
  const auto n = static_cast<double>(copies);
  for (auto [form, batch] : rows.forms()) {
    batch.weights = weights;
    std::vector<float> sums(w.size());
    const Totals totals = accumulate(*model, batch, w, sums);
    EXPECT_NEAR(totals.loss, all.loss, 4e-6 * n + 1e-9) << form;
    EXPECT_EQ(totals.correct, unweighted.correct) << form;
    EXPECT_EQ(totals.rows, static_cast<double>(c.rows)) << form;
    for (std::size_t k = 0; k < w.size(); ++k)
      EXPECT_NEAR(sums[k], expected[k], 2e-6 * n + 1e-5) << form << " parameter " << k;
    EXPECT_NEAR(model->evaluate(batch, w).loss, totals.loss, 4e-6 * totals.loss + 1e-9) << form;
    std::vector<double> curvatures(w.size()), curvatures_of_copies(w.size());
    auto& gradients = dynamic_cast<GradientModel&>(*model);
    ASSERT_TRUE(gradients.add_curvatures(batch, curvatures));
    gradients.add_curvatures(repeated.dense(), curvatures_of_copies);
    for (std::size_t k = 0; k < w.size(); ++k)
      EXPECT_NEAR(curvatures[k], curvatures_of_copies[k], 1e-9 * n * curvatures_of_copies[k] + 1e-9)
          << form;
  }
}

TEST_P(Gradients, LossesAlongALineAreThoseOfItsPoints) {
  const Case& c = GetParam();
  Rows rows = random_rows(c.rows, c.features, c.classes, 7, c.density);
  std::vector<float> weights(c.rows);
  for (std::size_t i = 0; i < c.rows; ++i) weights[i] = static_cast<float>(i % 3) / 2;
  const auto model = model_of(c);
  auto& gradients = dynamic_cast<GradientModel&>(*model);
  const std::vector<float> w = random_parameters(model->parameter_count(), 3);
  const std::vector<float> direction = random_parameters(model->parameter_count(), 4);
  const std::vector<double> lengths{2, 0.5, 0.125};
  for (auto [form, batch] : rows.forms())
    for (const bool weighted : {false, true}) {
      if (weighted) batch.weights = weights;
      std::vector<double> losses(lengths.size(), 1.0);  // what is there already is added to
      gradients.add_losses_along(batch, w, direction, lengths, losses);
      for (std::size_t k = 0; k < lengths.size(); ++k) {
        std::vector<float> point(w.size());
        for (std::size_t i = 0; i < w.size(); ++i)
          point[i] = static_cast<float>(w[i] + lengths[k] * direction[i]);
        const double expected = model->evaluate(batch, point).loss;
        EXPECT_NEAR(losses[k] - 1, expected, 1e-5 * expected + 1e-6)
            << form << " at " << lengths[k];
      }
    }
}

TEST(Linear, CurvaturesByHand) {
  Rows rows(2, 2);
  rows.at(0, 0) = 2, rows.at(0, 1) = -3, rows.at(1, 0) = 1;
  const auto curvatures = [&](const std::string& name, std::size_t classes) {
    const auto model = make_model(name, shape_of(2, classes));
    std::vector<double> sums(model->parameter_count());
    dynamic_cast<GradientModel&>(*model).add_curvatures(rows.csr16(), sums);
    return sums;
  };
  EXPECT_EQ(curvatures("linear", 2), (std::vector<double>{5, 9, 2}));
  EXPECT_EQ(curvatures("lr", 2), (std::vector<double>{1.25, 2.25, 0.5}));
  EXPECT_EQ(curvatures("lr", 3), (std::vector<double>{2.5, 4.5, 2.5, 4.5, 2.5, 4.5, 1, 1, 1}));
}

TEST(Linear, WeighedErrorsOfNumbers) {
  Rows rows(3, 1);
  rows.target(0) = 1, rows.target(1) = 4, rows.target(2) = 9;
  const std::vector<float> weights{2, 1, 0};
  Batch batch = rows.dense();
  batch.weights = weights;
  const auto model = make_model("linear", shape_of(1, 2));
  const std::vector<float> at_two{0, 2};
  const Totals totals = model->evaluate(batch, at_two);  // errors 1, −2 and −7
  EXPECT_EQ(totals.loss, 3);
  EXPECT_EQ(totals.absolute_error, 4);
  EXPECT_EQ(totals.targets, 6);
  EXPECT_EQ(totals.squared_targets, 18);
  EXPECT_EQ(totals.rows, 3);
}

TEST(Linear, SmoothnessIsTheLargestEigenvalue) {
  // (x, 1)(x, 1)ᵀ of the rows ±(2, 0) and ±(0, 1) is on average diag(2, ½, 1); of (3) twice, that
  // of (3, 1), 10.
  Rows balanced(4, 2);
  balanced.at(0, 0) = 2, balanced.at(1, 0) = -2, balanced.at(2, 1) = 1, balanced.at(3, 1) = -1;
  Rows same(2, 1);
  same.at(0, 0) = same.at(1, 0) = 3;
  const auto smoothness = [](const std::string& name, Rows& rows, std::size_t classes) {
    const auto model = make_model(name, shape_of(rows.cols(), classes));
    return *dynamic_cast<GradientModel&>(*model).smoothness(rows.csr32());
  };
  EXPECT_NEAR(smoothness("linear", same, 2).of_all, 10, 1e-5);
  EXPECT_NEAR(smoothness("linear", same, 2).of_row, 10, 1e-5);
  EXPECT_NEAR(smoothness("lr", same, 2).of_all, 2.5, 1e-5);
  EXPECT_NEAR(smoothness("lr", same, 3).of_all, 5, 1e-5);
  // The mean of 1 + ‖x‖², 2 · ½ · (4 + 1)/2 …: (5 + 5 + 2 + 2)/4.
  EXPECT_NEAR(smoothness("linear", balanced, 2).of_row, 3.5, 1e-5);
}

TEST(Linear, StartsAtZeroWhereEachClassIsEquallyLikely) {
  run_workers(1, [](comm::Communicator& communicator) {
    Rows rows = random_rows(50, 4, 3, 5);
    const auto model = make_model("lr", shape_of(4, 3));
    std::vector<float> w(model->parameter_count(), 9.0F);
    const Batch batch = rows.dense();
    model->initialize({.rows = batch, .communicator = communicator}, w);
    EXPECT_THAT(w, ::testing::Each(0.0F));
    EXPECT_NEAR(model->evaluate(batch, w).loss, 50 * std::log(3.0), 1e-5);
  });
}

TEST(Linear, RowsOfUnknownLabelsCountAsWrongAndTeachNothing) {
  for (const std::string name : {"lr", "svm"}) {
    for (const std::size_t classes : {2U, 3U}) {
      Rows rows = random_rows(60, 5, classes, 11);
      Rows known(40, 5);
      Rows mixed(60, 5);
      for (std::size_t i = 0, k = 0; i < 60; ++i) {
        for (std::size_t j = 0; j < 5; ++j) mixed.at(i, j) = rows.at(i, j);
        mixed.target(i) = i % 3 == 1 ? -1.0F : rows.target(i);
        if (i % 3 == 1) continue;
        for (std::size_t j = 0; j < 5; ++j) known.at(k, j) = rows.at(i, j);
        known.target(k++) = rows.target(i);
      }
      const auto model = make_model(name, shape_of(5, classes));
      const std::vector<float> w = random_parameters(model->parameter_count(), 5);
      std::vector<float> expected(w.size());
      std::vector<float> sums(w.size());
      const Totals of_known = accumulate(*model, known.dense(), w, expected);
      const Totals of_mixed = accumulate(*model, mixed.dense(), w, sums);
      EXPECT_EQ(of_mixed.rows, 60);
      EXPECT_EQ(of_mixed.correct, of_known.correct);
      EXPECT_NEAR(of_mixed.loss, of_known.loss, 1e-5);
      for (std::size_t k = 0; k < w.size(); ++k) EXPECT_NEAR(sums[k], expected[k], 2e-5);
      if (name == "lr") {
        const auto p = model->predict(mixed.dense(), w).target_probabilities;
        EXPECT_EQ(p[1], 0.0F);
        EXPECT_GT(p[0], 0.0F);
      }
    }
  }
}

TEST(Linear, PredictsByHand) {
  Rows rows(3, 2);
  rows.at(0, 0) = 1;
  rows.at(1, 1) = 2;
  rows.target(0) = 1;
  rows.target(2) = 1;
  const auto lr = make_model("lr", shape_of(2, 2));
  const std::vector<float> w = {2, -1, -0.5F};  // margins 1.5, −2.5, −0.5
  const Model::Prediction binary = lr->predict(rows.dense(), w);
  EXPECT_THAT(binary.classes, ::testing::ElementsAre(1, 0, 0));
  EXPECT_THAT(binary.scores, ::testing::ElementsAre(1.5F, -2.5F, -0.5F));
  ASSERT_EQ(binary.target_probabilities.size(), 3);
  EXPECT_NEAR(binary.target_probabilities[0], 1 / (1 + std::exp(-1.5)), 1e-6);
  EXPECT_NEAR(binary.target_probabilities[1], 1 / (1 + std::exp(-2.5)), 1e-6);
  EXPECT_NEAR(binary.target_probabilities[2], 1 / (1 + std::exp(0.5)), 1e-6);
  EXPECT_EQ(lr->evaluate(rows.dense(), w).correct, 2);
  EXPECT_TRUE(lr->predict({rows.dense().features, {}}, w).target_probabilities.empty());
  EXPECT_TRUE(
      make_model("svm", shape_of(2, 2))->predict(rows.dense(), w).target_probabilities.empty());

  const auto softmax = make_model("lr", shape_of(2, 3));
  // W = (1 0; 0 1; 0 0), b = (0, 0, 0.5): margins (1 0 .5), (0 2 .5), (0 0 .5).
  const std::vector<float> w3 = {1, 0, 0, 1, 0, 0, 0, 0, 0.5F};
  const Model::Prediction many = softmax->predict(rows.dense(), w3);
  EXPECT_THAT(many.classes, ::testing::ElementsAre(0, 1, 2));
  EXPECT_THAT(many.scores, ::testing::ElementsAre(1.0F, 2.0F, 0.5F));
  EXPECT_NEAR(many.target_probabilities[0], 1 / (std::exp(1.0) + 1 + std::exp(0.5)), 1e-6);
}

TEST(Linear, LargeMarginsGiveNeitherInfinityNorNan) {
  Rows rows(4, 1);
  for (std::size_t i = 0; i < 4; ++i) {
    rows.at(i, 0) = i % 2 == 0 ? 1e4F : -1e4F;
    rows.target(i) = i < 2 ? 1 : 0;
  }
  for (const std::size_t classes : {2U, 3U}) {
    const auto model = make_model("lr", shape_of(1, classes));
    const std::vector<float> w =
        classes == 2 ? std::vector<float>{1, 0} : std::vector<float>{-1, 1, 0, 0, 0, 0};
    std::vector<float> sums(w.size());
    const Totals totals = accumulate(*model, rows.dense(), w, sums);
    // Two rows are right by a wide margin, the others wrong by 10⁴ (the third class: 10⁴ more).
    EXPECT_NEAR(totals.loss, classes == 2 ? 2e4 : 4e4, 1);
    for (const float value : sums) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(Linear, ThreadsChangeRoundingOnlyAndAreDeterministic) {
  for (const bool sparse : {false, true}) {
    Rows rows = random_rows(12'000, 30, 2, 21, sparse ? 0.9 : 1);
    const Batch batch = sparse ? rows.csr16() : rows.dense();
    const auto one = make_model("lr", shape_of(30, 2));
    const auto three = make_model("lr", shape_of(30, 2), {{"threads", "3"}});
    const std::vector<float> w = random_parameters(31, 2);
    std::vector<float> expected(31);
    std::vector<float> sums(31);
    std::vector<float> again(31);
    const Totals a = accumulate(*one, batch, w, expected);
    const Totals b = accumulate(*three, batch, w, sums);
    const Totals c = accumulate(*three, batch, w, again);
    EXPECT_EQ(sums, again);
    EXPECT_EQ(b.loss, c.loss);
    EXPECT_NEAR(a.loss, b.loss, 1e-6 * a.loss);
    EXPECT_EQ(a.correct, b.correct);
    EXPECT_EQ(b.rows, 12'000);
    for (std::size_t k = 0; k < 31; ++k) EXPECT_NEAR(sums[k], expected[k], 2e-2);
    EXPECT_NEAR(three->evaluate(batch, w).loss, b.loss, 4e-6 * b.loss);
  }
}

TEST(Linear, RefusesDataItCannotLearnFrom) {
  EXPECT_THAT(
      message_of([] { make_model("lr", {.features = 3, .labels = {7}}); }),
      HasSubstr(
          "at least two classes, and every label is 7: name the column of labels by --label"));
  EXPECT_THAT(message_of([] { make_model("svm", {.features = 3, .labels = {}}); }),
              HasSubstr("needs labels"));
  EXPECT_THAT(message_of([] {
                make_model("lr", {.features = 0, .labels = {0, 1}});
              }),
              HasSubstr("at least one feature"));
}

}  // namespace
}  // namespace lambdaml::model
