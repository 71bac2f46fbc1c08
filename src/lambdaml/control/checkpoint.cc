#include "lambdaml/control/checkpoint.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/restored_vectors.h"
#include "lambdaml/model/network.h"

namespace lambdaml::control {
namespace {

/// Limits the bytes of states in memory while those of several workers are read.
constexpr std::size_t kMostStateBytes = 64U << 20U;
constexpr std::size_t kMostTogether = 1000;  ///< workers

/// Whether the error means that the state differs from its record, rather than that the store
/// failed.
bool is_damage(const Error& error) {
  return error.code() == Code::data_corrupt || error.code() == Code::not_found;
}

/// By epoch.
template <class Found>
std::vector<Found> newest_first(std::vector<Found> all) {
  std::sort(all.begin(), all.end(),
            [](const Found& a, const Found& b) { return a.progress.epoch > b.progress.epoch; });
  return all;
}

}  // namespace

struct Checkpoints::Slot {
  std::uint64_t slot = 0;
  StateFile state;
};

Checkpoints::Checkpoints(std::shared_ptr<storage::Storage> store, std::string job_id,
                         const nlohmann::json& fingerprint, std::uint32_t worker,
                         std::uint32_t workers, std::function<void()> before_saving,
                         std::uint64_t largest_without_record)
    : store_(std::move(store)),
      job_id_(std::move(job_id)),
      fingerprint_(json_text(with_order(fingerprint))),
      worker_(worker),
      workers_(workers),
      before_saving_(std::move(before_saving)),
      largest_without_record_(largest_without_record) {
  fingerprint_.shrink_to_fit();
}

void Checkpoints::set_defaults(const nlohmann::json& defaults) {
  defaults_ = std::make_shared<const nlohmann::json>(defaults);
}

std::string Checkpoints::key(std::uint64_t slot) const {
  return fmt::format("{}/{}_{}.{}.safetensors", job_id_, worker_, workers_, slot);
}

std::string Checkpoints::suspension_key() const {
  return fmt::format("{}/{}_{}.suspended.safetensors", job_id_, worker_, workers_);
}

StateDescription Checkpoints::described(std::string key, const Progress& progress,
                                        const StepCursor& place, const CheckpointNote& note) const {
  return {std::move(key), progress, place, note, fingerprint_, split_, pieces_};
}

void Checkpoints::save(const Progress& progress, optim::Optimizer& optimizer,
                       const comm::Communicator& communicator, const CheckpointNote& note) {
  if (before_saving_) before_saving_();
  const StateView state = StateView::of(optimizer, communicator);
  CommitRecord record{progress, note, key(next_slot_)};
  const StateView::File saved = state.save(*store_, described(record.key, progress, {}, note));
  record.bytes = saved.bytes;
  record.checksum = saved.checksum;
  if (state.bytes() > largest_without_record_)
    store_->save(CommitRecord::key_of(record.key), as_bytes(record.to_json()));
  next_slot_ = 1 - next_slot_;
  forget_found();
}

void Checkpoints::forget_found() {
  records_.reset();
  found_.reset();
  states_read_ = false;
  loaded_.reset();
}

Checkpoints::Slot Checkpoints::read(std::uint64_t slot, const std::string& key,
                                    Buffer bytes) const {
  return {slot, StateFile(std::move(bytes), key,
                          fmt::format("checkpoint {}/{}", store_->describe(), key))};
}

void Checkpoints::load_records(std::span<Checkpoints> workers) {
  if (workers.empty()) return;
  storage::Storage& store = *workers.front().store_;
  std::vector<std::string> keys;
  for (const Checkpoints& own : workers)
    for (const std::uint64_t slot : {0, 1}) keys.push_back(CommitRecord::key_of(own.key(slot)));
  const std::vector<std::optional<Buffer>> texts = store.load_present(keys);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Checkpoints& own = workers[i / 2];
    if (i % 2 == 0) own.forget_found();
    if (i % 2 == 0) own.records_.emplace();
    if (!texts[i]) continue;
    std::optional<CommitRecord> record = CommitRecord::from_json(texts[i]->text(), own.key(i % 2));
    if (!record)
      log::warn_once(fmt::format("commit record {}/{}: it is damaged; continuing without it",
                                 store.describe(), keys[i]));
    (*own.records_)[i % 2] = std::move(record);
  }
}

void Checkpoints::look_up(std::span<Checkpoints> workers) {
  load_records(workers);
  std::vector<Checkpoints*> without;
  for (Checkpoints& own : workers) {
    std::vector<Found> recorded;
    for (const std::uint64_t slot : {0, 1})
      if (const auto& record = (*own.records_)[slot])
        recorded.push_back({slot, record->progress, record->note, true});
    if (recorded.empty())
      without.push_back(&own);
    else
      own.found_.emplace(newest_first(std::move(recorded)));
  }
  load_states(without);
}

const std::vector<Checkpoints::Found>& Checkpoints::found() {
  if (!found_) look_up({this, 1});
  return *found_;
}

void Checkpoints::read_states(std::span<Checkpoints> workers) {
  std::vector<Checkpoints*> unread;
  for (Checkpoints& own : workers) {
    if (own.states_read_) continue;
    if (!own.records_) load_records({&own, 1});
    unread.push_back(&own);
  }
  load_states(unread);
}

void Checkpoints::load_states(std::span<Checkpoints* const> workers) {
  std::size_t together = 1;  // those of the first one show how large they are
  while (!workers.empty()) {
    const auto some = workers.first(std::min(together, workers.size()));
    workers = workers.subspan(some.size());
    std::vector<std::string> keys;
    for (const Checkpoints* own : some)
      for (const std::uint64_t slot : {0, 1}) keys.push_back(own->key(slot));
    std::vector<std::optional<Buffer>> states = some.front()->store_->load_present(keys);
    std::size_t largest = 1;
    for (const std::optional<Buffer>& state : states)
      if (state) largest = std::max(largest, state->size());
    for (std::size_t i = 0; i < some.size(); ++i)
      some[i]->take_states(std::span(states).subspan(2 * i, 2));
    together = std::clamp<std::size_t>(kMostStateBytes / (2 * largest), 1, kMostTogether);
  }
}

void Checkpoints::take_states(std::span<std::optional<Buffer>> both) {
  std::vector<Found> whole;
  std::string damage;
  for (const std::uint64_t slot : {0, 1}) {
    std::optional<Buffer> bytes = std::move(both[slot]);
    if (!bytes) continue;
    try {
      const Slot there = read(slot, key(slot), std::move(*bytes));
      const bool recorded = is_as_recorded(there);
      whole.push_back({slot, there.state.progress(),
                       recorded ? (*records_)[slot]->note : there.state.note(), recorded});
    } catch (const Error& error) {
      damage = error.what();
    }
  }
  if (whole.empty() && !damage.empty())
    fail(Code::data_corrupt,
         "{}; worker {} has no other checkpoint, so the job cannot be continued: bring back a copy "
         "of the checkpoints, or train again",
         damage, worker_);
  if (!damage.empty()) log::warn_once(damage + "; the worker's other checkpoint is used");
  found_.emplace(newest_first(std::move(whole)));
  states_read_ = true;
}

bool Checkpoints::is_as_recorded(const Slot& slot) const {
  const std::optional<CommitRecord>& record = (*records_)[slot.slot];
  return record && slot.state.is_described_by(*record);
}

void Checkpoints::load(const Found& checkpoint) {
  loaded_.reset();
  const std::string name = key(checkpoint.slot);
  std::optional<Buffer> bytes = store_->load(name);
  if (!bytes)
    fail(Code::not_found, "checkpoint {}/{}: it is not there any more", store_->describe(), name);
  auto slot = std::make_shared<Slot>(read(checkpoint.slot, name, std::move(*bytes)));
  if (slot->state.progress() != checkpoint.progress ||
      (checkpoint.is_recorded && !is_as_recorded(*slot)))
    fail(Code::data_corrupt, "{}: it is not the state that its commit record tells of",
         slot->state.what());
  loaded_ = std::move(slot);
}

std::optional<Progress> Checkpoints::load_newest() {
  if (found().empty()) return {};
  try {
    load(found().front());
  } catch (const Error& error) {
    if (states_read_ || !is_damage(error)) throw;
    read_states({this, 1});
    if (found().empty()) return {};
    load(found().front());
  }
  return loaded_->state.progress();
}

Progress Checkpoints::load_round(std::uint64_t round) {
  const auto of_round = [&] {
    const std::vector<Found>& all = found();
    return std::ranges::find_if(all, [&](const Found& at) { return at.progress.round == round; });
  };
  if (of_round() == found().end()) read_states({this, 1});
  const auto checkpoint = of_round();
  if (checkpoint == found().end())
    fail(Code::not_found, "worker {} has no checkpoint of round {} to continue from in {}", worker_,
         round, store_->describe());
  try {
    load(*checkpoint);
    return loaded_->state.progress();
  } catch (const Error& error) {
    if (!is_damage(error)) throw;
    if (states_read_) throw DamagedCheckpoint(error.what());
  }
  // The state is damaged, or the record is wrong about a state that is whole.
  try {
    read_states({this, 1});
    if (of_round() != found().end()) load(*of_round());
  } catch (const Error& error) {
    if (is_damage(error)) throw DamagedCheckpoint(error.what());
    throw;
  }
  if (!loaded_)
    throw DamagedCheckpoint(fmt::format("worker {}: its checkpoint of round {} in {} is damaged",
                                        worker_, round, store_->describe()));
  return loaded_->state.progress();
}

void Checkpoints::suspend(const Progress& progress, const StepCursor& place,
                          const SavedState& state, const CheckpointNote& note) {
  if (before_saving_) before_saving_();
  state.view().save(*store_, described(suspension_key(), progress, place, note));
}

std::optional<Checkpoints::Suspension> Checkpoints::suspension() {
  suspended_.reset();
  std::optional<Buffer> bytes = store_->load(suspension_key());
  if (!bytes) return {};
  try {
    suspended_ = std::make_shared<Slot>(read(0, suspension_key(), std::move(*bytes)));
    return Suspension{suspended_->state.progress(), suspended_->state.place()};
  } catch (const Error& error) {
    log::warning("{}; continuing without it", error.what());
    return {};
  }
}

void Checkpoints::forget_suspension() { store_->remove(suspension_key()); }

std::vector<Progress> Checkpoints::available() {
  std::vector<Progress> out;
  for (const Found& checkpoint : found()) out.push_back(checkpoint.progress);
  return out;
}

CheckpointNote Checkpoints::note(const Progress& progress) {
  for (const Found& checkpoint : found())
    if (checkpoint.progress == progress) return checkpoint.note;
  return {};
}

const Checkpoints::Slot* Checkpoints::loaded_or_newest() {
  if (!suspended_ && !loaded_) load_newest();
  return suspended_ ? suspended_.get() : loaded_.get();
}

std::string Checkpoints::split() {
  if (const Slot* from = loaded_or_newest()) split_ = from->state.split();
  return split_;
}

data::OrderVersion Checkpoints::keep_order() {
  const Slot* from = loaded_or_newest();
  const data::OrderVersion order =
      from == nullptr ? data::OrderVersion::reshuffled : from->state.order();
  if (nlohmann::json members = parse_json(fingerprint_); members.is_object()) {
    members[kOrder] = order;
    fingerprint_ = json_text(members);
  }
  return order;
}

std::vector<std::string> Checkpoints::keys_after(std::uint64_t epoch) {
  std::vector<std::string> keys{suspension_key()};
  for (const Found& checkpoint : found()) {
    if (checkpoint.progress.epoch <= epoch) continue;
    keys.push_back(CommitRecord::key_of(key(checkpoint.slot)));
    keys.push_back(key(checkpoint.slot));
  }
  return keys;
}

void Checkpoints::forget_after(std::uint64_t epoch) {
  store_->remove_all(keys_after(epoch));
  forget_found();
}

void Checkpoints::require_fit(const StateFile& state) const {
  if (!state.fits(parse_json(fingerprint_), defaults_.get()))
    fail(Code::invalid_argument,
         "{}: it belongs to a run with other options or data and cannot be continued with these",
         state.what());
}

void Checkpoints::restore_into(const StateFile& state, optim::Optimizer& optimizer,
                               comm::Communicator& communicator) const {
  require_fit(state);
  RestoredVectors vectors(state, optimizer);
  for (std::uint32_t other = 0; other < workers_ && !vectors.are_complete(); ++other) {
    if (other == worker_) continue;
    Checkpoints theirs(store_, job_id_, {}, other, workers_);
    theirs.load_round(state.progress().round);
    require_fit(theirs.loaded_->state);
    vectors.take_from(theirs.loaded_->state);
  }
  vectors.require_complete();
  communicator.restore_residual(state.residual());
  optimizer.set_scalars(state.scalars());
  communicator.restore(state.communicator());
  communicator.seek(state.progress().round);
}

void Checkpoints::set_pieces(const std::vector<model::Model::Piece>& pieces) {
  nlohmann::json list = nlohmann::json::array();
  std::size_t at = 0;
  for (const model::Model::Piece& piece : pieces) {
    list.push_back({{"name", piece.name}, {"shape", piece.shape}, {"begin", at}});
    at += model::elements(piece);
  }
  pieces_ = json_text(list);
}

void Checkpoints::restore(const Progress& progress, optim::Optimizer& optimizer,
                          comm::Communicator& communicator) {
  for (const Found& checkpoint : found()) {
    if (checkpoint.progress != progress) continue;
    if (!loaded_ || loaded_->slot != checkpoint.slot) load(checkpoint);
    const std::shared_ptr<Slot> slot = std::exchange(loaded_, nullptr);
    restore_into(slot->state, optimizer, communicator);
    next_slot_ = 1 - slot->slot;
    return;
  }
  fail(Code::not_found, "no checkpoint of worker {} at epoch {} in {}", worker_, progress.epoch,
       store_->describe());
}

void Checkpoints::restore_suspension(optim::Optimizer& optimizer,
                                     comm::Communicator& communicator) {
  if (!suspended_)
    fail(Code::not_found, "no suspension of worker {} in {}", worker_, store_->describe());
  restore_into(suspended_->state, optimizer, communicator);
  suspended_.reset();
  loaded_.reset();
  // The older of the two checkpoints is overwritten next.
  if (!found().empty()) next_slot_ = 1 - found().front().slot;
}

}  // namespace lambdaml::control
