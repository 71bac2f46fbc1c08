#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/control/commit_record.h"
#include "lambdaml/control/saved_state.h"
#include "lambdaml/data/partition.h"
#include "lambdaml/model/model.h"
#include "lambdaml/optim/optimizer.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// One worker's checkpoints. Two slots are written alternately, each atomically, so one is always
/// whole, and each worker has the newest checkpoint that **all** workers have: no worker can be
/// more than one checkpoint ahead of another, because a bulk-synchronous round in between needs all
/// of them. Saving costs one PUT of the optimizer's state, plus a small one of its commit record if
/// the state is larger than kLargestWithoutRecord; the first query for existing checkpoints costs a
/// GET of both records, and restoring one GET of the state. Keys begin with the job's id, so jobs
/// can share a folder.
///
/// A state without a valid record is used only if no record describes another one: it is small, or
/// an old version saved it. In that case, and after read_states(), both states are loaded to find
/// out what exists.
///
/// Each state contains a checksum over all its contents and the key under which it was saved: a
/// state that was damaged, copied from another worker or job, or differs from its record is never
/// restored. States of an old version have a checksum of the tensors only; they are accepted with a
/// warning, once.
///
/// In addition there is at most one *suspension*: the state within an epoch of a worker whose
/// function reached its time limit, for its next invocation only.
///
/// Used by one thread; objects of several workers share nothing but the store. Methods also throw
/// what the store throws; after an error, what is saved is the state before or after the call.
class Checkpoints {
 public:
  /// In bytes of its vectors: a smaller state is read as quickly as its record would be, and a job
  /// with epochs of milliseconds should not wait for a second save in each.
  static constexpr std::uint64_t kLargestWithoutRecord = 64U << 10U;

  /// `fingerprint` is equal only for runs that may continue each other: an object in which the
  /// members kTestChecksum and kDefinitionChecksum are new, so checkpoints of an old version lack
  /// them. An object that only looks up what exists may have an empty one.
  /// `before_saving`, if any, is called before each save and may throw to prevent it.
  /// `largest_without_record` differs from the default only in tests.
  Checkpoints(std::shared_ptr<storage::Storage> store, std::string job_id,
              const nlohmann::json& fingerprint, std::uint32_t worker, std::uint32_t workers,
              std::function<void()> before_saving = {},
              std::uint64_t largest_without_record = kLargestWithoutRecord);

  /// Tells the values that options have where nobody sets them. A checkpoint of a version without
  /// some of them was made with these values.
  void set_defaults(const nlohmann::json& defaults);

  void save(const Progress& progress, optim::Optimizer& optimizer,
            const comm::Communicator& communicator, const CheckpointNote& note);

  /// Saves a state within an epoch as the worker's suspension: one PUT.
  void suspend(const Progress& progress, const StepCursor& place, const SavedState& state,
               const CheckpointNote& note);
  /// The position of a suspension; nullopt if there is none or it is damaged.
  struct Suspension {
    Progress progress;
    StepCursor place;
  };
  std::optional<Suspension> suspension();
  /// Restores the state of the suspension that suspension() returned; throws as restore() does.
  void restore_suspension(optim::Optimizer& optimizer, comm::Communicator& communicator);
  void forget_suspension();

  /// Looks up the checkpoints of several workers of one job, which share a store: loads all commit
  /// records in one batch, and the states of those without records as read_states() does.
  static void look_up(std::span<Checkpoints> workers);
  /// Loads both states of each worker, once, so that available() lists only states that are whole
  /// now. Warns about a damaged one; throws data_corrupt if a worker has no whole one. Holds 64 MB
  /// of states at a time, or the two of one worker.
  static void read_states(std::span<Checkpoints> workers);

  /// The states that this worker could restore, newest first.
  std::vector<Progress> available();

  /// Loads the newest whole state, for keep_order() and restore(); nullopt if there is none. If the
  /// newest one is damaged, uses read_states() to find the other.
  std::optional<Progress> load_newest();
  /// Loads the state of that round. Throws DamagedCheckpoint if it differs from its record,
  /// not_found if there is none.
  Progress load_round(std::uint64_t round);

  /// The note saved with that checkpoint; empty if there is none.
  CheckpointNote note(const Progress& progress);

  /// The order in which the job that saved these states visits its rows; the newest version if
  /// there are none. Later saves record the same one. Loads the newest state unless one is loaded.
  data::OrderVersion keep_order();
  /// What the workers agreed on about the rows that are held out; empty if nothing, or in states of
  /// older versions. Later saves record the same. Loads the newest state unless one is loaded.
  std::string split();
  /// Later saves say which tensors the parameters, and the vectors that belong to them, consist of,
  /// for other programs.
  void set_pieces(const std::vector<model::Model::Piece>& pieces);
  /// Call before the first save, if there is something to record.
  void set_split(std::string split) { split_ = std::move(split); }

  /// Removes checkpoints after `epoch`: the job continues from there, and a worker that is retried
  /// must not jump ahead of the others.
  void forget_after(std::uint64_t epoch);
  /// The keys that forget_after() removes.
  std::vector<std::string> keys_after(std::uint64_t epoch);

  /// Restores that checkpoint, loading it unless it is loaded. Vectors that were cut among workers
  /// in another way than this optimizer's are put together from the checkpoints of the others, as
  /// far as needed: a GET of their records and state each. Throws not_found, data_corrupt, or
  /// invalid_argument if it was saved by a run with other options or data.
  void restore(const Progress& progress, optim::Optimizer& optimizer,
               comm::Communicator& communicator);

 private:
  struct Slot;
  /// A checkpoint without its state.
  struct Found {
    std::uint64_t slot = 0;
    Progress progress;
    CheckpointNote note;
    bool is_recorded = false;  ///< the state must equal its record
  };
  const std::vector<Found>& found();
  static void load_records(std::span<Checkpoints> workers);
  static void load_states(std::span<Checkpoints* const> workers);
  void take_states(std::span<std::optional<Buffer>> both);
  /// Loads the state into loaded_. Throws not_found or data_corrupt.
  void load(const Found& checkpoint);
  /// Whether the state in that slot equals its record; false without a record.
  bool is_as_recorded(const Slot& slot) const;
  void forget_found();
  Slot read(std::uint64_t slot, const std::string& key, Buffer bytes) const;
  /// Throws invalid_argument if the state was saved by a run with other options or data.
  void require_fit(const StateFile& state) const;
  void restore_into(const StateFile& state, optim::Optimizer& optimizer,
                    comm::Communicator& communicator) const;
  std::string key(std::uint64_t slot) const;
  std::string suspension_key() const;
  StateDescription described(std::string key, const Progress& progress, const StepCursor& place,
                             const CheckpointNote& note) const;
  /// The state that is loaded, or the newest one; null if there is none.
  const Slot* loaded_or_newest();

  std::shared_ptr<storage::Storage> store_;
  std::string job_id_;
  /// JSON, which names an order. A text, for it lists the rows of all workers.
  std::string fingerprint_;
  std::shared_ptr<const nlohmann::json> defaults_;  ///< null: none are known
  std::uint32_t worker_;
  std::uint32_t workers_;
  std::string split_;
  std::string pieces_;  ///< as metadata; empty: not known
  std::function<void()> before_saving_;
  std::uint64_t largest_without_record_;
  std::uint64_t next_slot_ = 0;
  using Records = std::array<std::optional<CommitRecord>, 2>;  ///< by slot
  std::optional<Records> records_;           ///< nullopt: not loaded, or outdated; same for found_
  std::optional<std::vector<Found>> found_;  ///< newest first
  bool states_read_ = false;
  std::shared_ptr<Slot> loaded_;
  std::shared_ptr<Slot> suspended_;
};

}  // namespace lambdaml::control
