#pragma once

#include "lambdaml/base/options.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/model/model.h"

namespace lambdaml::trigger {

/// Throws invalid_argument unless training can start from the model in that file: it is of the
/// job's kind, with the features and classes of the data, in number and (where both have names) by
/// name, and with parameters of the same shapes. `shape` and `made` are those of the job; what it
/// keeps of the file (--freeze) is restored. Throws data_corrupt if it is no whole model.
void require_fit(const job::ModelFile& file, const model::Shape& shape, model::Model& made,
                 const Options& options);

}  // namespace lambdaml::trigger
