#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/model/model.h"

/// How labels and features are called in files and messages.
namespace lambdaml::model {

/// The text of a class's label, or its number.
std::string label_text(const Shape& shape, std::size_t c);
/// Whether labels have texts: their numbers then mean nothing to people.
bool has_label_texts(const Shape& shape);
/// The name of a feature, or its number, counted from 1 as in LIBSVM files.
std::string feature_text(const Shape& shape, std::size_t j);
/// The column of a feature that is called so, or has that number; nullopt if there is none. Takes a
/// pass over the names.
std::optional<std::size_t> find_feature(const Shape& shape, std::string_view text);

/// Throws invalid_argument, saying what to do, if every label of the data is the same; `what`: the
/// model.
void require_two_classes(const Shape& shape, const std::string& what);

}  // namespace lambdaml::model
