#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/model/model.h"

/// Weights of classes: the loss and the gradient of a row are multiplied by that of its class.
namespace lambdaml::model {

/// `class_weight`, for the options of models that take Batch::weights.
Option class_weight_option();

/// Whether the option's value is `balanced`: then the weights follow from the rows.
bool are_balanced(const Options& options);

/// The weight of each class, above 0. `balanced`: n / (k · n_c) for n rows of k classes, n_c of
/// class c, as scikit-learn defines it (1 for a class without rows). Otherwise `LABEL=WEIGHT,…`,
/// with 1 for classes that are not named; `class_rows` is not read. Throws invalid_argument for
/// another text, a label that is no class, or one that is named twice.
std::vector<float> class_weights(const Options& options, const Shape& shape,
                                 std::span<const double> class_rows);

}  // namespace lambdaml::model
