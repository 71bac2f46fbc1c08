// All kernels over the vector abstraction. Included once by each kernels_*.cc, which names its
// vec_*.h in LAMBDAML_VEC.
#pragma once

// clang-format off
#include LAMBDAML_VEC
#include "lambdaml/tensor/kernel_table.h"
#include "lambdaml/tensor/impl_loss.h"
#include "lambdaml/tensor/impl_linear.h"
#include "lambdaml/tensor/impl_double.h"
#include "lambdaml/tensor/impl_gradient.h"
#include "lambdaml/tensor/impl_kmeans.h"
#include "lambdaml/tensor/impl_vector.h"
// clang-format on

namespace lambdaml::tensor {
namespace {

template <class Real, class... Rows>
constexpr LinearKernels<Real, Rows...> kLinearKernels{
    .margins = margins,
    .accumulate = accumulate,
    .add_gradient = {add_gradient<Logistic>, add_gradient<Hinge>, add_gradient<SquaredHinge>,
                     add_gradient<Squared>},
};

/// Converts to the kernels of any kind of rows.
struct AnyRowKernels {
  template <class... Rows>
  constexpr operator RowKernels<Rows...>() const {
    return {.floats = kLinearKernels<float, Rows...>,
            .doubles = kLinearKernels<double, Rows...>,
            .assign = assign};
  }
};

constexpr KernelTable kernel_table(const char* name) {
  return {
      .name = name,
      .dense = AnyRowKernels(),
      .sparse16 = AnyRowKernels(),
      .sparse32 = AnyRowKernels(),
      .losses = {loss<Logistic>, loss<Hinge>, loss<SquaredHinge>, loss<Squared>},
      .double_losses = {loss<Logistic>, loss<Hinge>, loss<SquaredHinge>, loss<Squared>},
      .axpy = axpy,
      .dot = dot,
      .sum_floats = sum_in_order<float>,
      .sum_doubles = sum_in_order<double>,
      .read_all = read_all,
  };
}

}  // namespace
}  // namespace lambdaml::tensor
