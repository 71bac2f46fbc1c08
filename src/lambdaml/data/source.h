#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/uri.h"
#include "lambdaml/data/align.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/places.h"
#include "lambdaml/storage/storage.h"

/// Where data sets are: one file, or a folder of parts `{i}_{n}` with a manifest, in any store.
namespace lambdaml::data {

/// Size and checksum of a file when it was written, or first read.
struct Content {
  std::uint64_t bytes = 0;
  std::uint64_t checksum = 0;
  bool operator==(const Content&) const = default;
};
Content content_of(Bytes bytes);

/// The facts about a prepared data set that are known without reading its rows; `manifest.json`
/// beside the parts.
struct Manifest {
  std::vector<std::uint64_t> part_rows;  ///< rows of part i, for each of the n parts
  std::uint64_t features = 0;
  std::uint64_t stored_values = 0;  ///< rows · features when dense, the non-zeros when sparse
  bool sparse = false;
  std::vector<std::int32_t> labels;    ///< distinct, ascending; empty when there are none
  bool targets = false;                ///< its rows have real targets
  double weights = 0;                  ///< the sum of its rows' weights; 0: they have none
  std::shared_ptr<const Names> names;  ///< null if nothing has a name, or unknown: see facts()
  TensorShapes tensors;                ///< of a set of tensors, which has no features
  std::uint64_t bytes = 0;             ///< of all parts
  std::uint64_t checksum = 0;          ///< of the parts' rows: identifies the data set
  std::string format = "shard";        ///< of the parts: shard or libsvm
  /// The parts one after another are the rows in their order; otherwise see row_numbers().
  bool in_order = false;
  std::uint64_t id = 0;  ///< as stated in the parts, for formats with statements
  /// Content of part i. Empty in a manifest of version 1, which had no checksums, and in events,
  /// where each worker learns only about its own part.
  std::vector<Content> part_files;

  std::uint64_t rows() const;
  std::size_t parts() const { return part_rows.size(); }
  /// The file's text: version 2, with a checksum of itself; version 1 if there are no part_files.
  std::string to_json() const;
  /// Whether what is to be learned are whole numbers: labels, or a tensor of integers.
  bool has_integers() const {
    return tensors.target ? is_integer(tensors.target->element) : !labels.empty() && !targets;
  }
  bool labelled() const { return !labels.empty() || targets || tensors.target; }
  /// Everything except part_files and names (events are small, and each shard has the names), in
  /// the format of version 1, for events.
  nlohmann::json facts() const;
  /// Accepts both versions. Throws data_corrupt.
  static Manifest from_json(std::string_view text, std::string_view what);
  /// From facts() or the parsed text of a file.
  static Manifest from_facts(nlohmann::json facts, std::string_view what);
};

/// The key of part i of n: "{i}_{n}".
std::string part_key(std::size_t i, std::size_t n);

/// The manifest if `uri` is a prepared data set (a folder with a manifest.json); otherwise nullopt.
/// One GET. Throws data_corrupt. Several places are no prepared set.
std::optional<Manifest> find_manifest(const Places& places);

/// A file without a checksum of its own, as it was when it was read.
struct SourceFile {
  std::string name;  ///< for display
  Content content;   ///< as stored: for a gzip file, of the compressed bytes
  bool operator==(const SourceFile&) const = default;
};

/// Reads a whole data set: a file of any format, compressed or not (see compression/); a prepared
/// set; a folder of parts `{i}_{n}` without a manifest (rows come back in the order before the cut:
/// row r is row r / n of part r mod n); a folder of files named as their format names those of one
/// set (CIFAR-10: `data_batch_*.bin`); several files, in the order of their names: of a pattern
/// (`day-*.csv`) or a folder (files.h); or rows and labels in two files (`X.npy` and `y.npy`). The
/// rows of several places follow each other. `format` is a value of --format; `auto` detects the
/// format. `format_options` has the values of data::format_options(), as a job's options do. Each
/// file is checked against what its manifest or itself states about its content and place; files
/// without such a statement are added to `files`. Throws not_found, data_corrupt (naming file and
/// line; also for a set without rows), invalid_argument (an unknown format), and what the store
/// throws.
Dataset read(const Places& places, std::string_view format = "auto", std::size_t threads = 1,
             std::vector<SourceFile>* files = nullptr, const Options& format_options = {});

/// The same for rows that a model will use, which come with its columns: see align().
Dataset read_for(const Learned& model, const Places& places, std::string_view format = "auto",
                 std::size_t threads = 1, std::vector<SourceFile>* files = nullptr,
                 const Options& format_options = {});

/// Warns, once per process, that damage to the data set `what` cannot be detected because an old
/// version prepared it.
void warn_of_no_checksums(const std::string& what);

/// Part i of n: the rows r with r mod n = i, in order. Copies.
Dataset take_part(const Dataset& dataset, std::size_t i, std::size_t n);
/// The rows in the order of `order`. Copies.
Dataset take_rows(const Dataset& dataset, std::span<const std::uint32_t> order);

/// Which rows a part has.
enum class Cut {
  dealt,     ///< row r is in part r mod n, as read() expects of a prepared set
  in_order,  ///< the parts one after another are the rows in their order, as the manifest says
};
/// What a manifest says of these rows: all but their parts and what identifies them.
Manifest manifest_of(const Dataset& dataset);

/// Cuts the rows into n parts and saves them as `{i}_{n}` in `store`, the manifest last; removes
/// the parts of an earlier cut. `as`: shard or libsvm. Throws invalid_argument if there are fewer
/// rows than parts.
Manifest split(const Dataset& dataset, std::size_t n, storage::Storage& store,
               std::string_view as = "shard", std::size_t threads = 1, Cut cut = Cut::dealt);

/// What a manifest says of a part that is saved by itself.
struct SavedPart {
  std::uint64_t rows = 0;
  Content file;
  std::uint64_t rows_checksum = 0;
  std::uint64_t stored_values = 0;
  std::vector<std::int32_t> labels;
  double weights = 0;  ///< see sum_of_weights()
};
/// Saves the rows as part i of n of the set `id`. Saving them again writes the same bytes.
SavedPart save_part(storage::Storage& store, const Dataset& rows, std::size_t i, std::size_t n,
                    std::uint64_t id, std::string_view as);
/// Completes the manifest of these parts, which has features, names, form and id already, and saves
/// it: from now on the set can be read.
void save_manifest(storage::Storage& store, Manifest& manifest,
                   const std::vector<SavedPart>& parts);
/// Makes room for a set of n parts: without a manifest, readers take the folder for unfinished and
/// not for an earlier set. Returns the keys of an earlier set that the new one does not replace; to
/// be removed once it is there.
std::vector<std::string> remove_manifest(storage::Storage& store, std::size_t n);

/// Reads one part of a prepared set: one GET. Checks it against the manifest, and against `content`
/// (by default the manifest's); throws data_corrupt.
Dataset read_part(storage::Storage& store, std::size_t i, const Manifest& manifest,
                  std::optional<Content> content = {});

}  // namespace lambdaml::data
