#if defined(__x86_64__)
#define LAMBDAML_VEC "lambdaml/tensor/vec_avx512.h"
#include "lambdaml/tensor/kernels_impl.h"

namespace lambdaml::tensor {
constexpr KernelTable kAvx512Kernels = kernel_table("avx512");
}
#endif
