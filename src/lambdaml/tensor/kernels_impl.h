// All kernels over the vector abstraction. Included once by each kernels_*.cc, which names its
// vec_*.h in LAMBDAML_VEC.
#pragma once

// clang-format off
#include LAMBDAML_VEC
#include "lambdaml/tensor/kernel_table.h"
#include "lambdaml/tensor/impl_loss.h"
#include "lambdaml/tensor/impl_linear.h"
#include "lambdaml/tensor/impl_double.h"
#include "lambdaml/tensor/impl_kmeans.h"
#include "lambdaml/tensor/impl_vector.h"
// clang-format on

namespace lambdaml::tensor {
namespace {

template <class Index>
constexpr SparseKernels<Index> kSparseKernels{
    .margins = sparse_margins<Index>,
    .accumulate = sparse_accumulate<Index>,
    .assign = sparse_assign<Index>,
    .add_gradient = {sparse_add_gradient<Logistic, Index>, sparse_add_gradient<Hinge, Index>,
                     sparse_add_gradient<SquaredHinge, Index>, sparse_add_gradient<Squared, Index>},
    .double_margins = sparse_double_margins<Index>,
    .double_accumulate = sparse_double_accumulate<Index>,
    .double_add_gradient = {sparse_double_add_gradient<Logistic, Index>,
                            sparse_double_add_gradient<Hinge, Index>,
                            sparse_double_add_gradient<SquaredHinge, Index>,
                            sparse_double_add_gradient<Squared, Index>},
};

constexpr KernelTable kernel_table(const char* name) {
  return {
      .name = name,
      .margins = margins,
      .accumulate = accumulate,
      .assign = assign,
      .sparse16 = kSparseKernels<std::uint16_t>,
      .sparse32 = kSparseKernels<std::uint32_t>,
      .losses = {loss<Logistic>, loss<Hinge>, loss<SquaredHinge>, loss<Squared>},
      .weighted_losses = {weighted_loss<Logistic>, weighted_loss<Hinge>,
                          weighted_loss<SquaredHinge>, weighted_loss<Squared>},
      .add_gradient = {add_gradient<Logistic>, add_gradient<Hinge>, add_gradient<SquaredHinge>,
                       add_gradient<Squared>},
      .double_margins = double_margins,
      .double_accumulate = double_accumulate,
      .double_losses = {double_loss<Logistic>, double_loss<Hinge>, double_loss<SquaredHinge>,
                        double_loss<Squared>},
      .double_add_gradient = {double_add_gradient<Logistic>, double_add_gradient<Hinge>,
                              double_add_gradient<SquaredHinge>, double_add_gradient<Squared>},
      .axpy = axpy,
      .dot = dot,
      .sum_floats = sum_in_order<float>,
      .sum_doubles = sum_in_order<double>,
      .read_all = read_all,
  };
}

}  // namespace
}  // namespace lambdaml::tensor
