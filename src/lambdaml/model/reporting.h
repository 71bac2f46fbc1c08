#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/model/registry.h"

/// The names under which jobs report models' metrics. For a model that learns from labels, each
/// metric is measured on three sets of rows: train_NAME, valid_NAME (held-out rows), test_NAME. A
/// model without labels holds no rows out: NAME on the training rows, and test_NAME.
namespace lambdaml::model {

enum class RowSet { train, valid, test };
/// train, valid, test.
const char* name_of(RowSet rows);

struct ReportedMetric {
  std::string name;  ///< valid_loss
  RowSet rows = RowSet::train;
  Metric metric;
  bool is_first = false;    ///< the model's first metric, which training minimizes
  bool has_prefix = false;  ///< the name begins with the row set's
  bool each_epoch = true;   ///< else at the job's end only
};

/// All metrics that a job of this model may report, in the order in which they are shown: by row
/// set.
std::vector<ReportedMetric> reported_metrics(const Plugin& plugin);
/// The metrics reported at the end of an epoch, of all registered models, without duplicates.
std::vector<ReportedMetric> epoch_metrics();
/// The same for one model.
std::vector<ReportedMetric> epoch_metrics(const Plugin& plugin);

/// The metric of that name; null if there is none.
const ReportedMetric* find(const std::vector<ReportedMetric>& metrics, std::string_view name);

/// For messages: "the metric NAME", "the metrics NAME, NAME".
std::string describe_epoch_metrics(const Plugin& plugin);

/// Adds the model's metrics that are defined for these rows, under their names; none if the totals
/// are of no row.
/// `evaluated`: the totals are those of Model::evaluate().
void add_metrics(const Plugin& plugin, RowSet rows, const Totals& totals, bool evaluated,
                 std::map<std::string, double>& values);

}  // namespace lambdaml::model
