#include "lambdaml/control/checkpoint.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::control {
namespace {

constexpr const char* kCheckpointFormat = "lambdaml-checkpoint-3";
/// The checksum of the old version, over the tensors only.
constexpr const char* kOldFormat = "lambdaml-checkpoint-2";
/// The communicator's residual, stored among the optimizer's vectors.
constexpr const char* kResidual = "communicator.residual";

/// What the workers agreed on about rows that are held out; absent if nothing.
constexpr const char* kSplit = "split";
/// The vectors of which this worker has some ranges; absent if none.
constexpr const char* kCut = "cut";
/// The tensors that the parameters consist of; absent in states of older versions.
constexpr const char* kPieces = "tensors";

/// As in the old version: over the tensors, by name.
std::uint64_t old_checksum_of(const tensor::SafetensorsFile& file) {
  std::map<std::string, Bytes> by_name;
  for (const tensor::Tensor& tensor : file.tensors()) by_name[tensor.name] = tensor.bytes;
  std::uint64_t sum = 0;
  for (const auto& [name, bytes] : by_name) sum = checksum(bytes, sum);
  return sum;
}

/// Adds the order that versions which do not name one used.
nlohmann::json with_order(nlohmann::json fingerprint) {
  if (fingerprint.is_object() && !fingerprint.contains(kOrder))
    fingerprint[kOrder] = data::OrderVersion::tail_last;
  return fingerprint;
}

/// Earlier versions stored the options with their passwords.
nlohmann::json fingerprint_in(const tensor::SafetensorsFile& file) {
  nlohmann::json members = with_order(parse_json(file.metadata("fingerprint")));
  if (!members.is_object()) return members;
  for (auto& [name, value] : members.items())
    if (value.is_string()) value = without_passwords(value.get<std::string>());
  return members;
}

data::OrderVersion order_in(const tensor::SafetensorsFile& file) {
  const nlohmann::json members = fingerprint_in(file);
  const nlohmann::json order =
      members.is_object() ? members.value(kOrder, nlohmann::json()) : nlohmann::json();
  for (const auto version : {data::OrderVersion::tail_mixed, data::OrderVersion::reshuffled})
    if (order == version) return version;
  return data::OrderVersion::tail_last;
}

std::string text_of(const optim::Cut& cut) {
  return json_text(
      nlohmann::json{{"size", cut.size}, {"ranges", cut.ranges}, {"names", cut.names}});
}

optim::Cut cut_in(const tensor::SafetensorsFile& file) {
  const auto text = file.metadata().find(kCut);
  if (text == file.metadata().end()) return {};
  try {
    const nlohmann::json members = parse_json(text->second);
    optim::Cut cut{members.at("size"), members.at("ranges"), members.at("names")};
    for (const auto& [begin, end] : cut.ranges)
      if (begin > end || end > cut.size) fail(Code::data_corrupt, "a range is out of bounds");
    return cut;
  } catch (const std::exception&) {
    fail(Code::data_corrupt, "{}: metadata '{}' does not say how vectors are cut", file.what(),
         kCut);
  }
}

std::size_t size_of(const std::vector<comm::Range>& ranges) {
  std::size_t size = 0;
  for (const auto& [begin, end] : ranges) size += end - begin;
  return size;
}

/// Copies what two vectors of ranges have in common; returns how many values that is.
std::size_t copy_common(std::span<const float> from, const std::vector<comm::Range>& from_ranges,
                        std::span<float> to, const std::vector<comm::Range>& to_ranges) {
  std::size_t copied = 0;
  std::size_t from_at = 0;
  for (const auto& [from_begin, from_end] : from_ranges) {
    std::size_t to_at = 0;
    for (const auto& [to_begin, to_end] : to_ranges) {
      const std::size_t begin = std::max(from_begin, to_begin);
      const std::size_t end = std::min(from_end, to_end);
      if (begin < end) {
        std::ranges::copy(from.subspan(from_at + begin - from_begin, end - begin),
                          to.begin() + static_cast<std::ptrdiff_t>(to_at + begin - to_begin));
        copied += end - begin;
      }
      to_at += to_end - to_begin;
    }
    from_at += from_end - from_begin;
  }
  return copied;
}

std::uint64_t count_in(const tensor::SafetensorsFile& file, std::string_view key) {
  const auto value = to_integer(file.metadata(key));
  if (!value || *value < 0)
    fail(Code::data_corrupt, "{}: metadata '{}' is no count", file.what(), key);
  return static_cast<std::uint64_t>(*value);
}

/// Throws data_corrupt unless the file is whole and was saved under that key.
void verify(const tensor::SafetensorsFile& file, const std::string& key) {
  const std::string& what = file.what();
  const std::string& format = file.metadata("format");
  if (format == kOldFormat) {
    if (file.metadata("checksum") != checksum_text(old_checksum_of(file)))
      fail(Code::data_corrupt, "{}: its checksum does not fit; it was damaged", what);
    return warn_of_old_job(key.substr(0, key.find('/')));
  }
  if (format != kCheckpointFormat)
    fail(Code::data_corrupt, "{}: no checkpoint of this program", what);
  if (!file.verify())
    fail(Code::data_corrupt, "{}: it has no checksum of itself; it was damaged", what);
  if (file.metadata("key") != key)
    fail(Code::data_corrupt, "{}: it was saved as {} and copied here", what,
         printable(file.metadata("key")));
}

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
  Progress progress;
  StepCursor place;
  tensor::SafetensorsFile file;
};

void warn_of_old_job(const std::string& job_id) {
  log::warn_once(
      fmt::format("job {}: an old version began it, whose files have checksums of less than they "
                  "say, so damage "
                  "may not be seen",
                  job_id));
}

Checkpoints::Checkpoints(std::shared_ptr<storage::Storage> store, std::string job_id,
                         const nlohmann::json& fingerprint, std::uint32_t worker,
                         std::uint32_t workers, std::function<void()> before_saving,
                         std::uint64_t largest_without_record)
    : store_(std::move(store)),
      job_id_(std::move(job_id)),
      fingerprint_(std::make_shared<const nlohmann::json>(with_order(fingerprint))),
      worker_(worker),
      workers_(workers),
      before_saving_(std::move(before_saving)),
      largest_without_record_(largest_without_record) {}

void Checkpoints::set_defaults(const nlohmann::json& defaults) {
  defaults_ = std::make_shared<const nlohmann::json>(defaults);
}

std::string Checkpoints::key(std::uint64_t slot) const {
  return fmt::format("{}/{}_{}.{}.safetensors", job_id_, worker_, workers_, slot);
}

std::string Checkpoints::suspension_key() const {
  return fmt::format("{}/{}_{}.suspended.safetensors", job_id_, worker_, workers_);
}

std::uint64_t SavedState::bytes() const {
  std::uint64_t sum = (communicator.size() + scalars.size()) * sizeof(double);
  for (const auto& [name, values] : vectors) sum += values.size() * sizeof(float);
  return sum;
}

void SavedState::take(optim::Optimizer& optimizer, const comm::Communicator& from) {
  cut = optimizer.cut();
  communicator = from.snapshot();
  scalars = optimizer.scalars();
  for (const auto& [name, values] : optimizer.state())
    vectors[name].assign(values.begin(), values.end());
  if (const std::span<const float> residual = from.residual(); !residual.empty())
    vectors[kResidual].assign(residual.begin(), residual.end());
}

Buffer Checkpoints::encode(const std::string& key, const Progress& progress,
                           const StepCursor& place, const SavedState& state,
                           const CheckpointNote& note, std::uint64_t* checksum) const {
  tensor::SafetensorsWriter writer;
  const std::array<double, 3> totals{place.totals.loss, place.totals.rows, place.totals.correct};
  writer.add<double>("communicator", {state.communicator.size()}, state.communicator);
  writer.add<double>("scalars", {state.scalars.size()}, state.scalars);
  for (const auto& [name, values] : state.vectors)
    writer.add<float>("state." + name, {values.size()}, values);
  writer.add<double>("totals", {totals.size()}, totals);
  writer.set_metadata("format", kCheckpointFormat);
  writer.set_metadata("key", key);
  writer.set_metadata("metrics", note.metrics);
  writer.set_metadata("ended_by", note.ended_by);
  writer.set_metadata("fingerprint", json_text(*fingerprint_));
  if (!split_.empty()) writer.set_metadata(kSplit, split_);
  if (!state.cut.names.empty()) writer.set_metadata(kCut, text_of(state.cut));
  if (!pieces_.empty()) writer.set_metadata(kPieces, pieces_);
  writer.set_metadata("epoch", std::to_string(progress.epoch));
  writer.set_metadata("round", std::to_string(progress.round));
  writer.set_metadata("pass", std::to_string(place.pass));
  writer.set_metadata("step", std::to_string(place.step));
  return writer.serialize_with_checksum(checksum);
}

void Checkpoints::save(const Progress& progress, optim::Optimizer& optimizer,
                       const comm::Communicator& communicator, const CheckpointNote& note) {
  if (before_saving_) before_saving_();
  SavedState state;
  state.take(optimizer, communicator);
  CommitRecord record{progress, note, key(next_slot_)};
  const bool has_record = state.bytes() > largest_without_record_;
  {
    const Buffer bytes = encode(record.key, progress, {}, state, note, &record.checksum);
    record.bytes = bytes.size();
    store_->save(record.key, bytes);
  }
  if (has_record) store_->save(CommitRecord::key_of(record.key), as_bytes(record.to_json()));
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
  const std::string what = fmt::format("checkpoint {}/{}", store_->describe(), key);
  tensor::SafetensorsFile file(std::make_shared<const Buffer>(std::move(bytes)), what);
  verify(file, key);
  const std::span<const double> totals = file.values<double>("totals");
  if (totals.size() != 3) fail(Code::data_corrupt, "{}: its totals are not three numbers", what);
  const Progress progress{count_in(file, "epoch"), count_in(file, "round")};
  const StepCursor place{
      count_in(file, "pass"), count_in(file, "step"), {totals[0], totals[1], totals[2]}};
  return Slot{slot, progress, place, std::move(file)};
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
      whole.push_back({slot, there.progress,
                       recorded ? (*records_)[slot]->note
                                : CheckpointNote{there.file.metadata("ended_by"),
                                                 there.file.metadata("metrics")},
                       recorded});
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
  return record && record->progress == slot.progress &&
         record->bytes == slot.file.owner()->size() &&
         record->checksum == slot.file.stated_checksum() &&
         record->note.ended_by == slot.file.metadata("ended_by");
}

void Checkpoints::load(const Found& checkpoint) {
  loaded_.reset();
  const std::string name = key(checkpoint.slot);
  std::optional<Buffer> bytes = store_->load(name);
  if (!bytes)
    fail(Code::not_found, "checkpoint {}/{}: it is not there any more", store_->describe(), name);
  auto slot = std::make_shared<Slot>(read(checkpoint.slot, name, std::move(*bytes)));
  if (slot->progress != checkpoint.progress || (checkpoint.is_recorded && !is_as_recorded(*slot)))
    fail(Code::data_corrupt, "{}: it is not the state that its commit record tells of",
         slot->file.what());
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
  return loaded_->progress;
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
    return loaded_->progress;
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
  return loaded_->progress;
}

void Checkpoints::suspend(const Progress& progress, const StepCursor& place,
                          const SavedState& state, const CheckpointNote& note) {
  if (before_saving_) before_saving_();
  store_->save(suspension_key(), encode(suspension_key(), progress, place, state, note));
}

std::optional<Checkpoints::Suspension> Checkpoints::suspension() {
  suspended_.reset();
  std::optional<Buffer> bytes = store_->load(suspension_key());
  if (!bytes) return {};
  try {
    suspended_ = std::make_shared<Slot>(read(0, suspension_key(), std::move(*bytes)));
    return Suspension{suspended_->progress, suspended_->place};
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
  if (const Slot* from = loaded_or_newest()) {
    const auto& metadata = from->file.metadata();
    const auto saved = metadata.find(kSplit);
    split_ = saved == metadata.end() ? "" : saved->second;
  }
  return split_;
}

data::OrderVersion Checkpoints::keep_order() {
  const Slot* from = loaded_or_newest();
  const data::OrderVersion order =
      from == nullptr ? data::OrderVersion::reshuffled : order_in(from->file);
  if (fingerprint_->is_object()) {
    nlohmann::json members = *fingerprint_;
    members[kOrder] = order;
    fingerprint_ = std::make_shared<const nlohmann::json>(std::move(members));
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

bool Checkpoints::continues(const Slot& slot) const {
  // Their texts are compared, because a text cannot hold every value: bytes that are not UTF-8.
  nlohmann::json members = fingerprint_in(slot.file);
  if (members.is_object() && defaults_)
    for (const auto& [name, value] : defaults_->items())
      if (fingerprint_->contains(name) && !members.contains(name)) members[name] = value;
  const std::string saved = json_text(members);
  if (saved == json_text(*fingerprint_)) return true;
  if (slot.file.metadata("format") != kOldFormat || !fingerprint_->is_object()) return false;
  nlohmann::json old = *fingerprint_;
  for (const char* name : {kTestChecksum, kDefinitionChecksum}) old.erase(name);
  return saved == json_text(old);
}

void Checkpoints::restore_into(const Slot& slot, optim::Optimizer& optimizer,
                               comm::Communicator& communicator) const {
  const tensor::SafetensorsFile& file = slot.file;
  if (!continues(slot))
    fail(Code::invalid_argument,
         "{}: it belongs to a run with other options or data and cannot be continued with these",
         file.what());
  const optim::Cut wanted = optimizer.cut();
  const optim::Cut there = cut_in(file);
  const bool is_cut_anew = wanted != there;
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
  };
  for (auto& [name, values] : optimizer.state()) {
    if (is_cut_anew && (has(wanted.names, name) || has(there.names, name))) continue;
    const std::span<const float> saved = file.values<float>("state." + name);
    if (saved.size() != values.size())
      fail(Code::data_corrupt, "{}: '{}' has {} numbers instead of {}", file.what(), name,
           saved.size(), values.size());
    std::copy(saved.begin(), saved.end(), values.begin());
  }
  const std::string residual = fmt::format("state.{}", kResidual);
  for (const tensor::Tensor& saved : file.tensors()) {
    constexpr std::string_view kState = "state.";
    if (!saved.name.starts_with(kState) || saved.name == residual) continue;
    if (!optimizer.state().contains(saved.name.substr(kState.size())))
      fail(Code::data_corrupt, "{}: '{}' is of another optimizer or other options", file.what(),
           saved.name);
  }
  if (is_cut_anew) recut(slot, optimizer);
  communicator.restore_residual(file.find(residual) == nullptr ? std::span<const float>()
                                                               : file.values<float>(residual));
  optimizer.set_scalars(file.values<double>("scalars"));
  communicator.restore(file.values<double>("communicator"));
  communicator.seek(slot.progress.round);
}

void Checkpoints::recut(const Slot& slot, optim::Optimizer& optimizer) const {
  const optim::Cut wanted = optimizer.cut();
  const optim::Cut there = cut_in(slot.file);
  const std::size_t size = wanted.names.empty() ? there.size : wanted.size;
  const std::vector<comm::Range> whole = {{0, size}};
  const auto ranges_of = [&](const optim::Cut& cut) {
    return cut.names.empty() ? whole : cut.ranges;
  };
  const std::vector<comm::Range> to_ranges = ranges_of(wanted);
  const std::vector<std::string> names = wanted.names.empty() ? there.names : wanted.names;
  std::size_t missing = size_of(to_ranges) * names.size();
  optim::State state = optimizer.state();
  const auto take_from = [&](const tensor::SafetensorsFile& file) {
    const std::vector<comm::Range> from_ranges = ranges_of(cut_in(file));
    for (const std::string& name : names) {
      const std::span<const float> from = file.values<float>("state." + name);
      const auto to = state.find(name);
      if (to == state.end() || to->second.size() != size_of(to_ranges) ||
          from.size() != size_of(from_ranges))
        fail(Code::data_corrupt, "{}: '{}' has {} numbers, which do not fit its ranges",
             file.what(), name, from.size());
      missing -= copy_common(from, from_ranges, to->second, to_ranges);
    }
  };
  take_from(slot.file);
  for (std::uint32_t other = 0; other < workers_ && missing > 0; ++other) {
    if (other == worker_) continue;
    Checkpoints theirs(store_, job_id_, *fingerprint_, other, workers_);
    theirs.defaults_ = defaults_;
    theirs.load_round(slot.progress.round);
    if (!theirs.continues(*theirs.loaded_))
      fail(Code::invalid_argument, "{}: it belongs to a run with other options or data",
           theirs.loaded_->file.what());
    take_from(theirs.loaded_->file);
  }
  if (missing > 0)
    fail(Code::data_corrupt, "{}: of '{}', {} numbers are in no worker's checkpoint",
         slot.file.what(), names.front(), missing / names.size());
}

void Checkpoints::set_pieces(const std::vector<model::Model::Piece>& pieces) {
  nlohmann::json list = nlohmann::json::array();
  std::size_t at = 0;
  for (const model::Model::Piece& piece : pieces) {
    list.push_back({{"name", piece.name}, {"shape", piece.shape}, {"begin", at}});
    std::size_t size = 1;
    for (const std::size_t dimension : piece.shape) size *= dimension;
    at += size;
  }
  pieces_ = json_text(list);
}

void Checkpoints::restore(const Progress& progress, optim::Optimizer& optimizer,
                          comm::Communicator& communicator) {
  for (const Found& checkpoint : found()) {
    if (checkpoint.progress != progress) continue;
    if (!loaded_ || loaded_->slot != checkpoint.slot) load(checkpoint);
    const std::shared_ptr<Slot> slot = std::exchange(loaded_, nullptr);
    restore_into(*slot, optimizer, communicator);
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
  restore_into(*suspended_, optimizer, communicator);
  suspended_.reset();
  loaded_.reset();
  // The older of the two checkpoints is overwritten next.
  if (!found().empty()) next_slot_ = 1 - found().front().slot;
}

}  // namespace lambdaml::control
