#include "lambdaml/torch/convolution.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/tensor/kernels.h"

// Of the OpenMP library that oneDNN is linked with, whatever the compiler's own is.
extern "C" void omp_set_num_threads(int);
extern "C" int omp_get_max_threads(void);

namespace lambdaml::torch_library {
namespace {

using dnnl::memory;

/// Inputs and outputs of a chunk should stay in a processor's second-level cache, and a chunk
/// should have enough pixels for the time to load the weights not to count.
constexpr std::size_t kChunkBytes = std::size_t{768} << 10;
constexpr std::size_t kChunkPixels = 196;

const dnnl::engine& processor() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

memory::dim dim(std::size_t value) { return static_cast<memory::dim>(value); }

memory::dims dims_of_weights(const ConvolutionShape& s) {
  const memory::dim k = dim(s.kernel);
  if (s.groups == 1) return {dim(s.channels_out), dim(s.channels_in), k, k};
  return {dim(s.groups), dim(s.channels_out / s.groups), dim(s.channels_in / s.groups), k, k};
}

memory::desc plain_weights(const ConvolutionShape& s) {
  return {dims_of_weights(s), memory::data_type::f32,
          s.groups == 1 ? memory::format_tag::oihw : memory::format_tag::goihw};
}

memory of(const memory::desc& desc, const void* data) {
  return {desc, processor(), const_cast<void*>(data)};
}

}  // namespace

LibraryThreads::LibraryThreads(std::size_t threads) : before_(omp_get_max_threads()) {
  omp_set_num_threads(static_cast<int>(threads));
}
LibraryThreads::~LibraryThreads() { omp_set_num_threads(before_); }

Workspace::Workspace() : stream(processor()) {}

std::byte* Workspace::scratch(std::size_t bytes) {
  if (scratch_.size() < bytes + 64) scratch_.resize(bytes + 64);
  void* at = scratch_.data();
  std::size_t space = scratch_.size();
  return static_cast<std::byte*>(std::align(64, bytes, at, space));
}

Convolution::Convolution(const ConvolutionShape& shape, bool narrow)
    : shape_(shape), narrow_(narrow) {
  const std::size_t bytes = (shape.values_in() + shape.values_out()) * (narrow ? 2 : 4);
  const std::size_t pixels = shape.out_height() * shape.out_width();
  chunk_ = std::max<std::size_t>({1, kChunkBytes / bytes, kChunkPixels / pixels});
}

void Convolution::make(std::size_t images, bool training) {
  Passes& passes = passes_[images];
  if (passes.run_forward && (passes.trains || !training)) return;
  const auto type = narrow_ ? memory::data_type::bf16 : memory::data_type::f32;
  const auto activations = [&](std::size_t channels, std::size_t height, std::size_t width) {
    return memory::desc({dim(images), dim(channels), dim(height), dim(width)}, type,
                        memory::format_tag::nhwc);
  };
  const auto any = memory::format_tag::any;
  const memory::desc in = activations(shape_.channels_in, shape_.height, shape_.width);
  const memory::desc out =
      activations(shape_.channels_out, shape_.out_height(), shape_.out_width());
  const memory::desc weights(dims_of_weights(shape_), type, any);
  const memory::dims strides = {dim(shape_.stride), dim(shape_.stride)};
  const memory::dims padding(2, dim((shape_.kernel - 1) / 2));
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const auto direct = dnnl::algorithm::convolution_direct;
  passes.forward = {
      {training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, direct,
       in, weights, out, strides, padding, padding},
      attributes,
      processor()};
  passes.run_forward = dnnl::convolution_forward(passes.forward);
  passes.trains = training;
  if (!training) return;
  passes.data = {{direct, in, weights, out, strides, padding, padding},
                 attributes,
                 processor(),
                 passes.forward};
  passes.run_data = dnnl::convolution_backward_data(passes.data);
  if (shape_.depthwise()) return;
  const memory::desc gradients(dims_of_weights(shape_), memory::data_type::f32, any);
  passes.weights = {{direct, in, gradients, out, strides, padding, padding},
                    attributes,
                    processor(),
                    passes.forward};
  passes.run_weights = dnnl::convolution_backward_weights(passes.weights);
  if (!sums_desc_) sums_desc_ = passes.weights.diff_weights_desc();
}

const memory* Convolution::weights_as(const memory::desc& desc, const memory& weights) {
  auto found = std::find_if(copies_.begin(), copies_.end(),
                            [&](const auto& copy) { return copy->memory.get_desc() == desc; });
  if (found == copies_.end()) {
    copies_.push_back(std::make_unique<Copy>(Copy{memory(desc, processor()), false}));
    found = copies_.end() - 1;
  }
  Copy& copy = **found;
  if (!copy.present) {
    dnnl::stream stream(processor());
    memory from = weights;
    dnnl::reorder(from, copy.memory).execute(stream, from, copy.memory);
    copy.present = true;
  }
  return &copy.memory;
}

void Convolution::prepare(const float* weights, std::span<const std::size_t> images, bool training,
                          std::size_t threads) {
  {
    const LibraryThreads one(1);
    for (const std::size_t count : images) make(count, training);
  }
  const LibraryThreads all(threads);
  for (const auto& copy : copies_) copy->present = false;
  const memory plain = of(plain_weights(shape_), weights);
  for (const std::size_t count : images) {
    Passes& passes = passes_.at(count);
    passes.forward_weights = weights_as(passes.forward.weights_desc(), plain);
    if (training) passes.data_weights = weights_as(passes.data.weights_desc(), plain);
  }
}

void Convolution::forward(std::size_t images, const void* x, void* out,
                          Workspace& workspace) const {
  const Passes& passes = passes_.at(images);
  const memory::desc scratch = passes.forward.scratchpad_desc();
  passes.run_forward.execute(
      workspace.stream,
      {{DNNL_ARG_SRC, of(passes.forward.src_desc(), x)},
       {DNNL_ARG_WEIGHTS, *passes.forward_weights},
       {DNNL_ARG_DST, of(passes.forward.dst_desc(), out)},
       {DNNL_ARG_SCRATCHPAD, of(scratch, workspace.scratch(scratch.get_size()))}});
}

void Convolution::backward_data(std::size_t images, const void* gradient, void* out,
                                Workspace& workspace) const {
  const Passes& passes = passes_.at(images);
  const memory::desc scratch = passes.data.scratchpad_desc();
  passes.run_data.execute(
      workspace.stream,
      {{DNNL_ARG_DIFF_DST, of(passes.data.diff_dst_desc(), gradient)},
       {DNNL_ARG_WEIGHTS, *passes.data_weights},
       {DNNL_ARG_DIFF_SRC, of(passes.data.diff_src_desc(), out)},
       {DNNL_ARG_SCRATCHPAD, of(scratch, workspace.scratch(scratch.get_size()))}});
}

void Convolution::backward_weights(std::size_t images, const void* x, const void* gradient,
                                   Workspace& workspace) const {
  const Passes& passes = passes_.at(images);
  const memory::desc desc = passes.weights.diff_weights_desc();
  const memory::desc scratch = passes.weights.scratchpad_desc();
  const std::size_t floats = sums_desc_->get_size() / sizeof(float);
  workspace.sums.resize(std::max(workspace.sums.size(), floats));
  workspace.present.resize(
      std::max({workspace.present.size(), floats, desc.get_size() / sizeof(float)}));
  const bool same = desc == *sums_desc_;
  float* const to = same && !workspace.has_sums ? workspace.sums.data() : workspace.present.data();
  passes.run_weights.execute(
      workspace.stream,
      {{DNNL_ARG_SRC, of(passes.weights.src_desc(), x)},
       {DNNL_ARG_DIFF_DST, of(passes.weights.diff_dst_desc(), gradient)},
       {DNNL_ARG_DIFF_WEIGHTS, of(desc, to)},
       {DNNL_ARG_SCRATCHPAD, of(scratch, workspace.scratch(scratch.get_size()))}});
  if (!same) {
    memory from = of(desc, to);
    memory sums = of(*sums_desc_, workspace.sums.data());
    dnnl::primitive_attr attributes;
    if (workspace.has_sums) {
      dnnl::post_ops add;
      add.append_sum(1);
      attributes.set_post_ops(add);
    }
    dnnl::reorder(from, sums, attributes).execute(workspace.stream, from, sums);
  } else if (workspace.has_sums) {
    tensor::axpy(floats, 1, workspace.present.data(), workspace.sums.data());
  }
  workspace.has_sums = true;
}

void Convolution::take_sums(std::span<Workspace* const> workspaces, float* gradients,
                            std::size_t threads) {
  const LibraryThreads all(threads);
  Workspace* first = nullptr;
  const std::size_t floats = sums_desc_->get_size() / sizeof(float);
  for (Workspace* workspace : workspaces) {
    if (!workspace->has_sums) continue;
    workspace->has_sums = false;
    if (first == nullptr)
      first = workspace;
    else
      tensor::axpy(floats, 1, workspace->sums.data(), first->sums.data());
  }
  if (first == nullptr) return;
  dnnl::stream stream(processor());
  memory from = of(*sums_desc_, first->sums.data());
  memory to = of(plain_weights(shape_), gradients);
  dnnl::primitive_attr attributes;
  dnnl::post_ops add;
  add.append_sum(1);
  attributes.set_post_ops(add);
  dnnl::reorder(from, to, attributes).execute(stream, from, to);
}

}  // namespace lambdaml::torch_library
