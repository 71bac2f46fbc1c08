#include "lambdaml/data/csv/table.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/missing.h"

namespace lambdaml::data::csv {

/// What features the columns become.
struct Table::Encoding {
  struct OfColumn {
    bool text = false;
    std::size_t slot = 0;
    std::size_t feature = 0;                   ///< of a number
    std::vector<std::uint32_t> features = {};  ///< of each text
  };
  std::vector<OfColumn> columns;
  std::vector<std::string> names;
};

namespace {

/// The positions of a dictionary's texts in ascending order.
std::vector<std::uint32_t> sorted(const Dictionary& dictionary) {
  std::vector<std::uint32_t> order(dictionary.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return dictionary.text(a) < dictionary.text(b);
  });
  return order;
}

bool all_are_labels(const Array<double>& values) {
  return std::all_of(values.data(), values.data() + values.size(), [](double value) {
    return value == std::floor(value) && value >= std::numeric_limits<std::int32_t>::min() &&
           value <= std::numeric_limits<std::int32_t>::max();
  });
}

}  // namespace

Form form_of(Form wanted, std::size_t rows, std::size_t cols, std::size_t nonzeros) {
  if (wanted != Form::automatic) return wanted;
  const bool sparse = cols > 32 && static_cast<double>(nonzeros) * 10 <
                                       static_cast<double>(rows) * static_cast<double>(cols);
  return sparse ? Form::sparse : Form::dense;
}

Table::Table(const Layout& layout, const ReadOptions& options)
    : layout_(layout), options_(options), dictionaries_(layout.dictionaries) {
  if (!options.names) return;
  // A model's categories come first: a file need not have all of them.
  for (const Column& column : layout.columns)
    if (column.kind == Column::Kind::text)
      for (const std::string& feature : options.names->features)
        if (feature.starts_with(column.name + "="))
          dictionaries_[column.slot].number_of(feature.substr(column.name.size() + 1));
}

void Table::reserve(double rows) {
  const auto estimate = static_cast<std::size_t>(rows) + 16;
  dense_bytes(estimate, layout_.numbers, options_.what);
  numbers_.reserve(estimate * layout_.numbers);
  codes_.reserve(estimate * layout_.dictionaries);
  if (layout_.label) labels_.reserve(estimate);
  if (layout_.weight) weights_.reserve(estimate);
}

namespace {

/// The first row of the block whose text in dictionary `d` has this number there.
std::size_t first_row_with(const Block& block, std::size_t dictionaries, std::size_t d,
                           std::uint32_t code) {
  std::size_t row = 0;
  while (row < block.rows && block.codes[row * dictionaries + d] != code) ++row;
  return row;
}

}  // namespace

Table::Place Table::extend(const Block& block) {
  Place place{rows_, {}};
  for (std::size_t d = 0; d < dictionaries_.size(); ++d) {
    std::vector<std::uint32_t>& codes = place.codes.emplace_back();
    for (std::size_t i = 0; i < block.dictionaries[d].size(); ++i) {
      codes.push_back(dictionaries_[d].number_of(block.dictionaries[d].text(i)));
      if (codes.back() != Dictionary::kFull) continue;
      const auto has_it = [d](const Column& column) {
        return column.slot == d &&
               (column.kind == Column::Kind::text || column.kind == Column::Kind::label_text);
      };
      const auto column = static_cast<std::size_t>(
          std::find_if(layout_.columns.begin(), layout_.columns.end(), has_it) -
          layout_.columns.begin());
      const std::size_t row =
          first_row_with(block, dictionaries_.size(), d, static_cast<std::uint32_t>(i));
      fail(Code::data_corrupt, "{}: row {}, {}: {}", options_.what, rows_ + row + 1,
           layout_.describe(column), too_many_texts());
    }
  }
  rows_ += block.rows;
  dense_bytes(rows_, layout_.numbers, options_.what);
  numbers_.extend(block.rows * layout_.numbers);
  codes_.extend(block.rows * layout_.dictionaries);
  if (layout_.label) labels_.extend(block.rows);
  if (layout_.weight) weights_.extend(block.rows);
  return place;
}

void Table::place(const Place& at, const Block& block) {
  std::copy_n(block.numbers.data(), block.rows * layout_.numbers,
              numbers_.data() + at.row * layout_.numbers);
  if (layout_.label) std::copy_n(block.labels.data(), block.rows, labels_.data() + at.row);
  if (layout_.weight) std::copy_n(block.weights.data(), block.rows, weights_.data() + at.row);
  const std::size_t n = layout_.dictionaries;
  std::uint32_t* const codes = codes_.data() + at.row * n;
  for (std::size_t r = 0; r < block.rows; ++r)
    for (std::size_t d = 0; d < n; ++d) {
      const std::uint32_t code = block.codes[r * n + d];
      codes[r * n + d] = code == Dictionary::kMissing ? code : at.codes[d][code];
    }
}

/// Fills what is missing, by the model's values if there is a model, and remembers by what.
void Table::fill_missing(Names& names) {
  if (layout_.missing == Layout::Missing::refuse || layout_.keeps_missing) return;
  const std::size_t n = layout_.numbers;
  std::vector<double> sums(n);
  std::vector<std::size_t> counts(n);
  for (std::size_t r = 0; r < rows_; ++r)
    for (std::size_t k = 0; k < n; ++k) {
      const float value = numbers_[r * n + k];
      if (std::isnan(value)) continue;
      sums[k] += value;
      ++counts[k];
    }
  std::vector<float> fills(n);
  for (std::size_t c = 0; c < layout_.columns.size(); ++c) {
    const Column& column = layout_.columns[c];
    if (column.kind != Column::Kind::number) continue;
    const std::size_t k = column.slot;
    const auto known = options_.names ? std::find(options_.names->features.begin(),
                                                  options_.names->features.end(), column.name)
                                      : std::vector<std::string>::const_iterator();
    if (options_.names && !options_.names->fills.empty() && known != options_.names->features.end())
      fills[k] =
          options_.names->fills[static_cast<std::size_t>(known - options_.names->features.begin())];
    else if (options_.is_of_several)
      fills[k] = kUnknownFill;
    else if (counts[k] == 0)
      fail(Code::data_corrupt, "{}: rows 1 to {}, {}: every value is missing: remove the column",
           options_.what, rows_, layout_.describe(c));
    else if (layout_.missing == Layout::Missing::mean)
      fills[k] = static_cast<float>(sums[k] / static_cast<double>(counts[k]));
  }
  for (std::size_t r = 0; r < rows_; ++r)
    for (std::size_t k = 0; k < n; ++k)
      if (std::isnan(numbers_[r * n + k])) numbers_[r * n + k] = fills[k];
  names.fills = std::move(fills);
}

Table::Encoding Table::encoding() const {
  Encoding out;
  for (const Column& column : layout_.columns) {
    if (column.kind == Column::Kind::number) {
      out.columns.push_back({false, column.slot, out.names.size()});
      out.names.push_back(column.name);
    }
    if (column.kind != Column::Kind::text) continue;
    const Dictionary& dictionary = dictionaries_[column.slot];
    Encoding::OfColumn texts{true, column.slot, 0, std::vector<std::uint32_t>(dictionary.size())};
    for (const std::uint32_t i : sorted(dictionary)) {
      texts.features[i] = static_cast<std::uint32_t>(out.names.size());
      out.names.push_back(column.name + "=" + dictionary.text(i));
    }
    out.columns.push_back(std::move(texts));
  }
  return out;
}

/// Calls take(feature, value) for each value of a row that is not 0, features ascending.
template <class Take>
void Table::encode_row(std::size_t row, const Encoding& encoding, const Take& take) const {
  const float* const numbers = numbers_.data() + row * layout_.numbers;
  const std::uint32_t* const codes = codes_.data() + row * layout_.dictionaries;
  for (const Encoding::OfColumn& column : encoding.columns) {
    if (!column.text) {
      if (numbers[column.slot] != 0) take(column.feature, numbers[column.slot]);
    } else if (codes[column.slot] != Dictionary::kMissing) {
      take(column.features[codes[column.slot]], 1.0F);
    }
  }
}

Dataset Table::encoded(const Encoding& encoding, Labelling labelling) const {
  const std::size_t cols = encoding.names.size();
  Array<std::uint64_t> offsets(rows_ + 1);
  offsets[0] = 0;
  for (std::size_t r = 0; r < rows_; ++r) {
    std::size_t stored = 0;
    encode_row(r, encoding, [&](std::size_t, float) { ++stored; });
    offsets[r + 1] = offsets[r] + stored;
  }
  if (form_of(options_.form, rows_, cols, offsets[rows_]) == Form::dense) {
    Array<float> values(dense_bytes(rows_, cols, options_.what) / sizeof(float));
    std::fill_n(values.data(), values.size(), 0.0F);
    for (std::size_t r = 0; r < rows_; ++r)
      encode_row(r, encoding,
                 [&](std::size_t feature, float value) { values[r * cols + feature] = value; });
    return dense_dataset(std::move(values), rows_, cols, std::move(labelling));
  }
  const auto sparse = [&]<class Index>(Array<Index> indices) {
    Array<float> values(indices.size());
    std::size_t at = 0;
    for (std::size_t r = 0; r < rows_; ++r)
      encode_row(r, encoding, [&](std::size_t feature, float value) {
        indices[at] = static_cast<Index>(feature);
        values[at++] = value;
      });
    return sparse_dataset(std::move(offsets), std::move(indices), std::move(values), cols,
                          std::move(labelling));
  };
  const std::size_t stored = offsets[rows_];
  return cols <= kNarrowCols ? sparse(Array<std::uint16_t>(stored))
                             : sparse(Array<std::uint32_t>(stored));
}

Labelling Table::labelling(Names names) {
  Labelling out;
  if (layout_.label) {
    const Column& column = layout_.columns[*layout_.label];
    if (layout_.header) names.label = column.name;
    if (column.kind == Column::Kind::label_text) {
      const Dictionary& texts = dictionaries_[column.slot];
      std::vector<std::int32_t> label_of(texts.size());
      for (const std::uint32_t i : sorted(texts)) {
        label_of[i] = static_cast<std::int32_t>(names.labels.size());
        names.labels.push_back(texts.text(i));
      }
      out.labels = Array<std::int32_t>(rows_);
      for (std::size_t r = 0; r < rows_; ++r)
        out.labels[r] = label_of[codes_[r * layout_.dictionaries + column.slot]];
    } else if (all_are_labels(labels_)) {
      out.labels = Array<std::int32_t>(rows_);
      for (std::size_t r = 0; r < rows_; ++r) out.labels[r] = static_cast<std::int32_t>(labels_[r]);
    } else {
      out.targets = Array<float>(rows_);
      for (std::size_t r = 0; r < rows_; ++r) out.targets[r] = static_cast<float>(labels_[r]);
    }
  }
  if (layout_.weight) {
    if (layout_.header) names.weight = layout_.columns[*layout_.weight].name;
    out.weights = std::move(weights_);
  }
  for (const auto* texts : {&names.features, &names.labels})
    for (const std::string& text : *texts)
      if (!is_utf8(text))
        fail(Code::data_corrupt,
             "{}: '{}' is not UTF-8 text: convert it, for instance with: iconv -f LATIN1 -t UTF-8 "
             "{}",
             options_.what, printable(text, 60),
             options_.what.substr(options_.what.rfind('/') + 1));
  if (names != Names()) out.names = std::make_shared<const Names>(std::move(names));
  return out;
}

Dataset Table::finish() && {
  Names names;
  fill_missing(names);
  Encoding encoded_as = encoding();
  if (encoded_as.names.size() + Dictionary::kMost > kMostNames)
    fail(Code::resource_exhausted, "{}: {} features with names are more than {}", options_.what,
         encoded_as.names.size(), kMostNames);
  // Columns without a header have no names, unless these tell categories apart.
  const bool has_texts = encoded_as.columns.size() != layout_.numbers;
  const bool known = options_.names && !options_.names->features.empty();
  if (!names.fills.empty()) {
    std::vector<float> fills(encoded_as.names.size(), 0.0F);
    for (const Encoding::OfColumn& column : encoded_as.columns)
      if (!column.text) fills[column.feature] = names.fills[column.slot];
    names.fills = std::move(fills);
  }
  if (layout_.header || has_texts || known || layout_.keeps_missing || !names.fills.empty())
    names.features = encoded_as.names;
  Labelling labels = labelling(std::move(names));
  const bool is_matrix = encoded_as.columns.size() == layout_.numbers;
  if (!is_matrix) return encoded(encoded_as, std::move(labels));
  const std::size_t cols = layout_.numbers;
  const auto nonzeros = static_cast<std::size_t>(std::count_if(
      numbers_.data(), numbers_.data() + numbers_.size(), [](float value) { return value != 0; }));
  const Dataset dense = dense_dataset(std::move(numbers_), rows_, cols, std::move(labels));
  return in_form(dense, form_of(options_.form, rows_, cols, nonzeros));
}

}  // namespace lambdaml::data::csv
