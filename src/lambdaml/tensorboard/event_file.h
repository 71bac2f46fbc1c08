#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::tensorboard {

/// Writes a job's events for `tensorboard --logdir PLACE`: below a folder or URI, in a folder named
/// after the job, one file for each time that the job is begun or resumed. In a folder of this
/// machine lines are appended as they come; a store gets the whole file at most every 10 s, a PUT
/// each. Used by one thread.
class EventFile {
 public:
  /// For before a job begins: throws what the constructor would for a place where nothing can be
  /// written: invalid_argument, permission_denied, and what the store throws. A GET in a store.
  static void require_place(const std::string& place);

  /// `epochs_done`: of a job that is resumed. Throws what creating the file throws.
  EventFile(const std::string& place, const std::string& job_id, std::uint64_t epochs_done);
  /// Saves what is left.
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  // Errors of these are logged, once: a job does not end because nobody can look at it.
  void add_epoch(std::uint64_t epoch, const std::map<std::string, double>& values) noexcept;
  /// The distribution of the values of each tensor of float32 in the bytes of a model file.
  void add_weights(std::uint64_t epoch, const std::shared_ptr<const Buffer>& model) noexcept;

 private:
  void write(const std::string& records);
  void save();
  template <class Work>
  void quietly(const Work& work) noexcept;

  std::string display_;
  std::filesystem::path file_;  ///< empty if it is in a store
  std::shared_ptr<storage::Storage> store_;
  std::string key_, bytes_;  ///< in a store
  std::size_t saved_bytes_ = 0;
  Deadline next_save_;
  bool has_failed_ = false;
};

}  // namespace lambdaml::tensorboard
