#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/data/dataset.h"
#include "lambdaml/data/source.h"

/// Data sets in the memory of this process, which its worker threads use where they are: nothing is
/// written, read or copied.
namespace lambdaml::data {

/// While an instance lives, the threads of this process find the data set by its name. Thread-safe.
class SharedRows {
 public:
  explicit SharedRows(Dataset dataset);
  ~SharedRows();
  SharedRows(const SharedRows&) = delete;
  SharedRows& operator=(const SharedRows&) = delete;

  /// In place of the URI of a prepared set.
  const std::string& name() const { return name_; }
  /// Of its cut in n parts of successive rows, none longer than another by more than one. One pass
  /// over the data. Throws invalid_argument if there are fewer rows than parts.
  Manifest manifest(std::size_t n) const;

 private:
  Dataset dataset_;
  std::string name_;
};

/// Whether it is the name of a data set that is shared, perhaps by another process.
bool is_shared(std::string_view name);
/// Part i of the data set of that name, as the manifest cuts it. Throws not_found if this process
/// shares none of that name.
Dataset shared_part(std::string_view name, std::size_t i, const Manifest& manifest);

}  // namespace lambdaml::data
