#pragma once

#include <string_view>
#include <vector>

#include "lambdaml/base/options.h"

/// Options that several owners declare, combined into one set and handed back to each owner.
namespace lambdaml {

/// Adds the options of `more` whose name is not in `all`; owners that declare the same name share
/// it.
void add_options(std::vector<Option>& all, const std::vector<Option>& more);

/// An owner's options with those of their values that are set in `given`, which may lack some.
Options with_values_of(std::vector<Option> declared, const Options& given);

/// Whether the option is declared and its value is not the default.
bool is_changed(const Options& options, std::string_view name);

}  // namespace lambdaml
