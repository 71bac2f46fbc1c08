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
/// Winograd's algorithm transforms the weights for each chunk, which takes as long as 32 tiles save
/// (measured for 48 to 512 channels, Zen 5). More than 512 tiles of a chunk or 4 MB of its input
/// save nothing more.
constexpr std::size_t kTileSide = 4;
constexpr std::size_t kFewestTiles = 32;
constexpr std::size_t kMostTiles = 512;
constexpr std::size_t kMostTileBytes = std::size_t{4} << 20;
constexpr std::size_t kFewestWinogradChannels = 48;

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

std::size_t tiles_of(const ConvolutionShape& s) {
  const auto along = [](std::size_t pixels) { return (pixels + kTileSide - 1) / kTileSide; };
  return along(s.out_height()) * along(s.out_width());
}

bool suits_winograd(const ConvolutionShape& s) {
  return s.kernel == 3 && s.stride == 1 && s.groups == 1 &&
         std::min(s.channels_in, s.channels_out) >= kFewestWinogradChannels;
}

/// `data` in another format: itself if that is the same, else a copy in `area`.
memory as(const memory::desc& wanted, const memory::desc& present, const void* data,
          Workspace::Area& area, Workspace& workspace) {
  memory from = of(present, data);
  if (wanted == present) return from;
  memory to = of(wanted, area.take(wanted.get_size()));
  dnnl::reorder(from, to).execute(workspace.stream, from, to);
  return to;
}
/// Where a primitive writes what is wanted at `data` in another format, and back.
memory room_for(const memory::desc& made, const memory::desc& wanted, void* data,
                Workspace::Area& area) {
  return of(made, made == wanted ? data : area.take(made.get_size()));
}
void put_back(memory made, const memory::desc& wanted, void* data, Workspace& workspace) {
  if (made.get_data_handle() == data) return;
  memory to = of(wanted, data);
  dnnl::reorder(made, to).execute(workspace.stream, made, to);
}

}  // namespace

LibraryThreads::LibraryThreads(std::size_t threads) : before_(omp_get_max_threads()) {
  omp_set_num_threads(static_cast<int>(threads));
}
LibraryThreads::~LibraryThreads() { omp_set_num_threads(before_); }

Workspace::Workspace() : stream(processor()) {}

std::byte* Workspace::Area::take(std::size_t bytes) {
  if (bytes_.size() < bytes + 64) bytes_.resize(bytes + 64);
  void* at = bytes_.data();
  std::size_t space = bytes_.size();
  return static_cast<std::byte*>(std::align(64, bytes, at, space));
}

Convolution::Convolution(const ConvolutionShape& shape, bool narrow)
    : shape_(shape), narrow_(narrow) {
  const std::size_t input_bytes = shape.values_in() * (narrow ? 2 : 4);
  const std::size_t bytes = input_bytes + shape.values_out() * (narrow ? 2 : 4);
  const std::size_t pixels = shape.out_height() * shape.out_width();
  chunk_ = std::max<std::size_t>({1, kChunkBytes / bytes, kChunkPixels / pixels});
  training_chunk_ = chunk_;
  if (narrow || !suits_winograd(shape)) return;
  const std::size_t chunk = std::max<std::size_t>(
      1, std::min(kMostTiles / tiles_of(shape), kMostTileBytes / input_bytes));
  Passes passes;
  const LibraryThreads one(1);
  has_winograd_ = describe(passes, chunk, true, true);
  if (has_winograd_) training_chunk_ = chunk;
}

bool Convolution::is_by_winograd(std::size_t images) const {
  return has_winograd_ && images * tiles_of(shape_) >= kFewestTiles;
}

bool Convolution::describe(Passes& passes, std::size_t images, bool training, bool winograd) const {
  const auto type = narrow_ ? memory::data_type::bf16 : memory::data_type::f32;
  const auto any = memory::format_tag::any;
  const auto activations = [&](std::size_t channels, std::size_t height, std::size_t width,
                               memory::format_tag tag) {
    return memory::desc({dim(images), dim(channels), dim(height), dim(width)}, type, tag);
  };
  const auto input_as = [&](memory::format_tag tag) {
    return activations(shape_.channels_in, shape_.height, shape_.width, tag);
  };
  const auto output_as = [&](memory::format_tag tag) {
    return activations(shape_.channels_out, shape_.out_height(), shape_.out_width(), tag);
  };
  passes.input = input_as(memory::format_tag::nhwc);
  passes.output = output_as(memory::format_tag::nhwc);
  const memory::desc in = winograd ? input_as(any) : passes.input;
  const memory::desc out = winograd ? output_as(any) : passes.output;
  const memory::desc weights(dims_of_weights(shape_), type, any);
  const memory::dims strides = {dim(shape_.stride), dim(shape_.stride)};
  const memory::dims padding(2, dim((shape_.kernel - 1) / 2));
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const auto algorithm =
      winograd ? dnnl::algorithm::convolution_winograd : dnnl::algorithm::convolution_direct;
  try {
    passes.forward = {
        {training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference,
         algorithm, in, weights, out, strides, padding, padding},
        attributes,
        processor()};
    if (!training) return true;
    passes.data = {{algorithm, in, weights, out, strides, padding, padding},
                   attributes,
                   processor(),
                   passes.forward};
    if (shape_.depthwise()) return true;
    const memory::desc gradients(dims_of_weights(shape_), memory::data_type::f32, any);
    passes.weights = {{algorithm, in, gradients, out, strides, padding, padding},
                      attributes,
                      processor(),
                      passes.forward};
  } catch (const dnnl::error&) {
    if (!winograd) throw;
    return false;
  }
  // backward() brings the gradient into one format for both passes.
  return passes.weights.diff_dst_desc() == passes.data.diff_dst_desc();
}

void Convolution::make(std::size_t images, bool training) {
  Passes& passes = passes_[{images, training}];
  if (passes.run_forward) return;
  if (!training || !is_by_winograd(images) || !describe(passes, images, training, true))
    describe(passes, images, training, false);
  passes.run_forward = dnnl::convolution_forward(passes.forward);
  if (!training) return;
  passes.run_data = dnnl::convolution_backward_data(passes.data);
  if (shape_.depthwise()) return;
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
  training_ = training;
  {
    const LibraryThreads one(1);
    for (const std::size_t count : images) make(count, training);
  }
  const LibraryThreads all(threads);
  for (const auto& copy : copies_) copy->present = false;
  const memory plain = of(plain_weights(shape_), weights);
  for (const std::size_t count : images) {
    Passes& passes = passes_.at({count, training});
    passes.forward_weights = weights_as(passes.forward.weights_desc(), plain);
    if (training) passes.data_weights = weights_as(passes.data.weights_desc(), plain);
  }
}

void Convolution::forward(std::size_t images, const void* x, void* out,
                          Workspace& workspace) const {
  const Passes& passes = this->passes(images);
  const memory input = as(passes.forward.src_desc(), passes.input, x, workspace.input, workspace);
  const memory made = room_for(passes.forward.dst_desc(), passes.output, out, workspace.output);
  const memory::desc scratch = passes.forward.scratchpad_desc();
  passes.run_forward.execute(
      workspace.stream,
      {{DNNL_ARG_SRC, input},
       {DNNL_ARG_WEIGHTS, *passes.forward_weights},
       {DNNL_ARG_DST, made},
       {DNNL_ARG_SCRATCHPAD, of(scratch, workspace.scratch.take(scratch.get_size()))}});
  put_back(made, passes.output, out, workspace);
}

void Convolution::backward(std::size_t images, const void* x, const void* gradient, void* out,
                           Workspace& workspace) const {
  const Passes& passes = this->passes(images);
  const memory of_output =
      as(passes.data.diff_dst_desc(), passes.output, gradient, workspace.gradient, workspace);
  if (x != nullptr)
    add_weight_gradient(passes,
                        as(passes.weights.src_desc(), passes.input, x, workspace.input, workspace),
                        of_output, workspace);
  if (out == nullptr) return;
  const memory made = room_for(passes.data.diff_src_desc(), passes.input, out, workspace.output);
  const memory::desc scratch = passes.data.scratchpad_desc();
  passes.run_data.execute(
      workspace.stream,
      {{DNNL_ARG_DIFF_DST, of_output},
       {DNNL_ARG_WEIGHTS, *passes.data_weights},
       {DNNL_ARG_DIFF_SRC, made},
       {DNNL_ARG_SCRATCHPAD, of(scratch, workspace.scratch.take(scratch.get_size()))}});
  put_back(made, passes.input, out, workspace);
}

void Convolution::add_weight_gradient(const Passes& passes, const memory& x, const memory& gradient,
                                      Workspace& workspace) const {
  const memory::desc desc = passes.weights.diff_weights_desc();
  const memory::desc scratch = passes.weights.scratchpad_desc();
  const std::size_t floats = sums_desc_->get_size() / sizeof(float);
  const bool same = desc == *sums_desc_;
  float* const sums = workspace.sums.floats(floats);
  float* const to = same && !workspace.has_sums
                        ? sums
                        : workspace.present.floats(desc.get_size() / sizeof(float));
  passes.run_weights.execute(
      workspace.stream,
      {{DNNL_ARG_SRC, x},
       {DNNL_ARG_DIFF_DST, gradient},
       {DNNL_ARG_DIFF_WEIGHTS, of(desc, to)},
       {DNNL_ARG_SCRATCHPAD, of(scratch, workspace.scratch.take(scratch.get_size()))}});
  if (!same) {
    memory from = of(desc, to);
    memory total = of(*sums_desc_, sums);
    dnnl::primitive_attr attributes;
    if (workspace.has_sums) {
      dnnl::post_ops add;
      add.append_sum(1);
      attributes.set_post_ops(add);
    }
    dnnl::reorder(from, total, attributes).execute(workspace.stream, from, total);
  } else if (workspace.has_sums) {
    tensor::axpy(floats, 1, to, sums);
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
      tensor::axpy(floats, 1, workspace->sums.floats(floats), first->sums.floats(floats));
  }
  if (first == nullptr) return;
  dnnl::stream stream(processor());
  memory from = of(*sums_desc_, first->sums.floats(floats));
  memory to = of(plain_weights(shape_), gradients);
  dnnl::primitive_attr attributes;
  dnnl::post_ops add;
  add.append_sum(1);
  attributes.set_post_ops(add);
  dnnl::reorder(from, to, attributes).execute(stream, from, to);
}

}  // namespace lambdaml::torch_library
