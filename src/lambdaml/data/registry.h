#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lambdaml/base/registry.h"
#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// A file format.
struct Plugin {
  std::string name;  ///< e.g. libsvm
  std::vector<std::string>
      formats;  ///< values of --format that mean it: dense_libsvm, sparse_libsvm
  std::string help;
  /// Whether the first bytes of a file (at most 4,096, unzipped) look like this format.
  std::function<bool(Bytes head)> recognizes;
  /// Parses a whole file. Throws data_corrupt naming file and line.
  std::function<Dataset(std::shared_ptr<const Buffer> bytes, const ReadOptions&)> read;
  /// The file's bytes of a data set.
  std::function<Buffer(const Dataset&)> write;
  /// How the files are called when a folder of several is one data set, in the order of their
  /// names: they begin and end so (the end apart from a `.gz`). Empty: there is no such custom.
  struct FileNames {
    std::string begin;
    std::string end;
  };
  FileNames files_of_a_set = {};
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

/// Every value of --format but `auto`.
std::vector<std::string> format_names();

}  // namespace lambdaml::data
