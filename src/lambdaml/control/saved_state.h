#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/bytes.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/control/commit_record.h"
#include "lambdaml/data/partition.h"
#include "lambdaml/model/model.h"
#include "lambdaml/optim/optimizer.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/tensor/safetensors.h"

/// The state of a worker, and the file in which it is saved.
namespace lambdaml::control {

/// A worker's position within an epoch: the next step to take. `pass` is the number of passes when
/// only the evaluation remains.
struct StepCursor {
  std::uint64_t pass = 0;
  std::uint64_t step = 0;  ///< within the pass
  model::Totals totals;    ///< of the epoch's steps so far
};

/// Members of a fingerprint.
inline constexpr const char* kTestChecksum = "test_checksum";
inline constexpr const char* kDefinitionChecksum = "definition_checksum";
inline constexpr const char* kInitChecksum = "init_checksum";  ///< absent: not begun from a model
inline constexpr const char* kOrder = "order";  ///< a data::OrderVersion; absent: tail_last

/// The fingerprint with the order that versions which do not name one used.
nlohmann::json with_order(nlohmann::json fingerprint);

/// Warns, once per process, that an old version began that job, so damage to it may go unnoticed.
/// Thread-safe.
void warn_of_old_job(const std::string& job_id);

/// What the file of a state says besides the state.
struct StateDescription {
  std::string key;  ///< under which it is saved
  Progress progress;
  StepCursor place;
  CheckpointNote note;
  std::string fingerprint;  ///< JSON
  std::string split;        ///< empty: no rows are held out
  std::string pieces;       ///< JSON: the tensors that the parameters consist of; empty: not known
};

/// The state that a worker needs to continue. Its vectors are the optimizer's and the
/// communicator's own, so it is valid until their next step.
struct StateView {
  std::vector<double> communicator;
  std::vector<double> scalars;
  std::map<std::string, std::span<const float>> vectors;
  optim::Cut cut;  ///< of the vectors

  /// What was saved.
  struct File {
    std::uint64_t bytes = 0;
    std::uint64_t checksum = 0;  ///< contained in the file itself, over all else of it
  };

  static StateView of(optim::Optimizer& optimizer, const comm::Communicator& communicator);
  std::uint64_t bytes() const;
  /// Under the key of the description; without a copy if the store can do without.
  File save(storage::Storage& store, const StateDescription& description) const;
};

/// A copy of the state.
class SavedState {
 public:
  SavedState() = default;
  SavedState(const SavedState&) = delete;
  SavedState& operator=(const SavedState&) = delete;

  /// Copies the current state; reuses the memory of the previous one.
  void take(optim::Optimizer& optimizer, const comm::Communicator& communicator);
  /// Of the copy; valid until the next take().
  const StateView& view() const { return view_; }

 private:
  StateView view_;
  std::map<std::string, std::vector<float>> vectors_;
};

/// A state that was read, of this version or of an old one. Immutable.
class StateFile {
 public:
  /// Throws data_corrupt unless the file is whole and was saved under that key; `what` names it in
  /// errors. Of a file of an old version only the tensors have a checksum: that is a warning, once.
  StateFile(Buffer bytes, const std::string& key, const std::string& what);

  const Progress& progress() const { return progress_; }
  const StepCursor& place() const { return place_; }
  CheckpointNote note() const;
  /// The order in which the job visits its rows.
  data::OrderVersion order() const;
  std::string split() const;
  /// How the vectors of the state are cut. Throws data_corrupt.
  optim::Cut cut() const;
  bool is_described_by(const CommitRecord& record) const;
  /// Whether a run with that fingerprint may go on from the state. `defaults`, unless null, are
  /// values of members that the file may lack.
  bool fits(const nlohmann::json& fingerprint, const nlohmann::json* defaults) const;

  const std::string& what() const { return file_.what(); }
  /// A vector of the optimizer's state. Throws data_corrupt if there is none.
  std::span<const float> vector(const std::string& name) const;
  /// The names of all of them.
  std::vector<std::string> vector_names() const;
  std::span<const double> scalars() const { return file_.values<double>("scalars"); }
  std::span<const double> communicator() const { return file_.values<double>("communicator"); }
  /// The communicator's residual; empty if there is none.
  std::span<const float> residual() const;

 private:
  std::uint64_t count(std::string_view key) const;
  nlohmann::json fingerprint() const;

  tensor::SafetensorsFile file_;
  Progress progress_;
  StepCursor place_;
};

}  // namespace lambdaml::control
