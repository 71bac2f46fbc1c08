#include "lambdaml/base/option_sets.h"

#include <algorithm>

namespace lambdaml {

void add_options(std::vector<Option>& all, const std::vector<Option>& more) {
  for (const Option& option : more)
    if (std::ranges::find(all, option.name, &Option::name) == all.end()) all.push_back(option);
}

Options with_values_of(std::vector<Option> declared, const Options& given) {
  Options out(std::move(declared));
  for (const Option& option : out.declared())
    if (given.find(option.name) != nullptr && given.is_set(option.name))
      out.set(option.name, given.value(option.name), option.name);
  return out;
}

bool is_changed(const Options& options, std::string_view name) {
  const Option* option = options.find(name);
  return option != nullptr && options.value(option->name) != option->default_value;
}

}  // namespace lambdaml
