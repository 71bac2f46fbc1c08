#include "lambdaml/worker/split.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/data/source.h"
#include "lambdaml/model/testing/testing.h"

namespace lambdaml::worker {
namespace {

using ::testing::HasSubstr;

/// A set in memory with one label per row; feature 0 is the row's number.
struct File {
  std::vector<float> values = {};
  std::vector<std::int32_t> labels = {};
  std::size_t cols = 3;
  std::vector<float> weights = {};

  data::Dataset dataset() const {
    data::Dataset out{tensor::DenseView{values.data(), labels.size(), cols}, labels, nullptr};
    out.weights = weights;
    return out;
  }
};

/// Three classes of 45, 45 and 10 rows whose clouds overlap, sorted by class.
File sorted_file() {
  File file;
  Rng rng(8);
  for (const auto& [label, rows] : {std::pair(0, 45), std::pair(1, 45), std::pair(2, 10)})
    for (int i = 0; i < rows; ++i) {
      file.values.push_back(static_cast<float>(file.labels.size()));
      file.values.push_back(static_cast<float>(1.5 * label + rng.normal()));
      file.values.push_back(static_cast<float>((label == 2 ? 2 : 0) + rng.normal()));
      file.labels.push_back(label);
    }
  return file;
}

File shuffled(const File& file, std::uint64_t seed) {
  File out;
  for (const std::uint32_t row : data::pass_order(file.labels.size(), 0, seed, 0, 0)) {
    out.labels.push_back(file.labels[row]);
    const auto begin = file.values.begin() + static_cast<std::ptrdiff_t>(row * file.cols);
    out.values.insert(out.values.end(), begin, begin + static_cast<std::ptrdiff_t>(file.cols));
  }
  return out;
}

struct Worker {
  model::Rows rows;  ///< arranged
  Split split;
};

/// The rules and the rows of the workers, in the order of their parts.
struct Parts {
  Parts(const File& file, std::uint32_t workers, std::uint64_t seed) {
    std::vector<std::uint64_t> part_rows(workers);
    for (std::size_t r = 0; r < file.labels.size(); ++r) ++part_rows[r % workers];
    for (std::uint32_t w = 0; w < workers; ++w) {
      rules.push_back(
          {.worker = w, .part_rows = part_rows, .classes = 3, .ratio = 0.1, .seed = seed});
      rows.push_back(model::with_targets(data::take_part(file.dataset(), w, workers), {0, 1, 2}));
    }
  }
  std::vector<SplitRule> rules;
  std::vector<model::Rows> rows;
};

std::vector<Worker> split_file(const File& file, std::uint32_t workers, std::uint64_t seed,
                               std::uint64_t folds = 0, std::uint64_t fold = 0) {
  Parts parts(file, workers, seed);
  for (SplitRule& rule : parts.rules) {
    rule.folds = folds;
    rule.fold = fold;
  }
  std::vector<Worker> out(workers);
  model::testing::run_workers(workers, [&](comm::Communicator& communicator) {
    const std::uint32_t w = communicator.worker();
    out[w].split = agree_on_split(parts.rules[w], parts.rows[w], communicator);
    out[w].rows = arranged(parts.rows[w], parts.rules[w], out[w].split);
  });
  return out;
}

/// The same without messages, which would take a minute for hundreds of splits.
std::vector<Worker> split_in_turn(const File& file, std::uint32_t workers, std::uint64_t seed) {
  const Parts parts(file, workers, seed);
  data::HoldOutSearch search(3, 0.1, file.labels.size());
  while (!search.found()) {
    std::vector<double> sums(search.sums_count());
    for (std::uint32_t w = 0; w < workers; ++w)
      search.count(rows_of(parts.rules[w], parts.rows[w]), sums);
    search.learn(sums);
  }
  Split split{{}, search.bounds()};
  for (std::uint32_t w = 0; w < workers; ++w)
    split.training_rows.push_back(
        data::arrange(rows_of(parts.rules[w], parts.rows[w]), split.bounds).training_rows);
  std::vector<Worker> out(workers);
  for (std::uint32_t w = 0; w < workers; ++w)
    out[w] = {arranged(parts.rows[w], parts.rules[w], split), split};
  return out;
}

/// Calls f(features, class) for the workers' training rows, or for those that are held out.
template <class F>
void each_row(const std::vector<Worker>& workers, bool training, const F& f) {
  for (std::size_t w = 0; w < workers.size(); ++w) {
    const std::size_t middle = workers[w].split.training_rows[w];
    const model::Rows& rows = workers[w].rows;
    const auto& dense = std::get<tensor::DenseView>(rows.data.features);
    for (std::size_t r = training ? 0 : middle; r < (training ? middle : rows.size()); ++r)
      f(dense.row(r), static_cast<std::size_t>(rows.targets[r]));
  }
}

TEST(Split, IsOneForAnyNumberOfWorkersAndExactForEachClass) {
  const File file = sorted_file();
  std::set<float> first;
  for (const std::uint32_t workers : {1U, 2U, 7U, 50U, 150U}) {
    const std::vector<Worker> all = split_file(file, workers, 5);
    std::set<float> held;
    std::vector<int> by_class(3);
    each_row(all, false, [&](auto row, std::size_t c) {
      held.insert(row[0]);
      ++by_class[c];
    });
    EXPECT_EQ(by_class, (std::vector<int>{5, 5, 1})) << workers;  // 4.5, 4.5 and 1
    std::size_t trained = 0;
    each_row(all, true, [&](auto row, std::size_t) {
      EXPECT_FALSE(held.contains(row[0]));
      ++trained;
    });
    EXPECT_EQ(trained, 89U);
    for (const Worker& worker : all) {
      EXPECT_EQ(worker.split.training_rows, all[0].split.training_rows);
      EXPECT_EQ(worker.split.bounds, all[0].split.bounds);
    }
    if (first.empty()) first = held;
    EXPECT_EQ(held, first) << workers;
    const std::vector<Worker> in_turn = split_in_turn(file, workers, 5);
    EXPECT_EQ(in_turn[0].split.bounds, all[0].split.bounds);
    EXPECT_EQ(in_turn[0].split.training_rows, all[0].split.training_rows);
  }
}

TEST(Split, FoldsArePartsOfEachClassThatTogetherHaveEveryRowOnce) {
  const File file = sorted_file();
  for (const std::uint64_t folds : {2U, 3U, 10U, 20U}) {
    std::set<float> all_held;
    for (std::uint64_t fold = 0; fold < folds; ++fold) {
      std::set<float> first;
      for (const std::uint32_t workers : {1U, 3U}) {
        const std::vector<Worker> all = split_file(file, workers, 5, folds, fold);
        std::set<float> held;
        std::vector<std::uint64_t> by_class(3);
        each_row(all, false, [&](auto row, std::size_t c) {
          held.insert(row[0]);
          ++by_class[c];
        });
        const std::uint64_t rows[] = {45, 45, 10};
        for (std::size_t c = 0; c < 3; ++c) {
          EXPECT_GE(by_class[c], rows[c] / folds) << folds << ", " << fold;
          EXPECT_LE(by_class[c], rows[c] / folds + 1) << folds << ", " << fold;
        }
        if (first.empty()) first = held;
        EXPECT_EQ(held, first) << workers;
        const Split& split = all[0].split;
        const Split saved = Split::from_json(split.to_json(), workers, 3);
        EXPECT_EQ(saved.bounds, split.bounds);
        EXPECT_EQ(saved.from, split.from);
        EXPECT_EQ(saved.training_rows, split.training_rows);
      }
      for (const float row : first) EXPECT_TRUE(all_held.insert(row).second) << row;
    }
    EXPECT_EQ(all_held.size(), file.labels.size()) << folds;
  }
}

/// The accuracy and the mean squared distance of the classifier that takes the class whose training
/// rows have the nearest mean.
std::pair<double, double> validate(const std::vector<Worker>& workers) {
  std::vector<std::array<double, 3>> sums(3);
  each_row(workers, true, [&](auto row, std::size_t c) {
    for (std::size_t j = 1; j < 3; ++j) sums[c][j] += row[j];
    ++sums[c][0];
  });
  double correct = 0, distances = 0, rows = 0;
  each_row(workers, false, [&](auto row, std::size_t c) {
    std::vector<double> squared(3);
    for (std::size_t k = 0; k < 3; ++k)
      for (std::size_t j = 1; j < 3; ++j)
        squared[k] += std::pow(row[j] - sums[k][j] / sums[k][0], 2);
    correct += std::ranges::min_element(squared) - squared.begin() == static_cast<long>(c) ? 1 : 0;
    distances += squared[c];
    ++rows;
  });
  return {correct / rows, distances / rows};
}

/// The largest distance of two samples' distribution functions (Kolmogorov, Smirnov).
double apart(std::vector<double> a, std::vector<double> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  double most = 0;
  for (const std::vector<double>* sample : {&a, &b})
    for (const double x : *sample) {
      const auto share = [&](const std::vector<double>& of) {
        return static_cast<double>(std::ranges::upper_bound(of, x) - of.begin()) /
               static_cast<double>(of.size());
      };
      most = std::max(most, std::abs(share(a) - share(b)));
    }
  return most;
}

TEST(Split, ASortedFileIsValidatedAsAShuffledOne) {
  const File sorted = sorted_file();
  constexpr std::uint64_t kSeeds = 200;
  // The two-sample test's bound at a level of 0.001: 1.949 √(2/n).
  const double bound = 1.949 * std::sqrt(2.0 / kSeeds);
  for (const std::uint32_t workers : {1U, 4U, 50U}) {
    std::vector<double> accuracies[2], distances[2];
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed)
      for (const bool mixed : {false, true}) {
        const File file = mixed ? shuffled(sorted, seed) : sorted;
        const auto [accuracy, distance] = validate(split_in_turn(file, workers, seed));
        accuracies[mixed ? 1 : 0].push_back(accuracy);
        distances[mixed ? 1 : 0].push_back(distance);
      }
    EXPECT_LT(apart(accuracies[0], accuracies[1]), bound) << workers << " workers";
    EXPECT_LT(apart(distances[0], distances[1]), bound) << workers << " workers";
    // The test sees a difference where there is one: validation on the end of the sorted file.
    std::vector<double> of_the_end(kSeeds, 1.0);
    EXPECT_GT(apart(accuracies[0], of_the_end), bound);
  }
}

TEST(Split, TravelsThroughACheckpoint) {
  Split split{{3, 0, 7}, {~std::uint64_t{0}, 0, 1ULL << 63}};
  split.weights = 0.1 + 0.2;
  const Split read = Split::from_json(split.to_json(), 3, 3);
  EXPECT_EQ(read.training_rows, split.training_rows);
  EXPECT_EQ(read.bounds, split.bounds);
  EXPECT_EQ(read.weights, split.weights);
  for (const std::string& text : {std::string(), std::string("{}"), split.to_json()}) try {
      Split::from_json(text, 2, 3);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::data_corrupt);
      EXPECT_THAT(error.what(), HasSubstr("the split in a checkpoint"));
    }
}

TEST(Split, KnowsTheSumOfTheTrainingRowsWeights) {
  File file = sorted_file();
  for (std::size_t r = 0; r < file.labels.size(); ++r)
    file.weights.push_back(static_cast<float>(r % 7) / 4);
  const double all = std::accumulate(file.weights.begin(), file.weights.end(), 0.0);
  for (const std::uint32_t workers : {1U, 3U, 7U}) {
    Parts parts(file, workers, 5);
    for (SplitRule& rule : parts.rules) rule.weights = all;
    model::testing::run_workers(workers, [&](comm::Communicator& communicator) {
      const std::uint32_t w = communicator.worker();
      SplitRule rule = parts.rules[w];
      const Split split = agree_on_split(rule, parts.rows[w], communicator);
      EXPECT_EQ(split.training_rows.size(), workers);
      const model::Rows own = arranged(parts.rows[w], rule, split);
      std::vector<double> sum(1);
      for (std::uint64_t i = 0; i < split.training_rows[w]; ++i) {
        sum[0] += own.data.weights[i];
        // They stay with their rows.
        const auto number =
            static_cast<std::size_t>(std::get<tensor::DenseView>(own.data.features).row(i)[0]);
        EXPECT_EQ(own.data.weights[i], file.weights[number]);
      }
      communicator.merge({{}, sum}, comm::Meaning::state);
      EXPECT_EQ(split.weights, sum[0]);
      EXPECT_LT(split.weights, all);
      rule.ratio = 0;
      EXPECT_EQ(agree_on_split(rule, parts.rows[w], communicator).weights, all);
    });
  }
}

TEST(Split, WithoutHeldOutRowsAndInOldVersionsNothingIsMerged) {
  const File file = sorted_file();
  model::testing::run_workers(2, [&](comm::Communicator& communicator) {
    SplitRule rule{.worker = communicator.worker(), .part_rows = {50, 50}, .classes = 3};
    const model::Rows own =
        model::with_targets(data::take_part(file.dataset(), rule.worker, 2), {0, 1, 2});
    const Split all = agree_on_split(rule, own, communicator);
    EXPECT_EQ(all.training_rows, rule.part_rows);
    const model::Rows same = arranged(own, rule, all);
    EXPECT_EQ(std::get<tensor::DenseView>(same.data.features).data,
              std::get<tensor::DenseView>(own.data.features).data);  // not copied
    rule.version = data::OrderVersion::tail_mixed;
    rule.ratio = 0.1;
    EXPECT_EQ(agree_on_split(rule, own, communicator).training_rows,
              (std::vector<std::uint64_t>{45, 45}));
    EXPECT_EQ(communicator.round(), 0U);
  });
}

TEST(ShuffledBatches, VisitEachTrainingRowOnceInAPassInAnotherOrder) {
  const File file = sorted_file();
  const model::Rows rows = model::with_targets(file.dataset(), {0, 1, 2});
  ShuffledBatches batches(rows, 90, 2, 7);
  std::set<std::vector<float>> orders;
  for (const std::uint64_t epoch : {0U, 1U})
    for (const std::uint64_t pass : {0U, 1U}) {
      std::vector<float> visited;
      const auto of = [&](std::uint64_t step) {
        return batches.of(epoch, pass, step, data::batch_rows(90, 20, step));
      };
      for (std::uint64_t step = 0; step < 5; ++step) {
        const model::Batch batch = of(step);
        // A batch stays while the next one is announced, and is the same if the step is repeated.
        if (step < 4) of(step + 1);
        const auto& dense = std::get<tensor::DenseView>(batch.features);
        EXPECT_EQ(std::get<tensor::DenseView>(of(step).features).data, dense.data);
        ASSERT_EQ(batch.rows(), step < 4 ? 20U : 10U);
        for (std::size_t r = 0; r < batch.rows(); ++r) {
          visited.push_back(dense.row(r)[0]);
          EXPECT_EQ(batch.targets[r],
                    static_cast<float>(file.labels[static_cast<std::size_t>(visited.back())]));
        }
      }
      EXPECT_EQ(batches.of(epoch, pass, 5, data::batch_rows(90, 20, 5)).rows(), 0U);
      EXPECT_TRUE(orders.insert(visited).second);
      std::sort(visited.begin(), visited.end());
      for (std::size_t r = 0; r < 90; ++r) ASSERT_EQ(visited[r], static_cast<float>(r));
    }
}

}  // namespace
}  // namespace lambdaml::worker
