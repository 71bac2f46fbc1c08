#include <memory>

#include "bench/shapes.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/data/pixels/images.h"
#include "lambdaml/model/registry.h"

namespace lambdaml::bench {
namespace {

constexpr std::size_t kBatch = 128;

/// One batch of images and a network in training, as a worker has them.
class Training {
 public:
  Training(const std::string& name, std::size_t threads, const std::string& precision)
      : images_(kBatch * data::kImageValues), targets_(kBatch) {
    Rng rng(3);
    for (float& value : images_) value = static_cast<float>(rng.below(256));
    for (float& target : targets_) target = static_cast<float>(rng.below(10));
    const model::Plugin& plugin = model::registry().get(name);
    std::vector<Option> declared = plugin.options;
    // Those of jobs that models use.
    for (const char* name : {"threads", "seed"})
      declared.push_back({.name = name, .default_value = std::int64_t{1}, .help = "of the job"});
    Options options(declared);
    options.set("threads", Option::Value(static_cast<std::int64_t>(threads)), "bench");
    options.set("precision", Option::Value(precision), "bench");
    model::Shape shape{.features = data::kImageValues, .labels = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}};
    model_ = plugin.make(shape, options);
    parameters_.resize(model_->parameter_count());
    sums_.resize(model_->parameter_count());
    const auto alone = std::make_unique<Alone>();
    model_->initialize({.rows = batch(), .communicator = *alone, .seed = 1}, parameters_);
  }

  void step() {
    dynamic_cast<model::GradientModel&>(*model_).accumulate(batch(), parameters_, sums_);
  }

 private:
  struct Alone final : comm::Communicator {
    Alone() : Communicator({}) {}
    std::size_t merge_round(std::uint64_t, comm::Vectors, comm::Meaning) override { return 1; }
  };
  model::Batch batch() const {
    return {tensor::DenseView{images_.data(), kBatch, data::kImageValues}, targets_};
  }

  std::vector<float> images_;
  std::vector<float> targets_;
  std::unique_ptr<model::Model> model_;
  std::vector<float> parameters_;
  std::vector<float> sums_;
};

}  // namespace

/// A value is an image.
void add_deep() {
  for (const char* name : {"mobilenet", "resnet18"})
    for (const char* precision : {"fp32", "bf16"})
      add(std::string("deep/") + name + "/" + precision,
          [name, precision, training = std::shared_ptr<Training>(),
           of = std::size_t{0}](std::size_t threads) mutable {
            if (!training || of != threads)
              training = std::make_shared<Training>(name, of = threads, precision);
            training->step();
            return Work{kBatch * data::kImageValues * sizeof(float), kBatch};
          });
}

}  // namespace lambdaml::bench
