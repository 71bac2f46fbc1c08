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

#include "lambdaml/base/error.h"
#include "lambdaml/base/testing/testing.h"
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

/// The names; without any if nothing has a name.
inline Names names_in(const Dataset& dataset) { return dataset.names ? *dataset.names : Names(); }

/// Whether rows, labels, targets, names and form are equal; compares by feature, without making
/// rows dense.
inline bool same(const Dataset& a, const Dataset& b) {
  const auto equal = [](const auto* begin, const auto* end, const auto* other) {
    return std::equal(begin, end, other,
                      [](auto x, auto y) { return std::memcmp(&x, &y, sizeof x) == 0; });
  };
  if (to_targets(a) != to_targets(b) || names_in(a) != names_in(b)) return false;
  if (to_labels(a) != to_labels(b) || a.features.index() != b.features.index()) return false;
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  if (tensor::stored_values(a.features) != tensor::stored_values(b.features)) return false;
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

using lambdaml::error_of;

/// A temporary folder, removed by the destructor.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lambdaml_data_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace lambdaml::data::test
