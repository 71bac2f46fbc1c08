#include <algorithm>
#include <cmath>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/align.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/rows.h"

namespace lambdaml::data {
namespace {

/// Up to this size a float holds every integer.
constexpr float kExactIntegers = 1 << 24;

/// The rows with `values` as labels, if all are whole numbers, or else as targets.
Dataset labelled_by(const Dataset& rows, Array<float> values) {
  struct Owner {
    Array<float> targets;
    Array<std::int32_t> labels;
    std::shared_ptr<const void> rows;
  };
  const auto owner = std::make_shared<Owner>();
  owner->rows = rows.owner;
  const bool whole = std::all_of(values.data(), values.data() + values.size(), [](float value) {
    return value == std::floor(value) && std::abs(value) < kExactIntegers;
  });
  Dataset out = rows;
  out.labels = {};
  out.targets = {};
  out.owner = owner;
  if (whole) {
    owner->labels = Array<std::int32_t>(values.size());
    std::transform(values.data(), values.data() + values.size(), owner->labels.data(),
                   [](float value) { return static_cast<std::int32_t>(value); });
    out.labels = owner->labels.span();
  } else {
    owner->targets = std::move(values);
    out.targets = owner->targets.span();
  }
  return out;
}

Array<float> column_values(const Dataset& rows, std::size_t column) {
  Array<float> out(rows.rows());
  std::fill_n(out.data(), out.size(), 0.0F);
  if (const auto* dense = std::get_if<tensor::DenseView>(&rows.features)) {
    for (std::size_t r = 0; r < dense->rows; ++r) out[r] = dense->row(r)[column];
    return out;
  }
  const auto take = [&](const auto& csr) {
    for (std::size_t r = 0; r < csr.rows; ++r)
      for (std::uint64_t k = csr.offsets[r]; k < csr.offsets[r + 1]; ++k)
        if (csr.indices[k] == column) out[r] = csr.values[k];
  };
  if (const auto* narrow = std::get_if<tensor::Csr16>(&rows.features))
    take(*narrow);
  else
    take(std::get<tensor::Csr32>(rows.features));
  return out;
}

/// The rows, as tensors, with one to learn.
Dataset with_target_tensor(const Dataset& rows, Tensor target,
                           const std::shared_ptr<const void>& owner) {
  Dataset out = in_form(rows, Form::dense);
  if (out.tensors.empty()) {
    const auto& dense = std::get<tensor::DenseView>(out.features);
    const Bytes values = std::as_bytes(std::span(dense.data, dense.rows * dense.cols));
    out.tensors = {Tensor{{"features", Element::float32, {dense.cols}}, values.data()}};
    out.features = tensor::DenseView{nullptr, dense.rows, 0};
    out.names = nullptr;
  }
  target.name = "y";
  out.target_tensor = std::move(target);
  out.labels = {};
  out.targets = {};
  using Owners = std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>;
  out.owner = std::make_shared<const Owners>(out.owner, owner);
  return out;
}

}  // namespace

Dataset with_labels_as_targets(const Dataset& dataset) {
  Dataset out = dataset;
  const auto owner = std::make_shared<std::pair<std::vector<float>, std::shared_ptr<const void>>>(
      std::vector<float>(dataset.labels.begin(), dataset.labels.end()), dataset.owner);
  out.targets = owner->first;
  out.labels = {};
  out.owner = owner;
  return out;
}

Dataset with_labels_of(const Dataset& rows, const Dataset& labels, const std::string& what_rows,
                       const std::string& what_labels) {
  if (labels.rows() != rows.rows())
    fail(Code::invalid_argument,
         "{}: it has {} labels, and {} has {} rows: give one label for each row", what_labels,
         human_count(labels.rows()), what_rows, human_count(rows.rows()));
  if (labels.tensors.size() > 1)
    fail(Code::invalid_argument, "{}: it has several arrays: the one to learn is one", what_labels);
  if (!labels.tensors.empty()) return with_target_tensor(rows, labels.tensors[0], labels.owner);
  const bool has_labels = !labels.labels.empty() || !labels.targets.empty();
  const auto* dense = std::get_if<tensor::DenseView>(&labels.features);
  if (!has_labels && dense != nullptr && dense->cols > 1) {
    const Bytes values = std::as_bytes(std::span(dense->data, dense->rows * dense->cols));
    return with_target_tensor(rows, {{"y", Element::float32, {dense->cols}}, values.data()},
                              labels.owner);
  }
  if (!has_labels && labels.cols() == 1) return labelled_by(rows, column_values(labels, 0));
  if (!has_labels || labels.cols() != 0)
    fail(Code::invalid_argument, "{}: labels are one number per row, and it has {} columns",
         what_labels, labels.cols());
  Dataset out = rows;
  out.labels = labels.labels;
  out.targets = labels.targets;
  out.owner =
      std::make_shared<const std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>>(
          rows.owner, labels.owner);
  return out;
}

Dataset with_label_column(const Dataset& rows, std::int64_t column, const std::string& what) {
  const auto cols = static_cast<std::int64_t>(rows.cols());
  if (column >= cols || column < -cols)
    fail(Code::invalid_argument,
         "{}: --label {}: there are {} columns: write 0 to {}, or -1 for the last one", what,
         column, cols, cols - 1);
  const auto at = static_cast<std::size_t>(column < 0 ? column + cols : column);
  std::vector<std::uint32_t> places(rows.cols());
  for (std::size_t c = 0; c < places.size(); ++c)
    places[c] = c == at ? kDroppedColumn : static_cast<std::uint32_t>(c < at ? c : c - 1);
  return labelled_by(with_columns_at(rows, places, rows.cols() - 1), column_values(rows, at));
}

Dataset with_label_column(const Dataset& rows, const ReadOptions& options) {
  const bool declared = options.options.find("label") != nullptr;
  const std::string wanted = declared ? options.options.text("label") : "";
  if (wanted.empty() || wanted == "none") return rows;
  const std::optional<std::int64_t> column = to_integer(wanted);
  if (!column)
    fail(Code::invalid_argument,
         "{}: --label '{}': its columns have no names; give an index, from 0", options.what,
         printable(wanted, 60));
  return with_label_column(rows, *column, options.what);
}

}  // namespace lambdaml::data
