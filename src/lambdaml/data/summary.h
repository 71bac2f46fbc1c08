#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include "lambdaml/base/options.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/places.h"

namespace lambdaml::data {

/// The contents of a data set, as `data info` shows them.
struct Summary {
  std::uint64_t rows = 0;
  std::uint64_t features = 0;
  std::uint64_t nonzeros = 0;                    ///< values that are not 0
  std::map<std::int32_t, std::uint64_t> labels;  ///< number of rows by label; empty without labels
  struct Spread {
    double min = 0, mean = 0, max = 0;
  };
  std::optional<Spread> targets;  ///< of a set for regression
  std::optional<Spread> weights;  ///< of rows that have weights
  struct Range {
    TensorShape tensor;
    double min = 0, mean = 0, max = 0;  ///< of all its numbers
    bool to_learn = false;
  };
  std::vector<Range> tensors;          ///< the inputs, then the one to learn if there is one
  std::shared_ptr<const Names> names;  ///< null if nothing has a name
  std::uint64_t bytes = 0;             ///< as stored
  std::uint64_t parts = 0;             ///< of a prepared set; 0 for a file
};

/// Reads the whole data set. Throws what read() throws.
Summary summarize(const Places& places, std::string_view format, std::size_t threads,
                  const Options& format_options = {});

}  // namespace lambdaml::data
