#include "lambdaml/tensorboard/event_file.h"

#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/tensor/safetensors.h"
#include "lambdaml/tensorboard/records.h"

namespace lambdaml::tensorboard {
namespace {

constexpr double kSavePause_s = 10;

Moment now_at(std::uint64_t epoch) {
  return {static_cast<double>(epoch_ms()) / 1e3, static_cast<std::int64_t>(epoch)};
}

}  // namespace

template <class Work>
void EventFile::quietly(const Work& work) noexcept {
  try {
    work();
  } catch (const std::exception& error) {
    if (!std::exchange(has_failed_, true))
      log::warning("tensorboard {}: {}; the job goes on without it", display_, error.what());
  }
}

void EventFile::require_place(const std::string& place) {
  const Uri uri = Uri::parse(place);
  const std::optional<std::filesystem::path> folder = storage::local_file(uri);
  if (!folder) {
    storage::open(uri)->load("events");
    return;
  }
  std::error_code error;
  std::filesystem::create_directories(*folder, error);
  if (error || ::access(folder->c_str(), W_OK) != 0)
    fail(Code::invalid_argument, "tensorboard {}: it is no folder where files can be written",
         uri.display());
}

EventFile::EventFile(const std::string& place, const std::string& job_id, std::uint64_t epochs_done)
    : next_save_(Deadline::in(0)) {
  const Uri uri = Uri::parse(place);
  display_ = uri.display();
  // Readers take the files of a folder in the order of their names.
  const std::string name =
      fmt::format("events.out.tfevents.{:013}.lambdaml.{}", epoch_ms(), unique_id());
  if (const std::optional<std::filesystem::path> folder = storage::local_file(uri)) {
    make_folder(*folder / job_id, Access::umask);
    file_ = *folder / job_id / name;
  } else {
    store_ = storage::open(uri);
    key_ = job_id + "/" + name;
  }
  std::string records = version_record(now_at(0));
  if (epochs_done > 0) records += restart_record(now_at(epochs_done + 1));
  write(records);
}

EventFile::~EventFile() {
  const Tidying tidying;
  quietly([&] { save(); });
}

void EventFile::write(const std::string& records) {
  if (!file_.empty()) return append_to_file(file_, as_bytes(records), Access::umask);
  bytes_ += records;
  if (next_save_.passed()) save();
}

void EventFile::save() {
  if (store_ == nullptr || saved_bytes_ == bytes_.size()) return;
  next_save_ = Deadline::in(kSavePause_s);
  store_->save(key_, as_bytes(bytes_));
  saved_bytes_ = bytes_.size();
}

void EventFile::add_epoch(std::uint64_t epoch,
                          const std::map<std::string, double>& values) noexcept {
  quietly([&] { write(scalars_record(now_at(epoch), values)); });
}

void EventFile::add_weights(std::uint64_t epoch,
                            const std::shared_ptr<const Buffer>& model) noexcept {
  quietly([&] {
    const tensor::SafetensorsFile file(model, "the trained model");
    for (const tensor::Tensor& tensor : file.tensors())
      if (tensor.dtype == tensor::Dtype::f32)
        write(histogram_record(now_at(epoch), "weights/" + tensor.name,
                               file.values<float>(tensor.name)));
  });
}

}  // namespace lambdaml::tensorboard
