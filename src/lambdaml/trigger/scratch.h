#pragma once

#include <filesystem>
#include <string>
#include <system_error>

#include "lambdaml/job/job.h"

namespace lambdaml::trigger {

/// A path in the temporary folder for one invocation's own folder, which the user of this class
/// creates. The destructor removes it with its contents, because functions keep /tmp between
/// events.
class Scratch {
 public:
  explicit Scratch(const std::string& prefix)
      : path_(std::filesystem::temp_directory_path() / (prefix + job::new_job_id())) {}
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace lambdaml::trigger
