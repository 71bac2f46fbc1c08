#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/data/align.h"
#include "lambdaml/data/places.h"
#include "lambdaml/data/source.h"

/// Data sets that functions prepare: they read large files in storage, each a part, so that the
/// process that starts them reads no more than the files' first lines.
namespace lambdaml::trigger {

/// Smaller sets are read by the process that starts the job: that takes less time than functions
/// need to begin.
inline constexpr std::uint64_t kLargeData = 64 << 20;

/// What is prepared, and where it goes.
struct Preparation {
  data::Places places;
  std::size_t parts = 1;
  std::size_t workers = 1;
  data::Learned model = {};                ///< for which rows are read; nothing in it: none
  std::optional<std::uint64_t> seed = {};  ///< of the order of blocks; nullopt: as in the files
  std::string to = {};       ///< the store of the parts; empty: the channel of the job `for_job`
  std::string for_job = {};  ///< the id of the job that the parts are for
  std::string prefix = {};   ///< of the parts' keys there
  std::string as = "shard";
};

struct PreparedData {
  data::Manifest manifest;
  std::vector<data::SourceFile> files;    ///< what was read
  std::vector<std::string> reports = {};  ///< of its workers, JSON: see job::JobEnd::preparing
  std::vector<std::string> notices = {};  ///< of the rows, for the user; a line each
};

/// The total size of the data if functions can prepare them: files that are read one by one, within
/// the reach of the job's functions. nullopt otherwise.
std::optional<std::uint64_t> bytes_for_functions(const data::Places& places,
                                                 const Options& options);

/// Starts the workers as a job of its own and waits for them; the manifest is saved last. Text is
/// cut into blocks at line ends; files that cannot be cut are read by one worker each, which is
/// said in one line. The parts are the set in the order of data/blocks.h, one after the other.
/// `options` have those of options_of_predictions(). Throws invalid_argument (the data are of
/// another kind, or too few for the parts), what data::read() throws of bad rows, what
/// run_parts_job() throws, and what the stores throw.
PreparedData prepare_by_functions(const Preparation& wanted, const Options& options,
                                  control::Stores& stores);
/// The same if functions can prepare the data and they are large.
std::optional<PreparedData> prepare_if_large(const Preparation& wanted, const Options& options,
                                             control::Stores& stores);

/// Logs its notices as warnings.
void tell_of(const PreparedData& made);

/// prepare_by_functions() as a command of its own: `options` are not resolved yet, and the place
/// `to` must be within the functions' reach too.
data::Manifest split_by_functions(Preparation wanted, Options options);

}  // namespace lambdaml::trigger
