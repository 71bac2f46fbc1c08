#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/registry.h"
#include "lambdaml/data/blocks/block_reader.h"
#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// The data set and part that a file is.
struct Identity {
  std::uint64_t data_set = 0;  ///< Manifest::id
  std::string part;            ///< its key, "{i}_{n}"
  bool operator==(const Identity&) const = default;
};

/// What a file states about itself, not checked against its content.
struct Statement {
  std::optional<std::uint64_t> checksum;  ///< of the file; nullopt in files of old versions
  std::optional<Identity> identity;       ///< nullopt if the file is not a part
};

/// A file in memory, and its checksums.
struct Written {
  std::vector<Bytes> pieces;  ///< one after another; they may be of the rows that were written
  std::shared_ptr<const void> owner;  ///< keeps those that are not
  /// The one in Manifest::part_files: that of its statement or, if the format has none, of the
  /// bytes.
  std::uint64_t checksum = 0;
  /// Of the file without its statement: equal for equal rows in any data set.
  std::uint64_t rows_checksum = 0;

  std::uint64_t bytes() const;
};

/// The files of a folder, ascending by their keys.
struct FolderFiles {
  std::vector<std::string> keys;
  std::function<Buffer(const std::string& key)> load;  ///< may be called by several threads
};

/// A file format.
struct Plugin {
  std::string name;  ///< e.g. libsvm
  std::vector<std::string>
      formats;  ///< values of --format that select it: dense_libsvm, sparse_libsvm
  std::string help;
  /// Whether the first bytes of a file (at most 4,096, unzipped) look like this format.
  std::function<bool(Bytes head)> recognizes;
  /// Parses a whole file. Throws data_corrupt, naming file and line.
  std::function<Dataset(std::shared_ptr<const Buffer> bytes, const ReadOptions&)> read;
  /// Encodes a data set as a file.
  std::function<Buffer(const Dataset&)> write;
  /// How files are named if a folder of several is one data set, in the order of their names:
  /// prefix and suffix (before a `.gz`). Empty: there is no such convention.
  struct FileNames {
    std::string begin;
    std::string end;
  };
  FileNames files_of_a_set = {};
  /// How the file may be named that has the labels of the rows in a file of that name; none if this
  /// format has no such convention, or the name does not follow it.
  std::function<std::vector<std::string>(const std::string& name)> labels_beside = {};
  /// For formats of which a set is several files of different kinds: whether these are one, and its
  /// rows. Keys may have one `/`: those of a folder and of the folders in it. Else null.
  std::function<bool(const std::vector<std::string>& keys)> is_folder = {};
  std::function<Dataset(const FolderFiles&, const ReadOptions&)> read_folder = {};
  /// Files of that format are whole numbers of records of so many bytes; 0: they are not. Of two
  /// formats that recognize a file, the one whose records fit reads it.
  std::size_t record_bytes = 0;
  /// Encodes a part, for formats whose files have statements; else null. The rows must outlive it.
  std::function<Written(const Dataset&, const Identity&)> write_part = {};
  /// A file's statement, for those formats; read() then checks the file's own checksum. Throws
  /// data_corrupt.
  std::function<Statement(std::shared_ptr<const Buffer> bytes, const std::string& what)> statement =
      {};
  /// Makes the reader of a file's blocks from its first lines, for formats whose files can be cut
  /// at line ends; else null. `head` is whole lines, or the whole file. Throws as read() does.
  std::function<std::unique_ptr<BlockReader>(std::string_view head, const ReadOptions&)> blocks =
      {};
  /// The format's own settings, for read(); plug-ins that declare the same option share it. They
  /// are options of jobs and of every command that reads data. Files made by write() are read with
  /// the defaults.
  std::vector<Option> options = {};
  /// Whether options say that files are of this format, when --format does not; else null.
  std::function<bool(const Options& options)> is_meant_by = {};
  /// Its files have the weights of rows, so that write() keeps them and read() finds them without
  /// an option.
  bool holds_weights = false;
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

/// The options of all registered formats, without duplicates, at their defaults.
Options format_options();
/// Reads a file's bytes with a plug-in, using those values of `given` that belong to its options.
/// Throws what Plugin::read throws.
Dataset read_with(const Plugin& plugin, std::shared_ptr<const Buffer> bytes, ReadOptions how,
                  const Options& given);
/// The plug-in's own options with the values that `given` has for them.
Options options_of(const Plugin& plugin, const Options& given);
/// What a value of --format stands for.
struct Choice {
  const Plugin* plugin = nullptr;  ///< null: the one that recognizes the bytes
  Form form = Form::automatic;
};
/// With `auto`, the format that the options of formats are for, if there is one. Throws
/// invalid_argument for an unknown format.
Choice choose_format(std::string_view format, const Options& options);
/// Warns of each option in `given` that is not the default and that only other formats have, once
/// in a process.
void tell_of_unused(const Plugin& plugin, const Options& given);

/// The chosen plug-in, otherwise the first that recognizes a file's first bytes (4,096 suffice).
/// Throws data_corrupt, naming `what`, if none does or the file is of a known foreign format.
const Plugin& plugin_for(Bytes bytes, const Choice& choice, const std::string& what);

/// All values of --format except `auto`.
std::vector<std::string> format_names();

}  // namespace lambdaml::data
