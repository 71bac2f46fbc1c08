#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/model/model.h"
#include "lambdaml/model/network.h"

namespace lambdaml::model {

/// Those of deep models, and `stem`.
std::vector<Option> network_options();

/// Plugin::defaults: what was the best for adamw in few epochs (docs/how-to/deep.md). Batches are
/// small and, unless one of these is given, the learning rate falls along a cosine after a short
/// warm-up, with a penalty for adamw. Other optimizers than Adam have none.
std::map<std::string, std::string> network_defaults(const Options& given);

/// Describes a network for images of this size; `large_stem`: its first layers halve them once or
/// twice.
using BuildNetwork =
    std::function<Network(const Image& images, bool large_stem, std::size_t classes)>;

/// A classifier of images whose network is defined in this program. Throws invalid_argument unless
/// a row is one image of 1 or 3 channels and at least 32 × 32 pixels, and there are two classes.
std::unique_ptr<Model> make_network_model(const std::string& name, const Shape& shape,
                                          const Options& options, const BuildNetwork& build);

}  // namespace lambdaml::model
