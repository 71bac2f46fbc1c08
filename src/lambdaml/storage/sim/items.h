#pragma once

#include <mutex>

#include "lambdaml/sim/world.h"
#include "lambdaml/storage/key_index.h"

namespace lambdaml::storage::sim {

/// The items of a simulated store for the index of a handle. Lists lie beside the values, under
/// names that no key has, each after its version; all are GETs, PUTs and removals of the store, as
/// their requests to a real one are. They are counted by who makes them, not here.
class ModelItems final : public KeyIndex::Items {
 public:
  /// `values`: held while the model's values are read or changed.
  ModelItems(lambdaml::sim::StoreModel& model, std::mutex& values)
      : model_(model), values_(values) {}

  std::string item_of_key(std::string_view key) const override;
  std::string item_of_folder(std::string_view folder) const override;
  bool add(std::string_view item, Bytes value) override;
  bool append(std::string_view item, Bytes value) override;
  bool set_if_same(std::string_view item, Bytes value, std::uint64_t version) override;
  bool remove_if_same(std::string_view item, std::uint64_t version) override;
  void get(std::span<const std::string> items, const OnFound& on_found) override;
  void remove_all(std::span<const std::string> items) override;

 private:
  using Value = lambdaml::sim::StoreModel::Value;

  /// What becomes of a list, or of none (null); nullopt: nothing.
  using Change = std::function<std::optional<Value>(const Value& there)>;
  /// A request that may change a list. Returns whether it did; true to a process that was killed,
  /// for whose destructors nothing is left to do.
  bool change(lambdaml::sim::Verb verb, std::string_view item, std::size_t bytes,
              const Change& change);

  lambdaml::sim::StoreModel& model_;
  std::mutex& values_;
};

}  // namespace lambdaml::storage::sim
