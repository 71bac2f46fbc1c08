#pragma once

#include <string_view>
#include <vector>

#include "lambdaml/base/options.h"

/// Options that several owners declare, brought together and handed back to each.
namespace lambdaml {

/// Adds those of `more` whose name is not among `all`: one that several owners declare is one.
void add_options(std::vector<Option>& all, const std::vector<Option>& more);

/// An owner's options with the values that are set of them in `given`, which may lack some.
Options with_values_of(std::vector<Option> declared, const Options& given);

/// Whether the option is declared and its value is not the default.
bool is_changed(const Options& options, std::string_view name);

}  // namespace lambdaml
