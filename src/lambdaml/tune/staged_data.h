#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "lambdaml/data/dataset.h"
#include "lambdaml/tune/records.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::tune {

/// The data of a search, read once and cut once for each number of workers that comes up.
class StagedData {
 public:
  StagedData(const Search& search, Records& records);
  ~StagedData();

  /// Points a trial's options, resolved, to the data cut for its workers, which are cut now if they
  /// are not yet. A set that `data split` prepared for them is used where it lies. Throws as
  /// data::read and data::split do.
  void give_to(Options& options);

 private:
  std::string place_of(const Options& options, const char* option, const std::string& kind);

  const bool keep_;  ///< the data stay in memory: they may be cut again
  Records& records_;
  std::map<std::string, std::string> places_;  ///< by kind and workers
  std::map<std::string, std::unique_ptr<data::Dataset>> read_;
};

}  // namespace lambdaml::tune
