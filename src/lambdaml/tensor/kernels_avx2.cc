#if defined(__x86_64__)
#define LAMBDAML_VEC "lambdaml/tensor/vec_avx2.h"
#include "lambdaml/tensor/kernels_impl.h"

namespace lambdaml::tensor {
constexpr KernelTable kAvx2Kernels = kernel_table("avx2");
}
#endif
