#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/registry.h"
#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// Which part of which data set a file is.
struct Identity {
  std::uint64_t data_set = 0;  ///< Manifest::id
  std::string part;            ///< its key, "{i}_{n}"
  bool operator==(const Identity&) const = default;
};

/// What a file says of itself, not checked against its content.
struct Statement {
  std::optional<std::uint64_t> checksum;  ///< of the file; absent in those of old versions
  std::optional<Identity> identity;       ///< absent where the file is no part
};

/// A file, written.
struct Written {
  Buffer bytes;
  std::uint64_t checksum = 0;  ///< what Manifest::part_files says of it: its own statement, or of
                               ///< `bytes` where the format has none
  std::uint64_t rows_checksum = 0;  ///< of what it would be without its statement: equal for equal
                                    ///< rows, whichever data set they are a part of
};

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
  /// The same of a part, for formats whose files say what they are; else null.
  std::function<Written(const Dataset&, const Identity&)> write_part = {};
  /// What a file says of itself, for those formats; read() then checks the file's own checksum.
  /// Throws data_corrupt.
  std::function<Statement(std::shared_ptr<const Buffer> bytes, const std::string& what)> statement =
      {};
  /// Settings of its own, for read(); one declared by several plug-ins is one. They are options of
  /// jobs and of every command that reads data. Files that write() made are read by the defaults.
  std::vector<Option> options = {};
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

/// The options of all registered formats, each once, at their defaults.
Options format_options();
/// Reads a file's bytes by a plug-in, with those values of `given` that are of its options. Throws
/// as Plugin::read does.
Dataset read_with(const Plugin& plugin, std::shared_ptr<const Buffer> bytes, ReadOptions how,
                  const Options& given);

/// Every value of --format but `auto`.
std::vector<std::string> format_names();

}  // namespace lambdaml::data
