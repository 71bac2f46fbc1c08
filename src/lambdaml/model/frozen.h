#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/model/engine.h"
#include "lambdaml/model/model.h"

/// Layers that a job keeps as they are.
namespace lambdaml::model {

/// `freeze`, of deep models.
Option freeze_option();

/// Which of a network's tensors are kept, in the order of its pieces.
struct Frozen {
  std::vector<bool> learned;
  /// Those of a layer all of whose own parameters are kept: it normalizes by its statistics in
  /// training too.
  std::vector<bool> statistics;

  bool any() const;
};

/// By the option's value: names of parameters, or of layers, which are all that begins with them
/// and a dot; with the wildcards of a shell (* matches dots too). Throws invalid_argument for one
/// that fits no parameter, and if nothing is left to learn. `what` names the network in errors.
Frozen frozen_of(const std::string& layers, const std::vector<Model::Piece>& learned,
                 const std::vector<Model::Piece>& statistics, const std::string& what);

/// The pieces that are not kept.
std::vector<Model::Piece> without(const std::vector<Model::Piece>& pieces,
                                  const std::vector<bool>& frozen);

/// A network that knows only what changes: its parameters are those of `engine` without the frozen
/// ones, which it has by itself. They are those of the seed, or of a model file after restore(),
/// which throws data_corrupt if the file does not have them. So nobody sends them, steps them or
/// has moments of them. Costs two vectors of all parameters.
std::unique_ptr<Engine> keep_frozen(std::unique_ptr<Engine> engine,
                                    std::vector<Model::Piece> learned,
                                    std::vector<Model::Piece> statistics, const Frozen& frozen,
                                    std::uint64_t seed);

}  // namespace lambdaml::model
