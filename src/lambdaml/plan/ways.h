#pragma once

#include <map>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"

/// Other ways to train the model of a job: by other optimizers, in other batches.
namespace lambdaml::plan {

/// What is set instead of what the job says.
struct Way {
  std::map<std::string, std::string> options = {};
  /// Its epochs are known to be enough, so that they need not be estimated.
  bool is_known = false;
  /// Nobody named it: it is left out if the model cannot be trained so.
  bool is_offered = false;

  /// The job, not resolved, with these options. Throws invalid_argument.
  Options applied_to(const Options& job) const;
  /// "optim=grad_avg, batch_size=100".
  std::string text() const;
};

/// What may be said about ways, as values of the options.
struct WaysAsked {
  std::vector<std::string> optims = {}, batch_sizes = {};
  std::vector<std::string> ways = {};  ///< NAME=VALUE,…
  bool has_pilots = true;              ///< so that epochs to the goal can be estimated
};

/// The ways to compare; none: the job is trained as it says.
///
/// A job with a goal (`until`) is trained by each optimizer, as it needs other numbers of epochs:
/// by that of the job, or all that can train its model if it names none; in batches of a quarter,
/// once and four times its rows where batches have steps of their own. Without a goal there are no
/// other ways, unless batch sizes are listed: then epochs stay as many. Ways that name their epochs
/// need no pilot. Throws invalid_argument for unknown options and values, options of a way that do
/// not say how a model is trained, optimizers without a goal, and ways whose epochs nobody can
/// know.
std::vector<Way> ways_of(const Options& job, const WaysAsked& asked);

}  // namespace lambdaml::plan
