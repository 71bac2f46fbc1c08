#include "lambdaml/train/checkpoint.h"

#include <algorithm>
#include <map>

#include <fmt/core.h>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::train {
namespace {

constexpr const char* kFormat = "lambdaml-checkpoint-1";

/// Over everything that counts, by name, so that a flipped bit in a state is not trained on.
std::uint64_t checksum_of(const tensor::SafetensorsFile& file) {
  std::map<std::string, Bytes> by_name;
  for (const tensor::Tensor& tensor : file.tensors()) by_name[tensor.name] = tensor.bytes;
  std::uint64_t sum = 0;
  for (const auto& [name, bytes] : by_name) sum = checksum(bytes, sum);
  return sum;
}

std::uint64_t count_in(const tensor::SafetensorsFile& file, std::string_view key) {
  const auto value = to_integer(file.metadata(key));
  if (!value || *value < 0)
    fail(Code::data_corrupt, "{}: metadata '{}' is no count", file.what(), key);
  return static_cast<std::uint64_t>(*value);
}

}  // namespace

struct Checkpoints::Slot {
  std::uint64_t slot = 0;
  Progress progress;
  tensor::SafetensorsFile file;
};

Checkpoints::Checkpoints(std::shared_ptr<storage::Storage> store, std::string job_id,
                         std::string fingerprint, std::uint32_t worker, std::uint32_t workers)
    : store_(std::move(store)),
      job_id_(std::move(job_id)),
      fingerprint_(std::move(fingerprint)),
      worker_(worker),
      workers_(workers) {}

std::string Checkpoints::key(std::uint64_t slot) const {
  return fmt::format("{}/{}_{}.{}.safetensors", job_id_, worker_, workers_, slot);
}

void Checkpoints::save(const Progress& progress, optim::Optimizer& optimizer,
                       const comm::Communicator& communicator, const CheckpointNote& note) {
  tensor::SafetensorsWriter writer;
  const std::vector<double> scalars = optimizer.scalars();
  const std::vector<double> snapshot = communicator.snapshot();
  writer.add<double>("communicator", {snapshot.size()}, snapshot);
  writer.add<double>("scalars", {scalars.size()}, scalars);
  const optim::State state = optimizer.state();
  for (const auto& [name, values] : state)
    writer.add<float>("state." + name, {values.size()}, std::span<const float>(values));
  writer.set_metadata("format", kFormat);
  writer.set_metadata("metrics", note.metrics);
  writer.set_metadata("ended_by", note.ended_by);
  writer.set_metadata("fingerprint", fingerprint_);
  writer.set_metadata("epoch", std::to_string(progress.epoch));
  writer.set_metadata("round", std::to_string(progress.round));
  // In the order of the names, as checksum_of() reads them.
  std::uint64_t sum = checksum(std::as_bytes(std::span(snapshot)), 0);
  sum = checksum(std::as_bytes(std::span(scalars)), sum);
  for (const auto& [name, values] : state) sum = checksum(std::as_bytes(values), sum);
  writer.set_metadata("checksum", fmt::format("{:016x}", sum));
  store_->save(key(next_slot_), writer.serialize());
  next_slot_ = 1 - next_slot_;
}

std::vector<Checkpoints::Slot> Checkpoints::slots() {
  std::vector<Slot> whole;
  std::exception_ptr damage;
  for (const std::uint64_t slot : {0, 1}) {
    std::optional<Buffer> bytes = store_->load(key(slot));
    if (!bytes) continue;
    try {
      const std::string what = fmt::format("checkpoint {}/{}", store_->describe(), key(slot));
      tensor::SafetensorsFile file(std::make_shared<const Buffer>(std::move(*bytes)), what);
      if (file.metadata("format") != kFormat)
        fail(Code::data_corrupt, "{}: no checkpoint of this program", what);
      if (file.metadata("checksum") != fmt::format("{:016x}", checksum_of(file)))
        fail(Code::data_corrupt, "{}: its checksum does not fit; it was damaged", what);
      const Progress progress{count_in(file, "epoch"), count_in(file, "round")};
      whole.push_back(Slot{slot, progress, std::move(file)});
    } catch (const Error&) {
      damage = std::current_exception();
    }
  }
  if (whole.empty() && damage) std::rethrow_exception(damage);
  std::sort(whole.begin(), whole.end(),
            [](const Slot& a, const Slot& b) { return a.progress.epoch > b.progress.epoch; });
  return whole;
}

std::vector<Progress> Checkpoints::available() {
  std::vector<Progress> out;
  for (const Slot& slot : slots()) out.push_back(slot.progress);
  return out;
}

CheckpointNote Checkpoints::note(const Progress& progress) {
  for (const Slot& slot : slots())
    if (slot.progress == progress)
      return {slot.file.metadata("ended_by"), slot.file.metadata("metrics")};
  return {};
}

void Checkpoints::forget_after(std::uint64_t epoch) {
  for (const Slot& slot : slots())
    if (slot.progress.epoch > epoch) store_->remove(key(slot.slot));
}

void Checkpoints::restore(const Progress& progress, optim::Optimizer& optimizer,
                          comm::Communicator& communicator) {
  for (const Slot& slot : slots()) {
    if (slot.progress != progress) continue;
    const tensor::SafetensorsFile& file = slot.file;
    if (file.metadata("fingerprint") != fingerprint_)
      fail(Code::invalid_argument,
           "{}: it belongs to a run with other options or data and cannot be continued with these",
           file.what());
    for (auto& [name, values] : optimizer.state()) {
      const std::span<const float> saved = file.values<float>("state." + name);
      if (saved.size() != values.size())
        fail(Code::data_corrupt, "{}: '{}' has {} numbers instead of {}", file.what(), name,
             saved.size(), values.size());
      std::copy(saved.begin(), saved.end(), values.begin());
    }
    optimizer.set_scalars(file.values<double>("scalars"));
    communicator.restore(file.values<double>("communicator"));
    communicator.seek(progress.round);
    next_slot_ = 1 - slot.slot;
    return;
  }
  fail(Code::not_found, "no checkpoint of worker {} at epoch {} in {}", worker_, progress.epoch,
       store_->describe());
}

}  // namespace lambdaml::train
