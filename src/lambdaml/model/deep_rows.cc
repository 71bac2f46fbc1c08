#include "lambdaml/model/deep_rows.h"

#include <algorithm>
#include <cstring>
#include <variant>

#include "lambdaml/base/error.h"
#include "lambdaml/data/pixels/images.h"
#include "lambdaml/tensor/half.h"

namespace lambdaml::model {
namespace {

using data::Element;

const std::vector<std::size_t> kCifarShape = {data::kImageColours, data::kImageSide,
                                              data::kImageSide};

/// Row i, dense; uses `scratch` if it is stored sparse.
std::span<const float> row_of(const tensor::MatrixView& view, std::size_t i,
                              std::vector<float>& scratch) {
  if (const auto* dense = std::get_if<tensor::DenseView>(&view)) return dense->row(i);
  const auto spread = [&](const auto& csr) {
    scratch.assign(csr.cols, 0.0F);
    for (std::uint64_t k = csr.offsets[i]; k < csr.offsets[i + 1]; ++k)
      scratch[csr.indices[k]] = csr.values[k];
  };
  if (const auto* narrow = std::get_if<tensor::Csr16>(&view))
    spread(*narrow);
  else
    spread(std::get<tensor::Csr32>(view));
  return scratch;
}

template <class T>
T number_at(const std::byte* values, std::size_t i) {
  T value;
  std::memcpy(&value, values + i * sizeof(T), sizeof(T));
  return value;
}

/// Calls visit(i, number) for each number of so many rows.
template <class Visit>
void for_numbers(const data::Tensor& tensor, std::size_t rows, const Visit& visit) {
  const std::size_t n = rows * tensor.row_numbers();
  const auto all = [&]<class T>(T) {
    for (std::size_t i = 0; i < n; ++i) visit(i, number_at<T>(tensor.values, i));
  };
  switch (tensor.element) {
    case Element::float32:
      return all(float());
    case Element::float16:
      for (std::size_t i = 0; i < n; ++i)
        visit(i, tensor::half_to_float(number_at<std::uint16_t>(tensor.values, i)));
      return;
    case Element::int64:
      return all(std::int64_t());
    case Element::int32:
      return all(std::int32_t());
    case Element::uint8:
      return all(std::uint8_t());
  }
}

const std::byte* bytes_of(const void* values) { return static_cast<const std::byte*>(values); }

}  // namespace

DeepRows::DeepRows(const Shape& shape, Loss loss, Augment augment) : augment_(augment) {
  if (shape.inputs.empty()) {
    const bool is_image = shape.features == data::kImageValues;
    const data::TensorShape features{"features", Element::float32, {shape.features}};
    if (is_image)
      made_.push_back({features, {"image", Element::float32, kCifarShape}, Form::image});
    else
      made_.push_back({features, features, Form::features});
  }
  for (const data::TensorShape& input : shape.inputs) {
    Made made{input, input, Form::as_it_is};
    if (input.element == Element::float16)
      made.form = Form::widened;
    else if (input.element == Element::uint8 && input.name == "image")
      made.form = input.shape == kCifarShape ? Form::image : Form::scaled;
    if (made.form != Form::as_it_is) made.to.element = Element::float32;
    made_.push_back(std::move(made));
  }
  set_normalization("");
  target_ = shape.target.value_or(data::TensorShape{"target", Element::float32, {}});
  target_.element = loss == Loss::cross_entropy || (loss == Loss::module && shape.has_integers())
                        ? Element::int64
                        : Element::float32;
}

std::vector<data::TensorShape> DeepRows::inputs() const {
  std::vector<data::TensorShape> out;
  for (const Made& made : made_) out.push_back(made.to);
  return out;
}

data::TensorShape DeepRows::target() const { return target_; }

void DeepRows::set_normalization(const std::string& option) {
  learns_normalization_ = data::is_automatic(option);
  for (Made& made : made_)
    if (made.form == Form::image || made.form == Form::scaled)
      made.normalization =
          data::normalization_of(learns_normalization_ ? "" : option, made.to.shape);
}

std::vector<Model::Piece> DeepRows::normalization_pieces() const {
  std::vector<Model::Piece> out;
  for (const Made& made : made_) {
    const std::size_t channels = made.normalization.channels();
    if (!learns_normalization_ || channels == 0) continue;
    out.push_back({"lambdaml.mean." + made.to.name, {channels}});
    out.push_back({"lambdaml.deviation." + made.to.name, {channels}});
  }
  return out;
}

std::vector<double> DeepRows::normalization_sums(const Batch& rows) const {
  std::vector<double> out;
  std::vector<float> scratch;
  for (std::size_t t = 0; t < made_.size(); ++t) {
    const std::size_t channels = made_[t].normalization.channels();
    if (channels == 0) continue;
    std::vector<double> sums(2 * channels + 1);
    if (!rows.tensors.empty()) {
      sums = data::channel_sums(rows.tensors.at(t), rows.rows());
    } else {
      for (std::size_t r = 0; r < rows.rows(); ++r) {
        const std::vector<double> more = data::channel_sums(row_of(rows.features, r, scratch),
                                                            channels, made_[t].to.row_numbers());
        for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += more[i];
      }
    }
    out.insert(out.end(), sums.begin(), sums.end());
  }
  return out;
}

std::vector<float> DeepRows::normalization_from(std::span<const double> sums) const {
  std::vector<float> out;
  for (const Made& made : made_) {
    const std::size_t count = 2 * made.normalization.channels() + 1;
    if (count == 1) continue;
    const data::Normalization found = data::normalization_from(sums.first(count));
    out.insert(out.end(), found.mean.begin(), found.mean.end());
    out.insert(out.end(), found.deviation.begin(), found.deviation.end());
    sums = sums.subspan(count);
  }
  return out;
}

void DeepRows::use_normalization(std::span<const float> values) {
  for (Made& made : made_) {
    const std::size_t channels = made.normalization.channels();
    std::ranges::copy(values.first(channels), made.normalization.mean.begin());
    std::ranges::copy(values.subspan(channels, channels), made.normalization.deviation.begin());
    values = values.subspan(2 * channels);
  }
}

void DeepRows::prepare(const Batch& batch, bool vary, DeepBatch& out) const {
  out.batch = batch;
  out.inputs.clear();
  out.floats.resize(made_.size() + 1);
  for (std::size_t t = 0; t < made_.size(); ++t) prepare_input(made_[t], t, batch, vary, out);
  prepare_target(batch, out);
}

std::optional<data::Variation> DeepRows::variation_of(const Made& made) const {
  const bool is_image =
      made.form == Form::image || (made.form == Form::scaled && made.to.shape.size() == 3);
  const bool is_for_cifar = augment_ == Augment::automatic || augment_ == Augment::light;
  if (augment_ == Augment::none || !is_image || (is_for_cifar && made.form != Form::image))
    return {};
  return data::Variation{.shifts = augment_ != Augment::mirror && augment_ != Augment::light,
                         .mirrors = augment_ != Augment::shift};
}

void DeepRows::prepare_input(const Made& made, std::size_t t, const Batch& batch, bool vary,
                             DeepBatch& out) const {
  const std::size_t rows = batch.rows();
  const data::Tensor* const from = batch.tensors.empty() ? nullptr : &batch.tensors.at(t);
  Input input{{made.to, nullptr}};
  std::vector<float>& floats = out.floats[t];
  const std::size_t numbers = made.to.row_numbers();
  std::vector<float> scratch;
  const auto* const dense = std::get_if<tensor::DenseView>(&batch.features);
  if (made.form == Form::as_it_is) {
    input.tensor.values = from->values;
  } else if (made.form == Form::features && dense != nullptr) {
    input.tensor.values = bytes_of(dense->data);  // rows lie one behind the other
  } else {
    floats.resize(rows * numbers);
    input.tensor.values = bytes_of(floats.data());
  }
  if (made.form == Form::features && dense == nullptr)
    for (std::size_t i = 0; i < rows; ++i)
      std::ranges::copy(row_of(batch.features, i, scratch),
                        floats.begin() + static_cast<std::ptrdiff_t>(i * numbers));
  const std::optional<data::Variation> variation = vary ? variation_of(made) : std::nullopt;
  if (made.form == Form::scaled && !variation)
    for (std::size_t i = 0; i < rows * numbers; ++i) {
      const std::size_t c = i % numbers / (numbers / made.normalization.channels());
      const auto value = static_cast<float>(std::to_integer<int>(from->values[i])) / 255;
      floats[i] = (value - made.normalization.mean[c]) / made.normalization.deviation[c];
    }
  if (made.form == Form::widened)
    for_numbers(*from, rows,
                [&](std::size_t i, auto number) { floats[i] = static_cast<float>(number); });
  if (made.form == Form::image || variation) {
    const data::ImageShape shape{made.to.shape[0], made.to.shape[1], made.to.shape[2]};
    input.pixel_by_pixel = true;
    for (std::size_t i = 0; i < rows; ++i) {
      const std::span<float> to = std::span(floats).subspan(i * numbers, numbers);
      const auto prepare = [&](auto pixels) {
        if (variation)
          data::vary_image(pixels, shape, made.normalization, *variation, batch.draws.of(i), to);
        else
          data::normalize_image(pixels, shape, made.normalization, to);
      };
      if (from != nullptr)
        prepare(std::span<const std::byte>(from->row(i), numbers));
      else
        prepare(row_of(batch.features, i, scratch));
    }
  }
  out.inputs.push_back(std::move(input));
}

void DeepRows::take_integers(const data::Tensor& from, std::size_t rows, DeepBatch& out) const {
  const std::size_t per_row = from.row_numbers();
  out.integers.resize(rows * per_row);
  for_numbers(from, rows, [&](std::size_t i, auto number) {
    const auto value = static_cast<std::int64_t>(number);
    if (classes_ > 0 && (value < 0 || value >= static_cast<std::int64_t>(classes_)) &&
        value != ignored_)
      fail(Code::invalid_argument,
           "the target '{}' has the class number {} where the module gives logits of {} classes, "
           "0 to {}; --ignore-index N says that N is no target",
           from.name, value, classes_, classes_ - 1);
    out.integers[i] = value;
  });
}

void DeepRows::prepare_target(const Batch& batch, DeepBatch& out) const {
  out.target.reset();
  const std::size_t rows = batch.rows();
  if (!batch.target && batch.targets.empty()) return;
  out.target = data::Tensor{target_, nullptr};
  std::vector<float>& floats = out.floats.back();
  if (target_.element == Element::int64) {
    if (batch.target)
      take_integers(*batch.target, rows, out);
    else
      out.integers.assign(batch.targets.begin(), batch.targets.end());
    out.target->values = bytes_of(out.integers.data());
  } else if (!batch.target) {
    out.target->values = bytes_of(batch.targets.data());
  } else if (batch.target->element == Element::float32) {
    out.target->values = batch.target->values;
  } else {
    floats.resize(rows * target_.row_numbers());
    for_numbers(*batch.target, rows,
                [&](std::size_t i, auto number) { floats[i] = static_cast<float>(number); });
    out.target->values = bytes_of(floats.data());
  }
}

}  // namespace lambdaml::model
