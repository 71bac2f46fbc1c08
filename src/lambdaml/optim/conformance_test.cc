#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/testing/patterns.h"
#include "lambdaml/optim/testing/problems.h"
#include "lambdaml/optim/testing/testing.h"

namespace {
std::atomic<std::size_t> held_bytes{0};
std::atomic<std::size_t> most_held_bytes{0};

void* counted(void* p) {
  if (p == nullptr) return p;
  const std::size_t size = ::malloc_usable_size(p);
  const std::size_t now = held_bytes += size;
  std::size_t most = most_held_bytes;
  while (most < now && !most_held_bytes.compare_exchange_weak(most, now)) continue;
  return p;
}
void freed(void* p) {
  if (p != nullptr) held_bytes -= ::malloc_usable_size(p);
  std::free(p);
}
}  // namespace

// Counts the memory of this executable.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* p = counted(std::malloc(size == 0 ? 1 : size))) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted(std::malloc(size == 0 ? 1 : size));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { freed(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { freed(p); }

/// What every optimizer must do, with the model it is for.
namespace lambdaml::optim {
namespace {

using namespace testing;
using model::testing::make_model;
using model::testing::random_rows;
using model::testing::shape_of;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

struct Subject {
  std::string name;  ///< of the test
  std::string optimizer;
  std::string model;
  std::map<std::string, std::string> options = {};

  friend void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.name; }
};

class Conformance : public ::testing::TestWithParam<Subject> {
 protected:
  Job job(std::vector<Rows> parts) const {
    const Subject& subject = GetParam();
    const std::size_t features = parts[0].cols();
    const std::map<std::string, std::string> own =
        subject.model == "kmeans" ? std::map<std::string, std::string>{{"clusters", "4"}}
                                  : std::map<std::string, std::string>{};
    return {.model = [=] { return make_model(subject.model, shape_of(features, 3), own); },
            .parts = std::move(parts),
            .optimizer = subject.optimizer,
            .options = subject.options,
            .epochs = 3,
            .batch = 16};
  }
};

TEST_P(Conformance, AllWorkersEndWithTheSameModelAndItIsBetter) {
  const Rows rows = random_rows(210, 6, 3, 1);
  for (const std::size_t workers : {1U, 2U, 4U, 7U}) {
    const Trained trained = train(job(cut(rows, workers)));
    for (const auto& model : trained.models) EXPECT_EQ(model, trained.parameters());
    EXPECT_LT(trained.totals.back().loss, 0.95 * trained.totals.front().loss) << workers;
    for (const model::Totals& totals : trained.totals) {
      EXPECT_EQ(totals.rows, 210) << workers;
      EXPECT_LE(totals.correct, 210);
    }
    EXPECT_EQ(train(job(cut(rows, workers))).parameters(), trained.parameters());
  }
}

TEST_P(Conformance, ReportsTheMetricsThatItDeclares) {
  const Trained trained = train(job(cut(random_rows(40, 6, 3, 1), 2)));
  std::vector<std::string> declared, reported;
  for (const Metric& metric : registry().get(GetParam().optimizer).metrics) {
    declared.push_back(metric.name);
    EXPECT_FALSE(metric.help.empty()) << metric.name;
  }
  for (const auto& [name, value] : trained.metrics.back()) reported.push_back(name);
  EXPECT_THAT(reported, ::testing::UnorderedElementsAreArray(declared));
}

TEST_P(Conformance, UnequalPartsAndEmptyOnes) {
  const Rows rows = random_rows(70, 6, 3, 2);
  const std::vector<Rows> halves = cut(rows, 2);
  const Rows nothing(0, 6);
  const std::vector<Rows> quarter = cut(halves[1], 5);
  const Trained trained =
      train(job({nothing, halves[0], quarter[0], quarter[1], quarter[2], quarter[3], quarter[4]}));
  for (const auto& model : trained.models) EXPECT_EQ(model, trained.parameters());
  for (const float value : trained.parameters()) EXPECT_TRUE(std::isfinite(value));
  for (const model::Totals& totals : trained.totals) EXPECT_EQ(totals.rows, 70);
  EXPECT_LT(trained.totals.back().loss, 0.98 * trained.totals.front().loss);
}

TEST_P(Conformance, RestoredAfterAnyStepGoesOnBitwise) {
  const Rows rows = random_rows(90, 6, 3, 3);
  Job whole = job(cut(rows, 2));
  Job broken = whole;
  broken.restore_each_step = true;
  const Trained expected = train(whole);
  const Trained restored = train(broken);
  EXPECT_EQ(restored.models, expected.models);
  ASSERT_EQ(restored.totals.size(), expected.totals.size());
  for (std::size_t e = 0; e < expected.totals.size(); ++e) {
    EXPECT_EQ(restored.totals[e].loss, expected.totals[e].loss);
    EXPECT_EQ(restored.totals[e].correct, expected.totals[e].correct);
  }
  EXPECT_EQ(restored.metrics, expected.metrics);
}

/// In bytes: state() and scalars().
std::size_t saved_bytes(Optimizer& optimizer) {
  std::size_t bytes = optimizer.scalars().size() * sizeof(double);
  for (const auto& [name, values] : optimizer.state()) bytes += values.size_bytes();
  return bytes;
}

TEST_P(Conformance, SaysBeforeItBeginsHowMuchMemoryItTakes) {
  const Job one = [&] {
    Job some = job(cut(random_rows(12, 20'000, 3, 1), 1));
    some.batch = 6;  // two rounds, so that a state is also one within a pass
    return some;
  }();
  const std::vector<float> initial = initial_parameters(one).front();
  model::testing::run_workers(1, [&](comm::Communicator& communicator) {
    const auto model = one.model();
    const Rounds rounds(one);
    const Plugin& plugin = registry().get(one.optimizer);
    const Options options = options_of(plugin, one.options);
    const std::size_t before = held_bytes;
    most_held_bytes = before;
    const auto optimizer = plugin.make({.model = *model,
                                        .communicator = communicator,
                                        .rows_per_round = rounds.rows_per_round(),
                                        .rows = rounds.rows(),
                                        .own_rows = rounds.rows(),
                                        .epochs = one.epochs},
                                       options);
    EXPECT_LT(most_held_bytes - before, initial.size()) << "before it is known whether that fits";
    const auto vectors = static_cast<double>(optimizer->vector_bytes());
    const auto state = static_cast<double>(optimizer->state_bytes());
    std::vector<float> start;
    for (std::size_t i = 0; i < optimizer->starts(); ++i)
      start.insert(start.end(), initial.begin(), initial.end());
    const std::size_t without = held_bytes;
    optimizer->prepare(one.parts[0].dense(), communicator);
    optimizer->begin(start);
    std::size_t saved = saved_bytes(*optimizer), most = 0;
    for (Position p; p.epoch < one.epochs; ++p.epoch)
      for (p.pass = 0; p.pass < optimizer->passes_per_epoch(); ++p.pass)
        for (p.round = 0; p.round < rounds.count(); ++p.round) {
          p.last_of_pass = p.round + 1 == rounds.count();
          p.last_of_epoch = p.last_of_pass && p.pass + 1 == optimizer->passes_per_epoch();
          most_held_bytes = held_bytes.load();
          optimizer->step(rounds.batch_of(one.parts[0], p.round), p);
          most = std::max<std::size_t>(most, most_held_bytes - without);
          saved = std::max(saved, saved_bytes(*optimizer));
        }
    EXPECT_GT(static_cast<double>(most) / vectors, 0.9);
    EXPECT_LT(static_cast<double>(most) / vectors, 1.2);  // the model takes some, too
    EXPECT_NEAR(static_cast<double>(saved) / state, 1, 0.05);
  });
}

TEST_P(Conformance, RefusesScalarsOfAnother) {
  model::testing::run_workers(1, [&](comm::Communicator& communicator) {
    const Job one = job(cut(random_rows(20, 6, 3, 1), 1));
    const auto model = one.model();
    const Plugin& plugin = registry().get(one.optimizer);
    const auto optimizer = plugin.make({.model = *model,
                                        .communicator = communicator,
                                        .rows_per_round = {20},
                                        .rows = 20,
                                        .own_rows = 20},
                                       options_of(plugin, one.options));
    const std::vector<double> scalars(17);
    EXPECT_THROW(optimizer->set_scalars(scalars), Error);
  });
}

TEST_P(Conformance, AllWaitingPatternsGiveBitwiseTheSameModel) {
  for (const std::size_t workers : {1U, 2U, 4U, 7U}) {
    Job one = job(cut(random_rows(150, 6, 3, 4), workers));
    const Trained reduced = train(one);
    for (const std::string& pattern : comm::waiting_patterns()) {
      one.sync_mode = pattern;
      EXPECT_EQ(train(one).models, reduced.models) << pattern << ", " << workers << " workers";
    }
  }
}

/// Trains by a pattern without waiting, in this order, and checks that all workers end with the
/// same model.
std::vector<float> train_without_waiting(Job job, const std::string& pattern, Order order) {
  job.sync_mode = pattern;
  job.order = order;
  const Trained trained = train(job);
  for (const auto& model : trained.models)
    for (std::size_t i = 0; i < model.size(); ++i)
      EXPECT_NEAR(model[i], trained.parameters()[i], 2e-5);  // rounding of sums in other orders
  return trained.parameters();
}

/// Optimizers that do not need all workers in every merge.
class WithoutWaiting : public Conformance {};

TEST_P(WithoutWaiting, AllEndWithOneModel) {
  // In whatever order the threads run: how good the model is depends on it.
  const Rows rows = random_rows(400, 6, 3, 6);
  Job asynchronous = job(cut(rows, 4));
  asynchronous.epochs = 12;
  for (const std::string& pattern : comm::patterns_without_waiting())
    train_without_waiting(asynchronous, pattern, Order::free);
}

TEST_P(WithoutWaiting, TheModelIsBetterThanOfOnePart) {
  // What the workers learn from each other must be worth more than nothing, when all are as fast
  // and when each has ended before the next one begins.
  // The steps of Adam and LARS, and clipped ones, have one length whatever the rows say, and twelve
  // epochs of them do not suffice.
  const auto optimizer = GetParam().options.find("optimizer");
  if ((optimizer != GetParam().options.end() && optimizer->second != "nesterov") ||
      GetParam().options.contains("clip_norm"))
    return;
  const Rows rows = random_rows(400, 6, 3, 6);
  Job asynchronous = job(cut(rows, 4));
  asynchronous.epochs = 12;
  const auto loss_of = [&](const std::vector<float>& parameters) {
    return asynchronous.model()->evaluate(rows.dense(), parameters).loss;
  };
  double alone = 1e300;
  for (const Rows& part : asynchronous.parts) {
    Job one = asynchronous;
    one.parts = {part};
    alone = std::min(alone, loss_of(train(one).parameters()));
  }
  for (const std::string& pattern : comm::patterns_without_waiting())
    for (const Order order : {Order::turns, Order::one_after_another})
      EXPECT_LT(loss_of(train_without_waiting(asynchronous, pattern, order)), alone) << pattern;
}

/// Why the optimizer with its default options does not train the model of two features; empty if it
/// does.
std::string refusal(const Plugin& plugin,
                    const std::function<std::unique_ptr<model::Model>()>& make) {
  try {
    train({.model = make,
           .parts = cut(random_rows(20, 2, 2, 1), 1),
           .optimizer = plugin.name,
           .epochs = 1});
    return "";
  } catch (const Error& error) {
    return fmt::format("{}: {}", to_string(error.code()), error.what());
  }
}
std::string refusal(const Plugin& plugin, const model::Plugin& model) {
  return refusal(plugin, [&] { return make_model(model.name, shape_of(2, 2)); });
}

/// The registered models that learn from rows of any number of features.
std::vector<model::Plugin> models() {
  std::vector<model::Plugin> out = model::registry().entries();
  std::erase_if(out, [](const model::Plugin& plugin) {
    return plugin.needs_images || !plugin.file_option.empty();
  });
  return out;
}

/// A registered model that the optimizer can train, with its own options as they are by default.
std::string model_for(const Plugin& plugin) {
  for (const model::Plugin& candidate : models())
    if (refusal(plugin, candidate).empty()) return candidate.name;
  ADD_FAILURE() << "no registered model is for the optimizer " << plugin.name;
  return "lr";
}

/// Each registered optimizer, with its default options unless a subject has its name.
std::vector<Subject> subjects() {
  std::vector<Subject> out = {
      {"grad_avg_all_options",
       "grad_avg",
       "svm",
       {{"momentum", "0.9"},
        {"l2", "0.01"},
        {"lr", "0.05"},
        {"lr_schedule", "cosine"},
        {"warmup_epochs", "1"}}},
      {"model_avg_all_options",
       "model_avg",
       "lr",
       {{"momentum", "0.5"}, {"l2", "0.01"}, {"lr_schedule", "inverse"}}},
      {"automatic_rate", "grad_avg", "lr", {{"lr", "auto"}}},
      {"automatic_rate_of_averages",
       "model_avg",
       "svm",
       {{"lr", "auto"}, {"momentum", "0.5"}, {"l2", "auto"}}},
      {"adam", "grad_avg", "lr", {{"optimizer", "adam"}, {"l2", "0.01"}, {"lr", "0.01"}}},
      {"adamw_of_averages",
       "model_avg",
       "lr",
       {{"optimizer", "adamw"}, {"l2", "0.01"}, {"lr", "auto"}}},
      {"merged_momentum",
       "grad_avg",
       "lr",
       {{"momentum", "0.9"}, {"moments", "merged"}, {"l2", "0.01"}, {"lr", "0.05"}}},
      {"nesterov",
       "grad_avg",
       "svm",
       {{"optimizer", "nesterov"}, {"momentum", "0.5"}, {"lr", "0.05"}}},
      {"adamw_with_all",
       "grad_avg",
       "lr",
       {{"optimizer", "adamw"},
        {"l2", "0.01"},
        {"lr", "0.03"},
        {"clip_norm", "1"},
        {"ema", "0.5"},
        {"lr_schedule", "one_cycle"}}},
      {"lars",
       "grad_avg",
       "lr",
       {{"optimizer", "lars"},
        {"momentum", "0.5"},
        {"l2", "0.01"},
        {"lr", "1"},
        {"lars_trust", "0.05"},
        {"clip_norm", "0.5"}}},
      {"own_moments",
       "grad_avg",
       "lr",
       {{"optimizer", "adam"}, {"moments", "own"}, {"lr", "0.01"}, {"clip_norm", "1"}}},
      {"clipped_shares",
       "grad_avg",
       "svm",
       {{"momentum", "0.5"}, {"lr", "0.1"}, {"clip_norm", "0.5"}}},
      {"averaged_moments",
       "model_avg",
       "lr",
       {{"optimizer", "adam"},
        {"moments", "merged"},
        {"lr", "0.02"},
        {"clip_norm", "1"},
        {"ema", "0.2"},
        {"lr_schedule", "linear"}}},
      {"nesterov_of_averages",
       "model_avg",
       "svm",
       {{"optimizer", "nesterov"}, {"momentum", "0.9"}, {"lr", "0.05"}, {"clip_norm", "2"}}},
      {"lars_of_averages",
       "model_avg",
       "lr",
       {{"optimizer", "lars"}, {"momentum", "0.5"}, {"lr", "1"}, {"lars_trust", "0.05"}}},
      {"admm", "admm", "lr", {{"epochs", "3"}, {"rho", "0.5"}}},
      {"admm_by_lbfgs", "admm", "lr", {{"admm_solver", "lbfgs"}, {"epochs", "6"}, {"l2", "auto"}}},
      {"admm_balanced",
       "admm",
       "lr",
       {{"admm_solver", "lbfgs"}, {"rho", "auto"}, {"lambda", "0.001"}}},
      {"admm_accelerated",
       "admm",
       "lr",
       {{"admm_solver", "lbfgs"}, {"rho", "auto"}, {"l2", "auto"}, {"admm_memory", "2"}}},
      {"admm_all_options",
       "admm",
       "lr",
       {{"epochs", "2"},
        {"rho", "0.5"},
        {"lambda", "0.001"},
        {"l2", "0.01"},
        {"momentum", "0.5"},
        {"lr_schedule", "step"}}},
      {"lbfgs_all_options",
       "lbfgs",
       "lr",
       {{"lbfgs_memory", "2"},
        {"l2", "0.01"},
        {"lambda", "0.001"},
        {"lbfgs_tolerance_gradient", "1e-3"},
        {"lbfgs_tolerance_loss", "1e-3"}}},
      {"lbfgs_in_double", "lbfgs", "lr", {{"lbfgs_precision", "float64"}, {"l2", "0.01"}}},
      {"sparse_lbfgs_in_double",
       "lbfgs",
       "lr",
       {{"lbfgs_precision", "float64"}, {"lbfgs_memory", "2"}, {"lambda", "0.001"}}}};
  for (const Plugin& plugin : registry().entries())
    if (std::ranges::find(out, plugin.name, &Subject::name) == out.end())
      out.push_back({plugin.name, plugin.name, model_for(plugin)});
  return out;
}

INSTANTIATE_TEST_SUITE_P(Optimizers, Conformance, ::testing::ValuesIn(subjects()),
                         [](const auto& info) { return info.param.name; });

std::vector<Subject> subjects_without_waiting() {
  std::vector<Subject> out = subjects();
  std::erase_if(out, [](const Subject& subject) {
    // What follows from the data of all needs all of them once.
    const auto is_automatic = [&](const char* name) {
      const auto found = subject.options.find(name);
      return found != subject.options.end() && found->second == "auto";
    };
    // The fixed orders of these tests need epochs of as many passes on all workers.
    const auto moments = subject.options.find("moments");
    const bool has_common_moments = moments != subject.options.end() && moments->second == "merged";
    return registry().get(subject.optimizer).needs_all_workers || is_automatic("lr") ||
           is_automatic("rho") || subject.options.contains("admm_solver") || has_common_moments ||
           subject.options.contains("ema");
  });
  return out;
}

INSTANTIATE_TEST_SUITE_P(Optimizers, WithoutWaiting,
                         ::testing::ValuesIn(subjects_without_waiting()),
                         [](const auto& info) { return info.param.name; });

TEST(Optimizers, RefuseWhatNeedsCommonSteps) {
  for (const std::string name : {"grad_avg", "model_avg"})
    for (const std::string& pattern : comm::patterns_without_waiting())
      for (const auto& [option, value] :
           std::map<std::string, std::string>{{"moments", "merged"}, {"ema", "0.9"}}) {
        try {
          train({.model = [] { return std::make_unique<LeastSquares>(2); },
                 .parts = cut(random_rows(20, 2, 2, 1), 1),
                 .optimizer = name,
                 .options = {{option, value}},
                 .epochs = 1,
                 .sync_mode = pattern});
          ADD_FAILURE() << name << ", " << option;
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), Code::invalid_argument);
          EXPECT_THAT(error.what(), AllOf(StartsWith(option), HasSubstr("a sync mode that waits")));
        }
      }
}

TEST(Optimizers, RefuseModelsThatTheyCannotTrain) {
  for (const Plugin& plugin : registry().entries()) {
    std::vector<std::string> refusals;
    for (const model::Plugin& model : models())
      if (const std::string why = refusal(plugin, model); !why.empty()) refusals.push_back(why);
    // A model has a gradient or is trained by expectation maximization, and an optimizer is for one
    // of the two kinds.
    EXPECT_THAT(refusals, Not(IsEmpty())) << plugin.name;
    EXPECT_THAT(refusals, Each(AllOf(StartsWith("invalid_argument: "),
                                     HasSubstr("the optimizer " + plugin.name))));
  }
}

/// The optimizers that move along a gradient by a learning rate, and so may move too far.
std::vector<std::string> optimizers_with_learning_rate() {
  std::vector<std::string> names;
  for (const Plugin& plugin : registry().entries())
    if (std::ranges::find(plugin.options, "lr", &Option::name) != plugin.options.end() &&
        refusal(plugin, [] { return std::make_unique<LeastSquares>(2); }).empty())
      names.push_back(plugin.name);
  return names;
}

TEST(Optimizers, SayWhenTrainingDiverges) {
  const std::vector<std::string> names = optimizers_with_learning_rate();
  ASSERT_THAT(names, Not(IsEmpty()));
  for (const std::string& name : names) {
    Job job{.model = [] { return std::make_unique<LeastSquares>(3); },
            .parts = cut(random_rows(40, 3, 5, 1), 2),
            .optimizer = name,
            .options = {{"lr", "1e9"}, {"epochs", "3"}},
            .epochs = 30};
    // admm: with hardly any pull to the consensus.
    const std::vector<Option>& options = registry().get(name).options;
    if (std::ranges::find(options, "rho", &Option::name) != options.end())
      job.options["rho"] = "1e-9";
    try {
      train(job);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::diverged);
      EXPECT_THAT(error.what(), ContainsRegex("training diverged in epoch [0-9]+, round [0-9]+: "
                                              ".*use a smaller --lr"));
    }
  }
}

}  // namespace
}  // namespace lambdaml::optim
