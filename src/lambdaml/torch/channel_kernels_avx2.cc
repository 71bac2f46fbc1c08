#if defined(__x86_64__)
#include "lambdaml/torch/channel_kernels_impl.h"

namespace lambdaml::torch_library {

const ChannelKernels kAvx2Channels = {"avx2", kOps<float>, kOps<Bf16>};

}  // namespace lambdaml::torch_library
#endif
