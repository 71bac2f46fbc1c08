#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/control/commit_record.h"
#include "lambdaml/data/partition.h"
#include "lambdaml/model/model.h"
#include "lambdaml/optim/optimizer.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// Where a worker stands within an epoch: the next step to take. `pass` is the number of passes
/// when only the evaluation is left.
struct StepCursor {
  std::uint64_t pass = 0;
  std::uint64_t step = 0;  ///< within the pass
  model::Totals totals;    ///< of the epoch's steps so far
  bool is_start() const { return pass == 0 && step == 0; }
};

/// All that a worker needs to go on, taken out of the optimizer and the communicator.
struct SavedState {
  std::uint64_t bytes() const;

  std::vector<double> communicator;
  std::vector<double> scalars;
  std::map<std::string, std::vector<float>> vectors;

  /// Takes the state as it is now; uses the memory of what was taken before again.
  void take(optim::Optimizer& optimizer, const comm::Communicator& communicator);
};

/// Members of a fingerprint.
inline constexpr const char* kTestChecksum = "test_checksum";
inline constexpr const char* kDefinitionChecksum = "definition_checksum";
inline constexpr const char* kOrder = "order";  ///< a data::OrderVersion; absent: tail_last

/// Says, once a process, that an old version began that job and damage to it may not be seen.
void warn_of_old_job(const std::string& job_id);

/// One worker's checkpoints. Two slots are written in turn, each atomically, so there is always a
/// whole one, and the newest that **all** workers have is among each worker's two: nobody can be a
/// checkpoint ahead of another by more than one, because a bulk-synchronous round in between needs
/// all. A checkpoint costs one PUT of the optimizer's state, and a small one of its commit record
/// where the state is larger than kLargestWithoutRecord; the first question about those that are
/// there costs a GET of both records, and going back one of the state. Keys begin with the job's
/// id, so jobs can share a folder.
///
/// A state without a good record counts only where no record tells of another one: it is small, or
/// an old version saved it. Then, and after read_states(), both states are loaded to see what is
/// there.
///
/// Each state carries a checksum over all that it says, and says under which key it was saved: what
/// was damaged, copied from another worker or job, or is not what its record tells of, is never
/// restored. Those of an old version have a checksum of the tensors alone; that is said once and
/// they are taken.
///
/// Besides them there is at most one *suspension*: the state in the midst of an epoch of a worker
/// whose function came to the end of its time, for its next invocation alone.
class Checkpoints {
 public:
  /// In bytes of its vectors: a smaller state is read as quickly as its record would be, and a job
  /// whose epochs take milliseconds shall not wait for a second save in each.
  static constexpr std::uint64_t kLargestWithoutRecord = 64U << 10U;

  /// `fingerprint` is a text that is equal only for runs that may continue each other: a JSON
  /// object in which the members kTestChecksum and kDefinitionChecksum are new, so that checkpoints
  /// of an old version do not have them.
  /// `before_saving`, if any, is asked before each save; what it throws prevents the save.
  /// `largest_without_record` is another only in tests.
  Checkpoints(std::shared_ptr<storage::Storage> store, std::string job_id, std::string fingerprint,
              std::uint32_t worker, std::uint32_t workers, std::function<void()> before_saving = {},
              std::uint64_t largest_without_record = kLargestWithoutRecord);

  void save(const Progress& progress, optim::Optimizer& optimizer,
            const comm::Communicator& communicator, const CheckpointNote& note);

  /// Saves a state in the midst of an epoch as the worker's suspension: one PUT.
  void suspend(const Progress& progress, const StepCursor& place, const SavedState& state,
               const CheckpointNote& note);
  /// What a suspension tells. Absent when there is none or it is damaged.
  struct Suspension {
    Progress progress;
    StepCursor place;
  };
  std::optional<Suspension> suspension();
  /// Puts back the state of the suspension that was told last; throws as restore() does.
  void restore_suspension(optim::Optimizer& optimizer, comm::Communicator& communicator);
  void forget_suspension();

  /// Looks at the checkpoints of several workers of one job, which share a store: loads all commit
  /// records in one batch, and the states of those that have none as read_states() does.
  static void look_at(std::span<Checkpoints> workers);
  /// Loads both states of each, so that what available() tells is whole now. Of a damaged one there
  /// is a warning, unless its worker has no whole one: then throws data_corrupt. Does it once.
  /// Holds 64 MB of states at a time, or the two of one worker.
  static void read_states(std::span<Checkpoints> workers);

  /// The states that this worker could go back to, newest first.
  std::vector<Progress> available();

  /// Loads the newest state that is whole, for keep_order() and restore(); absent when there is
  /// none. Where the newest one is damaged, read_states() finds the other.
  std::optional<Progress> load_newest();
  /// Loads the state of that round. Throws DamagedCheckpoint when it is not what its record tells
  /// of, not_found when there is none.
  Progress load_round(std::uint64_t round);

  /// The note saved with the checkpoint of that progress; empty when it is not there.
  CheckpointNote note(const Progress& progress);

  /// In which order the job that left these states visits its rows; the newest order when there is
  /// none. What is saved from now on says that one. Loads the newest state, unless one was loaded.
  data::OrderVersion keep_order();

  /// Removes what was saved after `epoch`: the job goes on from there, and a worker that is tried
  /// again must not jump ahead of the others.
  void forget_after(std::uint64_t epoch);
  /// The keys that forget_after() removes.
  std::vector<std::string> keys_after(std::uint64_t epoch);

  /// Puts the checkpoint of that progress back, loading it unless it is loaded. Throws not_found,
  /// data_corrupt, or invalid_argument when the run that made it had other options or data.
  void restore(const Progress& progress, optim::Optimizer& optimizer,
               comm::Communicator& communicator);

 private:
  struct Slot;
  /// What is known of a checkpoint without its state.
  struct Found {
    std::uint64_t slot = 0;
    Progress progress;
    CheckpointNote note;
    bool is_recorded = false;  ///< the state must be what its record tells of
  };
  const std::vector<Found>& found();
  static void load_records(std::span<Checkpoints> workers);
  static void load_states(std::span<Checkpoints* const> workers);
  void take_states(std::span<std::optional<Buffer>> both);
  /// Loads the state into loaded_. Throws not_found or data_corrupt.
  void load(const Found& checkpoint);
  /// Whether the state in that slot is what its record tells of; false without a record.
  bool is_as_recorded(const Slot& slot) const;
  void look_again();
  Slot read(std::uint64_t slot, const std::string& key, Buffer bytes) const;
  void put_back(const Slot& slot, optim::Optimizer& optimizer,
                comm::Communicator& communicator) const;
  std::string key(std::uint64_t slot) const;
  std::string suspension_key() const;
  Buffer encode(const std::string& key, const Progress& progress, const StepCursor& place,
                const SavedState& state, const CheckpointNote& note,
                std::uint64_t* checksum = nullptr) const;
  bool continues(const Slot& slot) const;

  std::shared_ptr<storage::Storage> store_;
  std::string job_id_;
  std::string fingerprint_;
  std::uint32_t worker_;
  std::uint32_t workers_;
  std::function<void()> before_saving_;
  std::uint64_t largest_without_record_;
  std::uint64_t next_slot_ = 0;
  using Records = std::array<std::optional<CommitRecord>, 2>;  ///< by slot
  std::optional<Records> records_;  ///< absent: not yet loaded, or changed; the same for found_
  std::optional<std::vector<Found>> found_;  ///< newest first
  bool states_read_ = false;
  std::shared_ptr<Slot> loaded_;
  std::shared_ptr<Slot> suspended_;
};

}  // namespace lambdaml::control
