#include "lambdaml/torch/channel_kernels_impl.h"

namespace lambdaml::torch_library {

const ChannelKernels kPortableChannels = {"portable", kOps<float>, kOps<Bf16>};

}  // namespace lambdaml::torch_library
