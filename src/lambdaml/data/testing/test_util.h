#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/registry.h"

/// Helpers for the data layer's tests.
namespace lambdaml::data::test {

inline std::shared_ptr<const Buffer> shared(std::string_view text) {
  return std::make_shared<const Buffer>(as_bytes(text));
}

inline Dataset parse_text(std::string_view text, Form form = Form::automatic,
                          std::size_t threads = 1) {
  return registry().get("libsvm").read(shared(text), {"FILE", form, threads});
}

/// The data set as rows with all their values.
inline std::vector<std::vector<float>> to_rows(const Dataset& dataset) {
  std::vector<std::vector<float>> rows(dataset.rows(), std::vector<float>(dataset.cols()));
  if (const auto* dense = std::get_if<tensor::DenseView>(&dataset.features)) {
    for (std::size_t r = 0; r < rows.size(); ++r)
      rows[r].assign(dense->row(r).begin(), dense->row(r).end());
    return rows;
  }
  const auto fill = [&](const auto& csr) {
    for (std::size_t r = 0; r < rows.size(); ++r)
      for (std::uint64_t k = csr.offsets[r]; k < csr.offsets[r + 1]; ++k)
        rows[r].at(csr.indices[k]) = csr.values[k];
  };
  if (const auto* narrow = std::get_if<tensor::Csr16>(&dataset.features))
    fill(*narrow);
  else
    fill(std::get<tensor::Csr32>(dataset.features));
  return rows;
}

inline std::vector<std::int32_t> to_labels(const Dataset& dataset) {
  return {dataset.labels.begin(), dataset.labels.end()};
}

inline std::vector<float> to_targets(const Dataset& dataset) {
  return {dataset.targets.begin(), dataset.targets.end()};
}

inline std::vector<float> to_weights(const Dataset& dataset) {
  return {dataset.weights.begin(), dataset.weights.end()};
}

/// The names; without any if nothing has a name.
inline Names names_in(const Dataset& dataset) { return dataset.names ? *dataset.names : Names(); }

/// Whether rows, labels, targets, weights, tensors, names and form are equal; compares by feature,
/// without making rows dense.
inline bool same(const Dataset& a, const Dataset& b) {
  const auto equal = [](const auto* begin, const auto* end, const auto* other) {
    return std::equal(begin, end, other,
                      [](auto x, auto y) { return std::memcmp(&x, &y, sizeof x) == 0; });
  };
  if (to_weights(a) != to_weights(b)) return false;
  if (to_targets(a) != to_targets(b) || names_in(a) != names_in(b)) return false;
  if (to_labels(a) != to_labels(b) || a.features.index() != b.features.index()) return false;
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  if (tensor::stored_values(a.features) != tensor::stored_values(b.features)) return false;
  const auto all_tensors = [](const Dataset& dataset) {
    std::vector<Tensor> all = dataset.tensors;
    if (dataset.target_tensor) all.push_back(*dataset.target_tensor);
    return all;
  };
  const auto same_tensor = [&](const Tensor& x, const Tensor& y) {
    return static_cast<const TensorShape&>(x) == y &&
           std::ranges::equal(x.bytes(a.rows()), y.bytes(a.rows()));
  };
  if (a.target_tensor.has_value() != b.target_tensor.has_value() ||
      !std::ranges::equal(all_tensors(a), all_tensors(b), same_tensor))
    return false;
  return std::visit(
      [&](const auto& left) {
        using View = std::decay_t<decltype(left)>;
        const View& right = std::get<View>(b.features);
        if constexpr (std::is_same_v<View, tensor::DenseView>) {
          return equal(left.data, left.data + left.rows * left.cols, right.data);
        } else {
          for (std::size_t r = 0; r < left.rows; ++r) {
            const std::uint64_t begin = left.offsets[r];
            const std::uint64_t end = left.offsets[r + 1];
            const std::uint64_t other = right.offsets[r];
            if (right.offsets[r + 1] - other != end - begin ||
                !equal(left.indices + begin, left.indices + end, right.indices + other) ||
                !equal(left.values + begin, left.values + end, right.values + other))
              return false;
          }
          return true;
        }
      },
      a.features);
}

/// Rows of an image of 2 × 3 bytes named `image`, three ids named `tokens` and a target of two
/// numbers named `y`, all different.
inline Dataset tensors(std::size_t rows) {
  const auto filled = [&](TensorShape shape, auto first) {
    using T = decltype(first);
    TensorValues out{std::move(shape), Array<std::byte>()};
    const std::size_t n = rows * out.shape.row_numbers();
    std::byte* const to = out.values.extend(n * sizeof(T));
    for (std::size_t i = 0; i < n; ++i) {
      const T value = static_cast<T>(first + static_cast<T>(i));
      std::memcpy(to + i * sizeof(T), &value, sizeof(T));
    }
    return out;
  };
  std::vector<TensorValues> inputs;
  inputs.push_back(filled({"image", Element::uint8, {2, 3}}, std::uint8_t{1}));
  inputs.push_back(filled({"tokens", Element::int64, {3}}, std::int64_t{1000}));
  return tensor_dataset(rows, std::move(inputs), filled({"y", Element::float32, {2}}, 0.5F), {});
}

/// Rows of one tensor of uint8 named `image`.
inline Dataset images(std::size_t rows, std::vector<std::size_t> shape) {
  std::vector<TensorValues> image;
  image.push_back({{"image", Element::uint8, std::move(shape)}, Array<std::byte>()});
  const std::size_t bytes = rows * image[0].shape.row_bytes();
  std::byte* const to = image[0].values.extend(bytes);
  for (std::size_t i = 0; i < bytes; ++i)
    to[i] = static_cast<std::byte>((i * 7919 + i / 251 + 133) & 0xffU);
  return tensor_dataset(rows, std::move(image), {}, {});
}

/// With label r mod 10 for row r.
inline Dataset with_labels(Dataset rows) {
  const auto owner =
      std::make_shared<std::pair<std::vector<std::int32_t>, std::shared_ptr<const void>>>();
  for (std::size_t r = 0; r < rows.rows(); ++r)
    owner->first.push_back(static_cast<std::int32_t>(r % 10));
  owner->second = rows.owner;
  rows.labels = owner->first;
  rows.owner = owner;
  return rows;
}

using lambdaml::error_of;

/// As a gzip file.
inline std::string gzipped(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// A folder that the destructor removes.
struct TemporaryFolder : Scratch {
  TemporaryFolder() : Scratch("lambdaml-data-") {}
};

}  // namespace lambdaml::data::test
