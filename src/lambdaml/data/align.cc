#include "lambdaml/data/align.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/rows.h"

namespace lambdaml::data {
namespace {

/// `colour` of `colour=red`, `age` of `age`.
std::string_view column_of(std::string_view feature) {
  return feature.substr(0, feature.find('='));
}

/// Some of the texts, quoted, for a message.
std::string some(const std::vector<std::string>& texts) {
  constexpr std::size_t kShown = 5;
  std::string out;
  for (std::size_t i = 0; i < std::min(texts.size(), kShown); ++i)
    out += fmt::format("{}'{}'", i == 0 ? "" : ", ", printable(texts[i], 40));
  return texts.size() > kShown ? out + " …" : out;
}

bool has_features(const std::shared_ptr<const Names>& names) {
  return names && !names->features.empty();
}
bool has_labels(const std::shared_ptr<const Names>& names) {
  return names && !names->labels.empty();
}

/// For each column of `have` its place in `want`, or kDroppedColumn.
std::vector<std::uint32_t> places_of(const std::vector<std::string>& have,
                                     const std::vector<std::string>& want,
                                     const std::string& what) {
  std::unordered_map<std::string_view, std::uint32_t> place;
  std::unordered_set<std::string_view> known;
  std::unordered_set<std::string_view> present;
  std::unordered_set<std::string_view> texts;  // columns of which there are categories
  for (std::uint32_t i = 0; i < want.size(); ++i) {
    place.emplace(want[i], i);
    known.insert(column_of(want[i]));
  }
  std::vector<std::uint32_t> out;
  std::vector<std::string> categories;
  std::set<std::string> columns;
  for (const std::string& feature : have) {
    const auto at = place.find(feature);
    out.push_back(at == place.end() ? kDroppedColumn : at->second);
    present.insert(feature);
    if (column_of(feature) != feature) texts.insert(column_of(feature));
    if (at != place.end()) continue;
    if (known.contains(column_of(feature)))
      categories.push_back(feature);
    else
      columns.emplace(column_of(feature));
  }
  for (const std::string& feature : want) {
    const std::string_view column = column_of(feature);
    // A category that this file does not have, or a column that it does not have.
    if (present.contains(feature) || (column != feature && texts.contains(column))) continue;
    if (present.contains(column) || texts.contains(column))
      fail(Code::invalid_argument,
           "{}: the column '{}' has {}: give it the content that the model learned from", what,
           printable(column, 60),
           column == feature ? "texts instead of numbers" : "numbers instead of texts");
    fail(Code::invalid_argument, "{}: the column '{}' is missing, which the model learned from",
         what, printable(column, 60));
  }
  if (!columns.empty())
    log::warn_once(fmt::format("{}: the model does not know the columns {}; they are left out",
                               what, some({columns.begin(), columns.end()})));
  if (!categories.empty())
    log::warn_once(
        fmt::format("{}: the model does not know {}; such rows have none of the column's "
                    "categories",
                    what, some(categories)));
  return out;
}

Dataset moved(const Dataset& dataset, const tensor::DenseView& dense,
              const std::vector<std::uint32_t>& places, std::size_t cols, Labelling labelling) {
  Array<float> values(dense_bytes(dense.rows, cols, "the data set") / sizeof(float));
  std::fill_n(values.data(), values.size(), 0.0F);
  for (std::size_t r = 0; r < dense.rows; ++r) {
    const std::span<const float> row = dense.row(r);
    for (std::size_t c = 0; c < row.size(); ++c)
      if (places[c] != kDroppedColumn) values[r * cols + places[c]] = row[c];
  }
  return dense_dataset(std::move(values), dataset.rows(), cols, std::move(labelling));
}

template <class Index>
Dataset moved(const Dataset&, const tensor::CsrView<Index>& csr,
              const std::vector<std::uint32_t>& places, std::size_t cols, Labelling labelling) {
  Array<std::uint64_t> offsets(csr.rows + 1);
  Array<std::uint32_t> indices(csr.nonzeros());
  Array<float> values(csr.nonzeros());
  std::vector<std::pair<std::uint32_t, float>> row;
  std::size_t at = 0;
  offsets[0] = 0;
  for (std::size_t r = 0; r < csr.rows; ++r) {
    row.clear();
    for (std::uint64_t k = csr.offsets[r]; k < csr.offsets[r + 1]; ++k)
      if (places[csr.indices[k]] != kDroppedColumn)
        row.emplace_back(places[csr.indices[k]], csr.values[k]);
    std::sort(row.begin(), row.end());
    for (const auto& [index, value] : row) {
      indices[at] = index;
      values[at++] = value;
    }
    offsets[r + 1] = at;
  }
  return in_form(sparse_dataset(std::move(offsets), std::move(indices), std::move(values), cols,
                                std::move(labelling)),
                 Form::sparse);
}

/// The texts of the labels that occur, or numbers as texts.
std::string text_of(const Dataset& dataset, std::int32_t label) {
  return has_labels(dataset.names) ? dataset.names->labels[static_cast<std::size_t>(label)]
                                   : std::to_string(label);
}

/// Labels by the numbering of `names`.
Array<std::int32_t> numbered(const Dataset& dataset, const Names& names, const std::string& what) {
  std::map<std::int32_t, std::int32_t> number;
  std::vector<std::string> unknown;
  for (const std::int32_t label : distinct_labels(dataset.labels)) {
    const std::string text = text_of(dataset, label);
    const auto at = std::lower_bound(names.labels.begin(), names.labels.end(), text);
    if (at == names.labels.end() || *at != text)
      unknown.push_back(text);
    else
      number[label] = static_cast<std::int32_t>(at - names.labels.begin());
  }
  if (!unknown.empty())
    fail(Code::invalid_argument, "{}: the model does not know its labels {}: it learned {}", what,
         some(unknown), some(names.labels));
  Array<std::int32_t> out(dataset.labels.size());
  for (std::size_t r = 0; r < out.size(); ++r) out[r] = number.at(dataset.labels[r]);
  return out;
}

/// With labels numbered as by the model, and its names.
Dataset align_labels(const Dataset& dataset, const Learned& model, const std::string& what) {
  Dataset out = dataset;
  const bool texts = has_labels(dataset.names) && !dataset.labels.empty();
  if (has_labels(model.names) && !dataset.labels.empty() &&
      !(texts && dataset.names->labels == model.names->labels)) {
    auto owner = std::make_shared<std::pair<Array<std::int32_t>, std::shared_ptr<const void>>>(
        numbered(dataset, *model.names, what), dataset.owner);
    out.labels = owner->first.span();
    out.owner = std::move(owner);
  } else if (texts && model.names && !model.names->label.empty() && !has_labels(model.names)) {
    fail(Code::invalid_argument, "{}: its labels are texts ({}), and the model learned numbers",
         what, some(dataset.names->labels));
  }
  return out;
}

/// Features as the only tensor of a model: floats in place, or bytes if all of them are such.
std::optional<Dataset> as_tensor(const Dataset& dataset, const TensorShape& wanted) {
  const bool floats = wanted.element == Element::float32 && wanted.shape.size() == 1;
  if (wanted.row_numbers() != dataset.cols() || !(floats || wanted.element == Element::uint8))
    return {};
  const Dataset dense = in_form(dataset, Form::dense);
  const std::size_t rows = dense.rows();
  const std::span<const float> values(std::get<tensor::DenseView>(dense.features).data,
                                      rows * dense.cols());
  Dataset out = dense;
  out.features = tensor::DenseView{nullptr, rows, 0};
  if (floats) {
    out.tensors = {Tensor{wanted, std::as_bytes(values).data()}};
    return out;
  }
  auto owner = std::make_shared<std::pair<Array<std::byte>, std::shared_ptr<const void>>>(
      Array<std::byte>(values.size()), dense.owner);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= 0 && values[i] <= 255) || values[i] != std::floor(values[i])) return {};
    owner->first[i] = static_cast<std::byte>(values[i]);
  }
  out.tensors = {Tensor{wanted, owner->first.data()}};
  out.owner = std::move(owner);
  return out;
}

/// The only tensor, of uint8, as features.
Dataset as_features(const Dataset& dataset) {
  const Tensor& tensor = dataset.tensors[0];
  Array<float> values(dense_bytes(dataset.rows(), tensor.row_numbers(), "the data set") /
                      sizeof(float));
  std::ranges::transform(tensor.bytes(dataset.rows()), values.data(), [](std::byte b) {
    return static_cast<float>(std::to_integer<unsigned>(b));
  });
  return dense_dataset(std::move(values), dataset.rows(), tensor.row_numbers(),
                       labelling_of(dataset, dataset.rows(), [](std::size_t r) { return r; }));
}

/// With the tensors that a model learned, in its order.
Dataset align_tensors(const Dataset& dataset, const Learned& model, const std::string& what) {
  const auto refuse = [&] {
    const TensorShapes learned{model.tensors};
    fail(Code::invalid_argument, "{}: it has {}, and the model learned from {}", what,
         dataset.tensors.empty() ? fmt::format("{} features", dataset.cols())
                                 : TensorShapes{dataset.tensor_shapes().inputs}.text(),
         model.tensors.empty() ? fmt::format("{} features", model.features) : learned.text());
  };
  if (model.tensors.empty()) {
    const bool bytes = dataset.tensors.size() == 1 &&
                       dataset.tensors[0].element == Element::uint8 &&
                       dataset.tensors[0].row_numbers() == model.features;
    if (!bytes) refuse();
    return as_features(dataset);
  }
  if (dataset.tensors.empty()) {
    std::optional<Dataset> out;
    if (model.tensors.size() == 1) out = as_tensor(dataset, model.tensors[0]);
    if (!out) refuse();
    return *out;
  }
  Dataset out = dataset;
  out.tensors.clear();
  const auto named = [&](const TensorShape& wanted) {
    return std::ranges::find(dataset.tensors, wanted.name, &Tensor::name);
  };
  const bool by_name = std::ranges::all_of(model.tensors, [&](const TensorShape& wanted) {
    return named(wanted) != dataset.tensors.end();
  });
  if (!by_name && dataset.tensors.size() < model.tensors.size()) refuse();
  for (std::size_t t = 0; t < model.tensors.size(); ++t) {
    const TensorShape& wanted = model.tensors[t];
    const Tensor& found = by_name ? *named(wanted) : dataset.tensors[t];
    if (found.element != wanted.element || found.shape != wanted.shape) refuse();
    out.tensors.push_back({wanted, found.values});
  }
  return out;
}

}  // namespace

Dataset with_columns_at(const Dataset& dataset, const std::vector<std::uint32_t>& places,
                        std::size_t cols) {
  Dataset unnamed = dataset;
  unnamed.names = nullptr;
  return std::visit(
      [&](const auto& view) {
        return moved(unnamed, view, places, cols,
                     labelling_of(unnamed, unnamed.rows(), [](std::size_t r) { return r; }));
      },
      dataset.features);
}

Dataset align(const Dataset& given, const Learned& model, const std::string& what) {
  Dataset dataset = given;
  if (model.ignore_labels) dataset.labels = {}, dataset.targets = {}, dataset.target_tensor = {};
  Dataset out = dataset;
  if (!model.tensors.empty() || !dataset.tensors.empty()) {
    out = align_tensors(out, model, what);
  } else if (has_features(dataset.names) && has_features(model.names)) {
    if (dataset.names->features != model.names->features) {
      const std::vector<std::uint32_t> places =
          places_of(dataset.names->features, model.names->features, what);
      out = with_columns_at(out, places, model.features);
    }
  } else {
    if (out.cols() > model.features)
      log::warn_once(fmt::format("{}: it has {} features; those beyond the model's {} are left out",
                                 what, out.cols(), model.features));
    // Sparse rows leave out zeros, dense ones are rarely meant for a model of more features.
    if (out.cols() < model.features && std::holds_alternative<tensor::DenseView>(out.features))
      log::warn_once(fmt::format("{}: it has {} features, and the model {}; the others count as 0",
                                 what, out.cols(), model.features));
    out = with_cols(out, model.features);
  }
  out.names = dataset.names;
  out = align_labels(out, model, what);
  out.names = model.names ? model.names : names_of_cols(dataset.names, model.features);
  return out;
}

std::shared_ptr<const Names> united(const std::vector<std::shared_ptr<const Names>>& parts,
                                    const std::vector<std::string>& what) {
  const auto as_first = [&](const auto& names) { return same_names(names, parts[0]); };
  if (std::all_of(parts.begin(), parts.end(), as_first)) return parts[0];
  auto all = std::make_shared<Names>(parts[0] ? *parts[0] : Names());
  const bool any_named = std::any_of(parts.begin(), parts.end(), has_features);
  std::vector<std::string> columns;                       // in the order of the first file
  std::map<std::string, std::set<std::string>> features;  // of each column
  std::set<std::string> labels;
  std::map<std::string, float> fills;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i] && !any_named) continue;
    if (any_named && !has_features(parts[i]))
      fail(Code::invalid_argument,
           "{}: its columns have no names, unlike those of another file of the set; give all files "
           "a header",
           what[i]);
    if (!parts[i]) continue;  // of tensors whose labels have no names
    const Names& names = *parts[i];
    labels.insert(names.labels.begin(), names.labels.end());
    for (std::size_t f = 0; f < names.features.size(); ++f) {
      std::string column(column_of(names.features[f]));
      if (features[column].empty()) columns.push_back(column);
      features[column].insert(names.features[f]);
      if (!names.fills.empty()) fills.emplace(names.features[f], names.fills[f]);
    }
  }
  all->features.clear();
  for (const std::string& column : columns)
    all->features.insert(all->features.end(), features[column].begin(), features[column].end());
  all->labels.assign(labels.begin(), labels.end());
  if (!all->fills.empty()) {
    all->fills.clear();
    for (const std::string& feature : all->features) all->fills.push_back(fills[feature]);
  }
  return all;
}

Dataset concatenate_named(std::vector<Dataset> parts, const std::vector<std::string>& what) {
  require_weights_in_all(parts, [&](std::size_t i) { return what[i]; });
  std::vector<std::shared_ptr<const Names>> names;
  for (const Dataset& part : parts) names.push_back(part.names);
  const std::shared_ptr<const Names> all = united(names, what);
  const auto has_all = [&](const auto& own) { return same_names(own, all); };
  if (std::all_of(names.begin(), names.end(), has_all)) return concatenate(std::move(parts));
  std::size_t cols = all ? all->features.size() : 0;
  if (cols == 0)
    for (const Dataset& part : parts) cols = std::max(cols, part.cols());
  const Learned model{cols, all, false, parts[0].tensor_shapes().inputs};
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = align(parts[i], model, what[i]);
  return concatenate(std::move(parts));
}

}  // namespace lambdaml::data
