#pragma once

#include <optional>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/data/scaling.h"
#include "lambdaml/model/registry.h"

/// Columns of very different sizes slow every optimizer down, and a penalty weighs them unequally.
/// Models that can undo a scaling in their parameters (Model::unscale) are trained on scaled
/// columns, and saved for the rows as they are.
namespace lambdaml::model {

/// `scale`, for the options of models that can undo a scaling. Optimizers choose `auto` for new
/// jobs (optim::Plugin::defaults), unless a learning rate was given for the columns as they are.
Option scale_option();

/// Whether choose_scaling() may choose one, which follows from the option `scale` and the form of
/// the rows.
bool may_scale(const Options& options, bool sparse);

/// The scaling of a job's columns, the same on all workers: standard ((x − mean) / standard
/// deviation), maxabs (x / largest |x|), or none, which is empty. Sparse rows are not centered, so
/// that they stay sparse. Constant columns keep their size. `auto` is standard for dense rows that
/// are not only zeros and ones, if the standard deviations of two columns differ by more than a
/// factor of kMostRatio or a mean is more than kMostDistance deviations from 0.
///
/// A collective call: one merge of two doubles a column (standard), eight of sixteen (maxabs: the
/// largest value is found by four bits at a time), or none. `rows` are this worker's training rows,
/// `sparse` the form of all workers' and `all_rows` their number.
constexpr double kMostRatio = 10;
constexpr double kMostDistance = 5;
data::Scaling choose_scaling(const Options& options, const data::Dataset& rows, bool sparse,
                             double all_rows, comm::Communicator& communicator);

}  // namespace lambdaml::model
