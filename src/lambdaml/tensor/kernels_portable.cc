#define LAMBDAML_VEC "lambdaml/tensor/vec_portable.h"
#include "lambdaml/tensor/kernels_impl.h"

namespace lambdaml::tensor {
constexpr KernelTable kPortableKernels = kernel_table("portable");
}
