// Checkpoints: saved, damaged, mixed up and restored, by workers that may run other optimizers,
// models and patterns than the ones that saved them.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "input.h"
#include "lambdaml/base/error.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/control/checkpoint.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"

namespace {

using namespace lambdaml;
using control::CheckpointNote;
using control::Checkpoints;
using control::Progress;
using control::StepCursor;
using fuzz::Input;
using fuzz::require;
using fuzz::require_code;

constexpr const char* kStore = "memory://fuzz-checkpoint";
constexpr std::size_t kMostCalls = 60;
constexpr std::uint32_t kWorkers = 2;

/// A worker's side of a job.
struct Worker {
  explicit Worker(Input& input) {
    constexpr const char* kOptimizers[] = {"grad_avg", "model_avg", "admm", "em"};
    constexpr const char* kPatterns[] = {"reduce", "async", "reduce_scatter"};
    options = job::job_options();
    const std::string name = input.one_of(kOptimizers);
    if (input.flag()) options.parse("momentum", "0.5", "fuzz");
    options.parse("clusters", "2", "fuzz");
    const model::Shape shape{1 + input.below(4), {0, 1}};
    model = model::registry().get(name == "em" ? "kmeans" : "lr").make(shape, options);
    communicator = comm::registry()
                       .get(input.one_of(kPatterns))
                       .make({.store = storage::open("memory://fuzz-checkpoint-comm"),
                              .worker = 0,
                              .workers = kWorkers});
    optimizer = optim::registry().get(name).make({.model = *model,
                                                  .communicator = *communicator,
                                                  .rows_per_round = {1, 1},
                                                  .rows = 2,
                                                  .own_rows = 1},
                                                 options);
    optimizer->begin(std::vector<float>(model->parameter_count(), 0.25F));
    for (auto& [key, values] : optimizer->state())
      for (float& value : values) value = static_cast<float>(input.below(5));
  }

  /// All that is to come back.
  std::string state() const {
    std::string out;
    const auto add = [&](Bytes bytes) { out += as_text(bytes); };
    for (const auto& [name, values] : optimizer->state()) {
      out += name + std::to_string(values.size());
      add(std::as_bytes(std::span(values)));
    }
    const std::vector<double> scalars = optimizer->scalars(), sums = communicator->snapshot();
    add(std::as_bytes(std::span(scalars)));
    add(std::as_bytes(std::span(sums)));
    return out;
  }

  Options options{std::vector<Option>{}};
  std::unique_ptr<model::Model> model;
  std::unique_ptr<comm::Communicator> communicator;
  std::unique_ptr<optim::Optimizer> optimizer;
};

class World {
 public:
  /// States have commit records, or are small enough to have none.
  explicit World(bool with_records)
      : largest_without_record_(with_records ? 0 : 1U << 20U), store_(storage::open(kStore)) {}
  ~World() {
    store_->clear("");
    storage::open("memory://fuzz-checkpoint-comm")->clear("");
  }

  void call(Input& input) {
    Checkpoints checkpoints(store_, "job", nlohmann::json::object(), 0, kWorkers, {},
                            largest_without_record_);
    try {
      switch (input.below(8)) {
        case 0:
          return save(input, checkpoints);
        case 1:
          return suspend(input, checkpoints);
        case 2:
          return restore(input, checkpoints);
        case 3:
          return resume(input, checkpoints);
        case 4:
          return checkpoints.forget_after(input.number());
        case 5:
          return damage(input);
        case 6:
          return mix_up(input);
        default:
          return put(input);
      }
    } catch (const Error& error) {
      require_code(error, {Code::data_corrupt, Code::invalid_argument, Code::not_found});
    }
  }

 private:
  static std::string text(const Progress& progress) {
    return std::to_string(progress.epoch) + "/" + std::to_string(progress.round);
  }

  void save(Input& input, Checkpoints& checkpoints) {
    const Worker worker(input);
    const Progress progress{input.number() / 2, input.number() / 2};
    // The older of the two is the one that goes.
    if (const auto there = checkpoints.available(); !there.empty()) {
      Worker same(input);
      checkpoints.restore(there.front(), *same.optimizer, *same.communicator);
    }
    checkpoints.save(progress, *worker.optimizer, *worker.communicator, {"", "a line\n"});
    known_[text(progress)].push_back(worker.state());
  }

  void suspend(Input& input, Checkpoints& checkpoints) {
    const Worker worker(input);
    const Progress progress{input.number() / 2, input.number() / 2};
    control::SavedState state;
    state.take(*worker.optimizer, *worker.communicator);
    checkpoints.suspend(progress, {input.below(4), input.below(4), {1, 2, 3}}, state, {});
    known_[text(progress)].push_back(worker.state());
  }

  /// What comes back under a progress is what was saved there.
  void require_known(const Progress& progress, const Worker& worker) const {
    if (!only_one_damage_) return;
    const auto at = known_.find(text(progress));
    require(at != known_.end());
    const std::string state = worker.state();
    require(std::find(at->second.begin(), at->second.end(), state) != at->second.end());
  }

  void restore(Input& input, Checkpoints& checkpoints) {
    if (known_.size() % 2 == 0) Checkpoints::read_states({&checkpoints, 1});
    const std::vector<Progress> there = checkpoints.available();
    for (const Progress& progress : there) static_cast<void>(checkpoints.note(progress));
    if (there.empty()) return;
    const Progress progress = there[input.below(there.size())];
    Worker worker(input);
    checkpoints.restore(progress, *worker.optimizer, *worker.communicator);
    require(worker.communicator->round() == progress.round);
    require_known(progress, worker);
  }

  void resume(Input& input, Checkpoints& checkpoints) {
    const auto suspension = checkpoints.suspension();
    if (!suspension) return;
    Worker worker(input);
    checkpoints.restore_suspension(*worker.optimizer, *worker.communicator);
    require_known(suspension->progress, worker);
    if (only_one_damage_) require(suspension->place.pass < 4 && suspension->place.step < 4);
  }

  std::string key(Input& input) {
    const std::vector<storage::Entry> entries = store_->list("");
    return entries.empty() ? "" : entries[input.below(entries.size())].key;
  }

  /// One byte, or the end: nothing of it may be trained on.
  void damage(Input& input) {
    const std::string key = this->key(input);
    if (key.empty()) return;
    if (!damaged_.insert(key).second) only_one_damage_ = false;
    Buffer bytes = std::move(*store_->load(key));
    const std::size_t at = input.length() % std::max<std::size_t>(1, bytes.size());
    if (input.flag())
      bytes.truncate(at);
    else if (!bytes.empty())
      bytes.data()[at] ^= static_cast<std::byte>(1U << input.below(8));
    store_->save(key, bytes);
  }

  /// A checkpoint under the name of another: a copy by hand.
  void mix_up(Input& input) {
    constexpr const char* kKeys[] = {"job/0_2.0.safetensors", "job/0_2.1.safetensors",
                                     "job/0_2.suspended.safetensors", "job/0_2.0.commit",
                                     "job/0_2.1.commit"};
    const std::string from = key(input);
    if (from.empty()) return;
    store_->save(input.one_of(kKeys), *store_->load(from));
  }

  void put(Input& input) {
    only_one_damage_ = false;
    const std::string bytes = input.text();
    store_->save(input.flag() ? "job/0_2.0.safetensors" : "job/0_2.suspended.safetensors",
                 as_bytes(bytes));
  }

  std::uint64_t largest_without_record_;
  std::shared_ptr<storage::Storage> store_;
  std::map<std::string, std::vector<std::string>> known_;  ///< states by progress
  std::set<std::string> damaged_;
  bool only_one_damage_ = true;
};

}  // namespace

/// What is restored was saved so: another state, or the state of another epoch, is refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::be_quiet();
  for (const bool with_records : {false, true}) {
    Input input(data, size);
    World world(with_records);
    for (std::size_t calls = 0; !input.empty() && calls < kMostCalls; ++calls) world.call(input);
  }
  return 0;
}
