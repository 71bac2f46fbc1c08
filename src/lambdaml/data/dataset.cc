#include "lambdaml/data/dataset.h"

#include <algorithm>
#include <array>
#include <limits>

#include <unistd.h>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"

namespace lambdaml::data {
namespace {

Labelling copy_labelling(const Dataset& dataset) {
  return labelling_of(dataset, dataset.rows(), [](std::size_t r) { return r; });
}

template <class Index>
Dataset to_dense(const Dataset& dataset, const tensor::CsrView<Index>& csr) {
  const std::size_t bytes = dense_bytes(csr.rows, csr.cols, "the data set");
  Array<float> values(bytes / sizeof(float));
  std::fill_n(values.data(), values.size(), 0.0F);
  for (std::size_t r = 0; r < csr.rows; ++r) {
    float* const row = values.data() + r * csr.cols;
    for (std::uint64_t k = csr.offsets[r]; k < csr.offsets[r + 1]; ++k)
      row[csr.indices[k]] = csr.values[k];
  }
  return dense_dataset(std::move(values), csr.rows, csr.cols, copy_labelling(dataset));
}

template <class Index>
Dataset to_sparse(const Dataset& dataset, const tensor::DenseView& dense) {
  const std::size_t all = dense.rows * dense.cols;
  const auto nonzeros = static_cast<std::size_t>(
      std::count_if(dense.data, dense.data + all, [](float v) { return v != 0; }));
  Array<std::uint64_t> offsets(dense.rows + 1);
  Array<Index> indices(nonzeros);
  Array<float> values(nonzeros);
  std::size_t at = 0;
  offsets[0] = 0;
  for (std::size_t r = 0; r < dense.rows; ++r) {
    const std::span<const float> row = dense.row(r);
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (row[c] == 0) continue;
      indices[at] = static_cast<Index>(c);
      values[at++] = row[c];
    }
    offsets[r + 1] = at;
  }
  return sparse_dataset(std::move(offsets), std::move(indices), std::move(values), dense.cols,
                        copy_labelling(dataset));
}

/// The entries with an index below `cols`, with indices of type `To`.
template <class To, class From>
Dataset narrowed(const Dataset& dataset, const tensor::CsrView<From>& csr, std::size_t cols) {
  Array<std::uint64_t> offsets(csr.rows + 1);
  Array<To> indices(csr.nonzeros());
  Array<float> values(csr.nonzeros());
  std::size_t at = 0;
  offsets[0] = 0;
  for (std::size_t r = 0; r < csr.rows; ++r) {
    for (std::uint64_t k = csr.offsets[r]; k < csr.offsets[r + 1] && csr.indices[k] < cols; ++k) {
      indices[at] = static_cast<To>(csr.indices[k]);
      values[at++] = csr.values[k];
    }
    offsets[r + 1] = at;
  }
  return sparse_dataset(std::move(offsets), std::move(indices), std::move(values), cols,
                        copy_labelling(dataset));
}

template <class Index>
bool all_below(const tensor::CsrView<Index>& csr, std::size_t cols) {
  for (std::size_t r = 0; r < csr.rows; ++r)
    if (csr.offsets[r + 1] > csr.offsets[r] && csr.indices[csr.offsets[r + 1] - 1] >= cols)
      return false;
  return true;
}

template <class Index>
Dataset with_cols(const Dataset& dataset, tensor::CsrView<Index> csr, std::size_t cols) {
  const bool narrow = sizeof(Index) > 2 && cols <= kNarrowCols;
  if (!narrow && (cols >= csr.cols || all_below(csr, cols))) {
    csr.cols = cols;
    return {csr,
            dataset.labels,
            dataset.owner,
            dataset.targets,
            names_of_cols(dataset.names, cols),
            dataset.weights};
  }
  if (cols <= kNarrowCols) return narrowed<std::uint16_t>(dataset, csr, cols);
  return narrowed<Index>(dataset, csr, cols);
}

Dataset with_cols(const Dataset& dataset, const tensor::DenseView& dense, std::size_t cols) {
  Array<float> values(dense_bytes(dense.rows, cols, "the data set") / sizeof(float));
  const std::size_t kept = std::min(cols, dense.cols);
  for (std::size_t r = 0; r < dense.rows; ++r) {
    float* const row = values.data() + r * cols;
    std::copy_n(dense.data + r * dense.cols, kept, row);
    std::fill(row + kept, row + cols, 0.0F);
  }
  return dense_dataset(std::move(values), dense.rows, cols, copy_labelling(dataset));
}

}  // namespace

std::size_t dense_bytes(std::size_t rows, std::size_t cols, std::string_view what) {
  const double bytes = static_cast<double>(rows) * static_cast<double>(cols) * sizeof(float);
  const auto memory = static_cast<double>(machine_memory_bytes());
  if (bytes > memory)
    fail(Code::resource_exhausted,
         "{}: does not fit the memory as a dense matrix of {} features; keep it sparse", what,
         human_count(cols));
  return rows * cols * sizeof(float);
}

Dataset Dataset::slice(std::size_t begin, std::size_t end) const {
  const auto cut = [&](auto values) {
    return values.empty() ? values : values.subspan(begin, end - begin);
  };
  return {tensor::slice(features, begin, end),
          cut(labels),
          owner,
          cut(targets),
          names,
          cut(weights),
          from_row(tensors, begin),
          from_row(target_tensor, begin)};
}

void require_features(const Dataset& dataset, std::string_view writing) {
  if (!dataset.tensors.empty())
    fail(Code::invalid_argument, "{}: it holds rows of features, and these have tensors ({})",
         writing, dataset.tensor_shapes().text());
}

Dataset tensor_dataset(std::size_t rows, std::vector<TensorValues> inputs,
                       std::optional<TensorValues> target, Labelling labelling) {
  struct Owner {
    std::vector<TensorValues> inputs;
    std::optional<TensorValues> target;
    Labelling labelling;
  };
  const auto owner =
      std::make_shared<Owner>(Owner{std::move(inputs), std::move(target), std::move(labelling)});
  const auto view = [&](const TensorValues& tensor) {
    if (tensor.values.size() != rows * tensor.shape.row_bytes())
      fail(Code::internal, "the tensor {} has {} bytes for {} rows", tensor.shape.text(),
           tensor.values.size(), rows);
    return Tensor{tensor.shape, tensor.values.data()};
  };
  Dataset out{tensor::DenseView{nullptr, rows, 0}, owner->labelling.labels.span(), owner,
              owner->labelling.targets.span(), owner->labelling.names};
  for (const TensorValues& input : owner->inputs) out.tensors.push_back(view(input));
  if (owner->target) out.target_tensor = view(*owner->target);
  out.weights = owner->labelling.weights.span();
  return out;
}

std::vector<std::int32_t> distinct_labels(std::span<const std::int32_t> labels) {
  // There are usually few classes: keep the known ones sorted and look each label up.
  constexpr std::size_t kFew = 1024;
  std::vector<std::int32_t> known;
  for (const std::int32_t label : labels) {
    const auto at = std::lower_bound(known.begin(), known.end(), label);
    if (at != known.end() && *at == label) continue;
    if (known.size() == kFew) {
      known.assign(labels.begin(), labels.end());
      std::sort(known.begin(), known.end());
      known.erase(std::unique(known.begin(), known.end()), known.end());
      return known;
    }
    known.insert(at, label);
  }
  return known;
}

std::uint64_t checksum_of(const Dataset& dataset) {
  RunningChecksum sum;
  const auto add = [&sum](const auto* values, std::size_t n) {
    sum.add(std::as_bytes(std::span(values, n)));
  };
  const std::array<std::uint64_t, 3> shape{dataset.rows(), dataset.cols(),
                                           dataset.features.index()};
  add(shape.data(), shape.size());
  add(dataset.labels.data(), dataset.labels.size());
  // Nothing is added for sets without them, whose checksums are recorded in files of old versions.
  if (!dataset.targets.empty()) {
    add("targets", 7);
    add(dataset.targets.data(), dataset.targets.size());
  }
  if (!dataset.weights.empty()) {
    add("weights", 7);
    add(dataset.weights.data(), dataset.weights.size());
  }
  const auto add_tensor = [&](const Tensor& tensor) {
    const std::string text = tensor.text();
    add(text.data(), text.size());
    add(tensor.values, dataset.rows() * tensor.row_bytes());
  };
  for (const Tensor& tensor : dataset.tensors) add_tensor(tensor);
  if (dataset.target_tensor) add_tensor(*dataset.target_tensor);
  if (dataset.names) {
    const std::string names = names_text(*dataset.names);
    add(names.data(), names.size());
  }
  if (const auto* dense = std::get_if<tensor::DenseView>(&dataset.features)) {
    add(dense->data, dense->rows * dense->cols);
    return sum.value();
  }
  const auto add_csr = [&](const auto& csr) {
    if (csr.rows == 0) return;
    // For a slice of another data set, as if it were a separate one.
    const std::uint64_t begin = csr.offsets[0];
    std::array<std::uint64_t, 1024> offsets;
    for (std::size_t r = 0; r <= csr.rows; r += offsets.size()) {
      const std::size_t n = std::min(offsets.size(), csr.rows + 1 - r);
      for (std::size_t k = 0; k < n; ++k) offsets[k] = csr.offsets[r + k] - begin;
      add(offsets.data(), n);
    }
    add(csr.indices + begin, csr.nonzeros());
    add(csr.values + begin, csr.nonzeros());
  };
  if (const auto* narrow = std::get_if<tensor::Csr16>(&dataset.features))
    add_csr(*narrow);
  else
    add_csr(std::get<tensor::Csr32>(dataset.features));
  return sum.value();
}

Dataset with_cols(const Dataset& dataset, std::size_t cols) {
  if (cols == dataset.cols()) return dataset;
  return std::visit([&](const auto& view) { return with_cols(dataset, view, cols); },
                    dataset.features);
}

Dataset in_form(const Dataset& dataset, Form form) {
  if (!dataset.tensors.empty()) return dataset;  // they have one form
  if (const auto* dense = std::get_if<tensor::DenseView>(&dataset.features)) {
    if (form != Form::sparse) return dataset;
    return dense->cols <= kNarrowCols ? to_sparse<std::uint16_t>(dataset, *dense)
                                      : to_sparse<std::uint32_t>(dataset, *dense);
  }
  if (form == Form::automatic)
    form = natural_form(dataset.rows(), dataset.cols(), tensor::stored_values(dataset.features));
  if (const auto* csr = std::get_if<tensor::Csr16>(&dataset.features))
    return form == Form::dense ? to_dense(dataset, *csr) : dataset;
  const auto& csr = std::get<tensor::Csr32>(dataset.features);
  if (form == Form::dense) return to_dense(dataset, csr);
  return csr.cols <= kNarrowCols ? narrowed<std::uint16_t>(dataset, csr, csr.cols) : dataset;
}

}  // namespace lambdaml::data
