#pragma once

#include <filesystem>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/files.h"
#include "lambdaml/tune/progress.h"

/// For tests: what a search needs that takes no time.
namespace lambdaml::tune {

/// The file of 40 rows that it makes there.
inline std::filesystem::path data_in(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::string rows;
  for (int i = 0; i < 40; ++i) rows += std::to_string(i % 2) + " 1:" + std::to_string(i) + "\n";
  write_file(folder / "data.libsvm", as_bytes(rows));
  return folder / "data.libsvm";
}

/// What a search tells last.
class Last : public Observer {
 public:
  double seconds_left = 0;
  void changed(const View& view) override { seconds_left = view.seconds_left; }
};

}  // namespace lambdaml::tune
