#include "lambdaml/model/micro_batches.h"

#include <algorithm>

#include "lambdaml/base/error.h"

namespace lambdaml::model {

Totals MicroBatches::accumulate(const Batch& batch, std::span<const float> parameters,
                                std::span<float> sums) {
  Totals totals;
  for (std::size_t begin = 0; begin < batch.rows();) {
    const std::size_t end = std::min(begin + rows_, batch.rows());
    if (end < batch.rows())
      model_->expect(batch.slice(end, std::min(end + rows_, batch.rows())));
    else if (next_)
      model_->expect(*next_);
    totals += model_->accumulate(batch.slice(begin, end), parameters, sums);
    begin = end;
  }
  next_.reset();
  return totals;
}

std::unique_ptr<Model> in_micro_batches(std::unique_ptr<Model> model, std::size_t rows) {
  if (rows == 0) return model;
  auto* gradients = dynamic_cast<GradientModel*>(model.get());
  if (gradients == nullptr)
    fail(Code::invalid_argument,
         "micro_batch: only models with a gradient compute batches in parts; leave it out");
  if (gradients->merges())
    fail(Code::invalid_argument,
         "micro_batch: with sync_batch_norm each batch is normalized whole, and workers would have "
         "different numbers of slices; leave one of both out");
  model.release();
  return std::make_unique<MicroBatches>(std::unique_ptr<GradientModel>(gradients), rows);
}

}  // namespace lambdaml::model
