#include "lambdaml/data/rows.h"

#include <algorithm>
#include <numeric>

#include "lambdaml/base/error.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/source.h"

namespace lambdaml::data {
namespace {

/// The rows row_of(0) … row_of(n - 1) of `csr`.
template <class Index, class RowOf>
Dataset gather(const tensor::CsrView<Index>& csr, std::size_t n, const RowOf& row_of,
               Labelling labelling) {
  Array<std::uint64_t> offsets(n + 1);
  offsets[0] = 0;
  for (std::size_t r = 0; r < n; ++r) {
    const std::size_t from = row_of(r);
    offsets[r + 1] = offsets[r] + (csr.offsets[from + 1] - csr.offsets[from]);
  }
  Array<Index> indices(offsets[n]);
  Array<float> values(offsets[n]);
  for (std::size_t r = 0; r < n; ++r) {
    const std::uint64_t begin = csr.offsets[row_of(r)];
    const std::size_t count = offsets[r + 1] - offsets[r];
    std::copy_n(csr.indices + begin, count, indices.data() + offsets[r]);
    std::copy_n(csr.values + begin, count, values.data() + offsets[r]);
  }
  return sparse_dataset(std::move(offsets), std::move(indices), std::move(values), csr.cols,
                        std::move(labelling));
}

template <class RowOf>
Dataset gather(const tensor::DenseView& dense, std::size_t n, const RowOf& row_of,
               Labelling labelling) {
  Array<float> values(n * dense.cols);
  for (std::size_t r = 0; r < n; ++r)
    std::copy_n(dense.data + row_of(r) * dense.cols, dense.cols, values.data() + r * dense.cols);
  return dense_dataset(std::move(values), n, dense.cols, std::move(labelling));
}

template <class RowOf>
Dataset gather_tensors(const Dataset& dataset, std::size_t n, const RowOf& row_of) {
  const auto taken = [&](const Tensor& from) {
    TensorValues out{from, Array<std::byte>(n * from.row_bytes())};
    copy_rows(from, n, row_of, out.values.data());
    return out;
  };
  std::vector<TensorValues> inputs;
  for (const Tensor& tensor : dataset.tensors) inputs.push_back(taken(tensor));
  std::optional<TensorValues> target;
  if (dataset.target_tensor) target = taken(*dataset.target_tensor);
  return tensor_dataset(n, std::move(inputs), std::move(target), labelling_of(dataset, n, row_of));
}

template <class RowOf>
Dataset gather(const Dataset& dataset, std::size_t n, const RowOf& row_of) {
  if (!dataset.tensors.empty()) return gather_tensors(dataset, n, row_of);
  return std::visit(
      [&](const auto& view) { return gather(view, n, row_of, labelling_of(dataset, n, row_of)); },
      dataset.features);
}

/// Calls place(part, row of the part) for each row in the order before the cut.
struct Dealt {
  template <class Place>
  void operator()(const std::vector<Dataset>& parts, const Place& place) const {
    std::size_t longest = 0;
    for (const Dataset& part : parts) longest = std::max(longest, part.rows());
    for (std::size_t k = 0; k < longest; ++k)
      for (std::size_t i = 0; i < parts.size(); ++i)
        if (k < parts[i].rows()) place(i, k);
  }
};

/// The same for rows that follow each other.
struct InSequence {
  template <class Place>
  void operator()(const std::vector<Dataset>& parts, const Place& place) const {
    for (std::size_t i = 0; i < parts.size(); ++i)
      for (std::size_t k = 0; k < parts[i].rows(); ++k) place(i, k);
  }
};

/// Of the joined rows.
struct Size {
  std::size_t rows = 0;
  std::size_t cols = 0;
};

template <class Index, class Order>
Dataset join_sparse(const std::vector<Dataset>& parts, const Size& size, const Order& order,
                    Labelling labelling) {
  std::size_t stored = 0;
  for (const Dataset& part : parts) stored += tensor::stored_values(part.features);
  Array<std::uint64_t> offsets(size.rows + 1);
  Array<Index> indices(stored);
  Array<float> values(stored);
  offsets[0] = 0;
  std::size_t r = 0;
  order(parts, [&](std::size_t i, std::size_t k) {
    const std::uint64_t to = offsets[r];
    const auto copy = [&](const auto& csr) {
      const std::uint64_t begin = csr.offsets[k];
      const std::uint64_t count = csr.offsets[k + 1] - begin;
      for (std::uint64_t e = 0; e < count; ++e)
        indices[to + e] = static_cast<Index>(csr.indices[begin + e]);
      std::copy_n(csr.values + begin, count, values.data() + to);
      offsets[++r] = to + count;
    };
    if (const auto* narrow = std::get_if<tensor::Csr16>(&parts[i].features))
      copy(*narrow);
    else
      copy(std::get<tensor::Csr32>(parts[i].features));
  });
  return sparse_dataset(std::move(offsets), std::move(indices), std::move(values), size.cols,
                        std::move(labelling));
}

template <class Order>
Dataset join_dense(const std::vector<Dataset>& parts, const Size& size, const Order& order,
                   Labelling labelling) {
  Array<float> values(dense_bytes(size.rows, size.cols, "the data set") / sizeof(float));
  float* to = values.data();
  order(parts, [&](std::size_t i, std::size_t k) {
    const auto& dense = std::get<tensor::DenseView>(parts[i].features);
    to = std::copy_n(dense.data + k * dense.cols, dense.cols, to);
    to = std::fill_n(to, size.cols - dense.cols, 0.0F);
  });
  return dense_dataset(std::move(values), size.rows, size.cols, std::move(labelling));
}

/// Targets if one part has them: in the others they happened to be whole numbers. Neither where a
/// tensor is to be learned. Weights if all parts have them.
template <class Order>
Labelling join_labelling(const std::vector<Dataset>& parts, std::size_t rows, const Order& order) {
  Labelling out;
  const auto has = [](const Dataset& part) { return part.labelled(); };
  const auto has_targets = [](const Dataset& part) { return !part.targets.empty(); };
  std::size_t r = 0;
  if (!std::all_of(parts.begin(), parts.end(), has) || (!parts.empty() && parts[0].target_tensor)) {
  } else if (std::any_of(parts.begin(), parts.end(), has_targets)) {
    out.targets = Array<float>(rows);
    order(parts, [&](std::size_t i, std::size_t k) {
      out.targets[r++] =
          parts[i].targets.empty() ? static_cast<float>(parts[i].labels[k]) : parts[i].targets[k];
    });
  } else {
    out.labels = Array<std::int32_t>(rows);
    order(parts, [&](std::size_t i, std::size_t k) { out.labels[r++] = parts[i].labels[k]; });
  }
  const auto has_weights = [](const Dataset& part) { return !part.weights.empty(); };
  if (std::any_of(parts.begin(), parts.end(), has_weights)) {
    out.weights = Array<float>(rows);
    r = 0;
    order(parts, [&](std::size_t i, std::size_t k) { out.weights[r++] = parts[i].weights[k]; });
  }
  if (!parts.empty()) out.names = parts[0].names;
  return out;
}

/// Throws invalid_argument unless both are the same but for their rows.
void require_alike(const std::optional<Tensor>& a, const std::optional<Tensor>& b) {
  const auto text = [](const std::optional<Tensor>& tensor) {
    return tensor ? tensor->text() : std::string("none");
  };
  if (text(a) != text(b))
    fail(Code::invalid_argument,
         "the parts of a data set have different tensors: {} in one, {} in another (images are "
         "brought to one size by --image-size)",
         text(a), text(b));
}

/// `of(part)` is one of its tensors.
template <class Order, class Of>
TensorValues join_tensor(const std::vector<Dataset>& parts, std::size_t rows, const Order& order,
                         const Of& of) {
  const Tensor& first = of(parts[0]);
  const std::size_t bytes = first.row_bytes();
  TensorValues out{first, Array<std::byte>(rows * bytes)};
  std::byte* to = out.values.data();
  order(parts, [&](std::size_t i, std::size_t k) {
    to = std::copy_n(of(parts[i]).values + k * bytes, bytes, to);
  });
  return out;
}

template <class Order>
Dataset join_tensors(const std::vector<Dataset>& parts, std::size_t rows, const Order& order) {
  const auto input = [](const Dataset& part, std::size_t t) {
    return t < part.tensors.size() ? std::optional(part.tensors[t]) : std::nullopt;
  };
  for (const Dataset& part : parts) {
    for (std::size_t t = 0; t < std::max(part.tensors.size(), parts[0].tensors.size()); ++t)
      require_alike(input(parts[0], t), input(part, t));
    require_alike(parts[0].target_tensor, part.target_tensor);
  }
  std::vector<TensorValues> inputs;
  for (std::size_t t = 0; t < parts[0].tensors.size(); ++t)
    inputs.push_back(join_tensor(
        parts, rows, order, [=](const Dataset& part) -> const Tensor& { return part.tensors[t]; }));
  std::optional<TensorValues> target;
  if (parts[0].target_tensor)
    target = join_tensor(parts, rows, order,
                         [](const Dataset& part) -> const Tensor& { return *part.target_tensor; });
  return tensor_dataset(rows, std::move(inputs), std::move(target),
                        join_labelling(parts, rows, order));
}

template <class Order>
Dataset join_rows(std::vector<Dataset> parts, const Order& order) {
  Size size;
  bool sparse = false;
  for (const Dataset& part : parts) {
    size.rows += part.rows();
    size.cols = std::max(size.cols, part.cols());
    sparse |= tensor::is_sparse(part.features);
  }
  const auto has_tensors = [](const Dataset& part) { return !part.tensors.empty(); };
  if (std::any_of(parts.begin(), parts.end(), has_tensors))
    return join_tensors(parts, size.rows, order);
  Labelling labelling = join_labelling(parts, size.rows, order);
  if (!sparse) return join_dense(parts, size, order, std::move(labelling));
  for (Dataset& part : parts) part = in_form(part, Form::sparse);
  if (size.cols <= kNarrowCols)
    return join_sparse<std::uint16_t>(parts, size, order, std::move(labelling));
  return join_sparse<std::uint32_t>(parts, size, order, std::move(labelling));
}

}  // namespace

Dataset take_part(const Dataset& dataset, std::size_t i, std::size_t n) {
  if (i >= n) fail(Code::internal, "taking part {} of {}", i, n);
  const std::size_t rows = dataset.rows() > i ? (dataset.rows() - i - 1) / n + 1 : 0;
  return gather(dataset, rows, [=](std::size_t r) { return r * n + i; });
}

Dataset take_rows(const Dataset& dataset, std::span<const std::uint32_t> order) {
  const std::size_t rows = dataset.rows();
  if (std::any_of(order.begin(), order.end(), [&](std::uint32_t r) { return r >= rows; }))
    fail(Code::internal, "taking rows beyond the {} there are", rows);
  return gather(dataset, order.size(), [&](std::size_t r) { return order[r]; });
}

void require_weights_in_all(const std::vector<Dataset>& parts,
                            const std::function<std::string(std::size_t)>& what_of) {
  const auto has_weights = [](const Dataset& part) { return !part.weights.empty(); };
  if (std::ranges::none_of(parts, has_weights)) return;
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (parts[i].rows() != 0 && !has_weights(parts[i]))
      fail(Code::invalid_argument,
           "{}: its rows have no weights, unlike those of other files of the set", what_of(i));
}

Dataset concatenate(std::vector<Dataset> parts) {
  return join_rows(std::move(parts), InSequence{});
}

Dataset interleave(std::vector<Dataset> parts) { return join_rows(std::move(parts), Dealt{}); }

}  // namespace lambdaml::data
