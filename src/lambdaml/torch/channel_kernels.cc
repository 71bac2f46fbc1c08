#include "lambdaml/torch/channel_kernels.h"

#include "lambdaml/tensor/kernels.h"

namespace lambdaml::torch_library {

const ChannelKernels& channel_kernels() {
#if defined(__x86_64__)
  for (const ChannelKernels* kernels : {&kAvx512Channels, &kAvx2Channels})
    if (tensor::instruction_set() == kernels->name) return *kernels;
#endif
  return kPortableChannels;
}

}  // namespace lambdaml::torch_library
