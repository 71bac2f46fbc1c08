#include "lambdaml/data/libsvm/write.h"

#include <charconv>

#include "lambdaml/data/array.h"

namespace lambdaml::data::libsvm {
namespace {

/// The longest texts: a target "-1.17549435e-38\n", an entry " 2147483648:-1.17549435e-38".
constexpr std::size_t kLabelChars = 18;
constexpr std::size_t kEntryChars = 27;

class Writer {
 public:
  explicit Writer(const Dataset& dataset) : dataset_(dataset) {}

  void row(std::size_t r, const tensor::DenseView& dense) {
    begin(r, dense.cols);
    const float* const values = dense.data + r * dense.cols;
    for (std::size_t c = 0; c < dense.cols; ++c) entry(c, values[c]);
    end();
  }

  template <class Index>
  void row(std::size_t r, const tensor::CsrView<Index>& csr) {
    begin(r, csr.offsets[r + 1] - csr.offsets[r]);
    for (std::uint64_t k = csr.offsets[r]; k < csr.offsets[r + 1]; ++k)
      entry(csr.indices[k], csr.values[k]);
    end();
  }

  Buffer take() {
    Buffer out(as_bytes({text_.data(), used_}));
    return out;
  }

 private:
  void begin(std::size_t r, std::size_t entries) {
    const std::size_t most = kLabelChars + kEntryChars * entries;
    if (text_.size() < used_ + most) text_.extend(used_ + most - text_.size());
    at_ = text_.data() + used_;
    first_ = dataset_.labels.empty() && dataset_.targets.empty();
    if (!dataset_.targets.empty())
      at_ = std::to_chars(at_, at_ + kLabelChars, dataset_.targets[r]).ptr;
    else if (!first_)
      at_ = std::to_chars(at_, at_ + kLabelChars, dataset_.labels[r]).ptr;
  }
  void entry(std::size_t index, float value) {
    if (!first_) *at_++ = ' ';
    first_ = false;
    at_ = std::to_chars(at_, at_ + 10, index + 1).ptr;
    *at_++ = ':';
    at_ = std::to_chars(at_, at_ + 16, value).ptr;
  }
  void end() {
    *at_++ = '\n';
    used_ = static_cast<std::size_t>(at_ - text_.data());
  }

  const Dataset& dataset_;
  Array<char> text_;
  std::size_t used_ = 0;
  char* at_ = nullptr;
  bool first_ = false;
};

}  // namespace

Buffer write(const Dataset& dataset) {
  require_features(dataset, "writing LIBSVM text");
  Writer writer(dataset);
  std::visit(
      [&](const auto& view) {
        for (std::size_t r = 0; r < view.rows; ++r) writer.row(r, view);
      },
      dataset.features);
  return writer.take();
}

}  // namespace lambdaml::data::libsvm
