#include "lambdaml/torch/tensors.h"

#include <ATen/Parallel.h>
#include <torch/script.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/images.h"

namespace lambdaml::torch_library {

std::string own_message(std::string_view text) {
  // What a script does wrong comes as a traceback whose last line says it; anything else begins
  // with what it says, perhaps after an empty line.
  const bool is_traceback = text.find("Traceback of TorchScript") != std::string_view::npos;
  std::string found;
  for (const std::string& line : split(text, '\n')) {
    if (trim(line).empty() || (!is_traceback && !found.empty())) continue;
    found = trim(line);
  }
  return found;
}

void rethrow(std::string_view what) {
  try {
    throw;
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const c10::Error& error) {
    const std::string_view text = error.what_without_backtrace();
    if (text.find("allocate memory") != std::string_view::npos) throw std::bad_alloc();
    fail(Code::internal, "{}: libtorch says: {}", what, own_message(text));
  } catch (const std::exception& error) {
    fail(Code::internal, "{}: libtorch says: {}", what, own_message(error.what()));
  }
}

void use_threads(std::size_t threads) { at::set_num_threads(static_cast<int>(threads)); }

at::Tensor view_of(std::span<float> values, const std::vector<std::int64_t>& shape) {
  return at::from_blob(values.data(), shape, at::kFloat);
}

at::Tensor images_of(std::span<const float> images, std::size_t rows) {
  constexpr auto side = static_cast<std::int64_t>(data::kImageSide);
  constexpr auto colours = static_cast<std::int64_t>(data::kImageColours);
  return at::from_blob(writable(images).data(),
                       {static_cast<std::int64_t>(rows), colours, side, side},
                       {side * side * colours, 1, side * colours, colours}, at::kFloat);
}

FlatVectors::FlatVectors(const std::vector<model::Model::Piece>& learned,
                         const std::vector<model::Model::Piece>& statistics) {
  std::size_t at = 0;
  const auto place = [&](const std::vector<model::Model::Piece>& pieces, std::vector<Place>& out) {
    for (const model::Model::Piece& piece : pieces) {
      out.push_back({at, model::elements(piece), {piece.shape.begin(), piece.shape.end()}});
      at += out.back().size;
    }
  };
  place(learned, learned_);
  place(statistics, statistics_);
}

std::vector<at::Tensor> FlatVectors::views(const std::vector<Place>& places,
                                           std::span<float> flat) {
  std::vector<at::Tensor> out;
  out.reserve(places.size());
  for (const Place& place : places)
    out.push_back(view_of(flat.subspan(place.begin, place.size), place.shape));
  return out;
}

std::vector<at::Tensor> FlatVectors::learned(std::span<float> flat) const {
  return views(learned_, flat);
}

std::vector<at::Tensor> FlatVectors::statistics(std::span<float> flat) const {
  return views(statistics_, flat);
}

std::vector<at::Tensor> FlatVectors::with_gradients(std::span<const float> parameters,
                                                    std::span<float> sums) const {
  std::vector<at::Tensor> weights = learned(writable(parameters));
  const std::vector<at::Tensor> gradients = learned(sums);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i].requires_grad_(true);
    weights[i].mutable_grad() = gradients[i];
  }
  return weights;
}

std::vector<at::Tensor> FlatVectors::copy_of_statistics(std::span<const float> parameters) const {
  std::vector<at::Tensor> out = statistics(writable(parameters));
  for (at::Tensor& tensor : out) tensor = tensor.clone();
  return out;
}

void FlatVectors::add_changes(const std::vector<at::Tensor>& statistics,
                              std::span<const float> parameters, double rows,
                              std::span<float> sums) const {
  const std::vector<at::Tensor> before = this->statistics(writable(parameters));
  const std::vector<at::Tensor> to = this->statistics(sums);
  for (std::size_t i = 0; i < to.size(); ++i) to[i].add_(statistics[i] - before[i], rows);
}

model::Totals loss_and_gradient(const at::Tensor& logits, std::span<const std::int64_t> targets,
                                double label_smoothing) {
  const at::Tensor target = at::from_blob(const_cast<std::int64_t*>(targets.data()),
                                          {static_cast<std::int64_t>(targets.size())}, at::kLong);
  const at::Tensor loss = at::cross_entropy_loss(logits.to(at::kFloat), target, {},
                                                 at::Reduction::Sum, -1, label_smoothing);
  loss.backward();
  return {.loss = loss.item<double>(),
          .rows = static_cast<double>(targets.size()),
          .correct = logits.detach().argmax(1).eq(target).sum().item<double>()};
}

}  // namespace lambdaml::torch_library
