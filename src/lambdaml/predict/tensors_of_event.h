#pragma once

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/data/dataset.h"
#include "lambdaml/model/model.h"

namespace lambdaml::predict {

/// The rows of an event for a model of named tensors: each an object with a list per tensor, nested
/// as deep as its shape, `{"image": [[[0, 9], [7, 0]]], "age": 4}`; for a model of one tensor also
/// only its list. Throws invalid_argument, naming the place, for a tensor that is missing or
/// unknown, other lengths, and numbers that the tensor's type does not hold.
data::Dataset tensors_of_event(const model::Shape& shape, const nlohmann::json& rows);

}  // namespace lambdaml::predict
