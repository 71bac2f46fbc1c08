#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "lambdaml/data/dataset.h"
#include "lambdaml/data/places.h"
#include "lambdaml/tune/records.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::tune {

/// The data of a search, read once and cut once for each number of workers that is needed.
class SearchData {
 public:
  SearchData(const Search& search, Records& records);
  ~SearchData();

  /// Sets a trial's resolved options to the data cut for its number of workers, cutting it now if
  /// necessary. A set that `data split` prepared for them is used in place. Throws as data::read()
  /// and data::split() do.
  void set_places_in(Options& options);

 private:
  std::string place_of(const Options& options, const char* option, const std::string& kind);
  /// Has the functions of the platform cut large data to `own`; false if they do not read them.
  bool prepare_there(const Options& options, const data::Places& given, const std::string& kind,
                     const std::string& own);

  const bool keep_;  ///< keep the data in memory: they may be cut again
  Records& records_;
  std::map<std::string, std::string> places_;  ///< by kind and workers
  std::map<std::string, std::unique_ptr<data::Dataset>> read_;
};

}  // namespace lambdaml::tune
