#pragma once

#include <string>

#include "apps/cli/terminal.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/tune/progress.h"

namespace lambdaml::cli {

/// Shows a search on stderr: a table that is updated on a terminal, a plain line every few seconds
/// elsewhere, nothing with -q.
class SearchDisplay : public tune::Observer {
 public:
  SearchDisplay(bool quiet, std::string metric);
  ~SearchDisplay() override;

  void changed(const tune::View& view) override;

 private:
  std::string table(const tune::View& view) const;
  std::string line(const tune::View& view) const;
  void show();

  const bool quiet_;
  const Terminal terminal_;
  const std::string metric_;
  Stopwatch clock_;
  double last_draw_s_;
  int rows_drawn_ = 0;
  std::string untold_;  ///< the newest state, if it has not been shown
};

/// "lr=0.31 model=svm"
std::string short_text(const tune::Assignments& assignments);

}  // namespace lambdaml::cli
