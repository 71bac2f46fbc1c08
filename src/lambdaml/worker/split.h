#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/data/hold_out.h"
#include "lambdaml/data/partition.h"
#include "lambdaml/job/event.h"
#include "lambdaml/model/row_buffer.h"
#include "lambdaml/model/rows.h"

namespace lambdaml::worker {

/// Which rows of a job are held out for validation, as all its workers know it.
struct Split {
  /// Of each worker: its first rows, after arranged().
  std::vector<std::uint64_t> training_rows;
  /// See data/hold_out.h; empty if nothing is held out, or by the rule of an older version.
  data::HoldOutBounds bounds;
  data::HoldOutBounds from = {};  ///< of a fold; else empty
  double weights = 0;             ///< the sum of the training rows' weights; 0 if rows have none

  /// For checkpoints: a worker that continues cannot ask the others again.
  std::string to_json() const;
  /// Throws data_corrupt for a text that is not to_json() of a job with so many workers and
  /// classes.
  static Split from_json(const std::string& text, std::size_t workers, std::size_t classes);
};

/// The options and facts of a job on which its split depends.
struct SplitRule {
  std::uint32_t worker = 0;
  std::vector<std::uint64_t> part_rows;
  double weights = 0;     ///< the sum of all rows' weights; 0 if they have none
  bool in_order = false;  ///< see data::row_numbers()
  std::size_t classes = 1;
  bool by_class = true;  ///< false: all rows are of one class, e.g. because they have real targets
  double ratio = 0;      ///< 0 if the model needs no labels: there is nothing to validate against
  std::uint64_t folds = 0;  ///< above 0: part `fold` of so many equal ones is held out instead
  std::uint64_t fold = 0;
  std::uint64_t seed = 1;
  bool shuffles = true;
  data::OrderVersion version = data::OrderVersion::reshuffled;

  /// Whether workers must agree, by merges.
  bool needs_merges() const {
    return (ratio > 0 || folds > 0) && version >= data::OrderVersion::reshuffled;
  }
};
/// `supervised`: the model needs labels. `by_class`: they are classes.
SplitRule split_rule(const job::TrainEvent& event, bool supervised, bool by_class,
                     data::OrderVersion version);

/// What the search for the split has to know of a worker's rows, in the order of its part. A view.
data::RowsToHoldOut rows_of(const SplitRule& rule, const model::Rows& own);

/// The split of a job that begins. A collective call if the rule needs merges: those of
/// data::HoldOutSearch (of a fold, for each of its ends) and one of a number per worker. The
/// communicator must wait for all workers. `own`: the rows of this worker, in the order of its
/// part.
Split agree_on_split(const SplitRule& rule, const model::Rows& own,
                     comm::Communicator& communicator);

/// The worker's rows, training rows first. Copies them unless their order remains.
model::Rows arranged(model::Rows own, const SplitRule& rule, const Split& split);

/// The batches of one worker's training rows, reshuffled in every pass. Used by one thread.
class ShuffledBatches {
 public:
  /// `rows` must stay in place.
  ShuffledBatches(const model::Rows& rows, std::uint64_t training_rows, std::size_t worker,
                  std::uint64_t seed)
      : rows_(rows), training_rows_(training_rows), worker_(worker), seed_(seed) {}

  /// The rows of one step of a pass. Valid until the step after the next one is asked for.
  model::Batch of(std::uint64_t epoch, std::uint64_t pass, std::uint64_t step,
                  data::RowRange range);

 private:
  struct Place {
    std::uint64_t epoch = 0, pass = 0, step = 0;
    bool operator==(const Place&) const = default;
  };
  struct Taken {
    std::optional<Place> place;
    model::RowBuffer buffer;
    model::Batch batch;
  };

  const model::Rows& rows_;
  std::uint64_t training_rows_;
  std::size_t worker_;
  std::uint64_t seed_;
  std::optional<Place> pass_;  ///< that order_ is of, at step 0
  std::vector<std::uint32_t> order_;
  Taken taken_[2];  ///< of even and of odd steps
};

}  // namespace lambdaml::worker
