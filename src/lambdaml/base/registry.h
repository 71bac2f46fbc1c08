#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml {

/// Plug-ins by name, in the order in which they were added. `Entry` has a member `name`.
/// Filled once before the first look-up and only read afterwards, so look-ups need no lock.
template <class Entry>
class RegistryOf {
 public:
  /// `kind` is the word for messages: "model", "storage scheme", …
  explicit RegistryOf(std::string kind) : kind_(std::move(kind)) {}

  void add(Entry entry) { entries_.push_back(std::move(entry)); }

  const Entry* find(std::string_view name) const {
    for (const Entry& entry : entries_)
      if (entry.name == name) return &entry;
    return nullptr;
  }

  /// Throws invalid_argument, listing the nearest known names.
  const Entry& get(std::string_view name) const {
    if (const Entry* entry = find(name)) return *entry;
    fail(Code::invalid_argument, "unknown {} '{}'{}", kind_, printable(name),
         did_you_mean(name, names()));
  }

  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const Entry& entry : entries_) out.push_back(entry.name);
    return out;
  }

  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::string kind_;
  std::vector<Entry> entries_;
};

/// A plug-in that belongs to an executable rather than to the layer's list. It is a static object
/// in a source file of the executable itself, constructed before main(); in a library the linker
/// might drop it.
template <class Registry>
class AddedPlugin {
 public:
  using Register = void (*)(Registry&);
  explicit AddedPlugin(Register register_plugin) { all().push_back(register_plugin); }
  static std::vector<Register>& all() {
    static std::vector<Register> added;
    return added;
  }
};

/// A layer's registry: the plug-ins of its list, then the added ones.
template <class Registry>
Registry filled_registry(std::string kind, typename AddedPlugin<Registry>::Register of_the_list) {
  Registry filling(std::move(kind));
  of_the_list(filling);
  for (const auto register_plugin : AddedPlugin<Registry>::all()) register_plugin(filling);
  return filling;
}

}  // namespace lambdaml
