#include "lambdaml/model/scaling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"

namespace lambdaml::model {
namespace {

struct Moments {
  std::vector<double> mean;
  std::vector<double> deviation;
};

Moments moments_of(const data::Dataset& rows, double all_rows, comm::Communicator& communicator,
                   bool* all_binary) {
  const data::ColumnSums own = data::column_sums(rows);
  const std::size_t cols = own.sums.size();
  std::vector<double> numbers(own.sums);
  numbers.insert(numbers.end(), own.squares.begin(), own.squares.end());
  numbers.push_back(all_binary != nullptr && !data::is_binary(rows) ? 1 : 0);
  communicator.merge({{}, numbers}, comm::Meaning::state);
  if (all_binary != nullptr) *all_binary = numbers.back() == 0;
  Moments out{std::vector<double>(cols), std::vector<double>(cols)};
  for (std::size_t c = 0; c < cols; ++c) {
    out.mean[c] = numbers[c] / all_rows;
    const double mean_square = numbers[cols + c] / all_rows;
    const double variance = mean_square - out.mean[c] * out.mean[c];
    // What is left of a constant column is rounding.
    out.deviation[c] = variance > 1e-12 * mean_square ? std::sqrt(variance) : 0;
  }
  return out;
}

bool differ_in_scale(const Moments& moments) {
  double least = std::numeric_limits<double>::infinity(), most = 0, largest_mean = 0;
  for (std::size_t c = 0; c < moments.mean.size(); ++c) {
    if (moments.deviation[c] == 0) continue;
    least = std::min(least, moments.deviation[c]);
    most = std::max(most, moments.deviation[c]);
    largest_mean = std::max(largest_mean, std::abs(moments.mean[c]) / moments.deviation[c]);
  }
  return most > kMostRatio * least || largest_mean > kMostDistance;
}

/// A bias takes up what the centers add, unless there is none or it is penalized.
bool may_center(const Options& options) {
  const auto has = [&](const char* name) { return options.find(name) != nullptr; };
  return (!has("intercept") || options.flag("intercept")) &&
         (!has("intercept_scaling") || options.real("intercept_scaling") == 0);
}

data::Scaling standard(const Moments& moments, bool as_is) {
  data::Scaling out;
  for (std::size_t c = 0; c < moments.mean.size(); ++c) {
    out.center.push_back(as_is ? 0.0F : static_cast<float>(moments.mean[c]));
    out.factor.push_back(moments.deviation[c] > 0 ? static_cast<float>(1 / moments.deviation[c])
                                                  : 1.0F);
  }
  return out;
}

/// The largest of all workers' values. Floats that are not negative are ordered as their bits are:
/// four bits at a time, from the highest, each worker whose value begins with the bits found so far
/// marks its next ones, and the highest marked ones are those of the largest value.
std::vector<float> largest_of_all(const std::vector<float>& own, comm::Communicator& communicator) {
  constexpr unsigned kBits = 4, kMarks = 1U << kBits;
  std::vector<std::uint32_t> found(own.size());
  std::vector<double> marks(own.size() * kMarks);
  for (unsigned shift = 32; shift > 0;) {
    shift -= kBits;
    std::ranges::fill(marks, 0.0);
    for (std::size_t c = 0; c < own.size(); ++c) {
      const auto bits = std::bit_cast<std::uint32_t>(own[c]);
      const bool is_candidate = shift + kBits == 32 || bits >> (shift + kBits) == found[c];
      if (is_candidate) marks[c * kMarks + ((bits >> shift) & (kMarks - 1))] = 1;
    }
    communicator.merge({{}, marks}, comm::Meaning::state);
    for (std::size_t c = 0; c < own.size(); ++c) {
      unsigned highest = kMarks - 1;
      while (highest > 0 && marks[c * kMarks + highest] == 0) --highest;
      found[c] = found[c] << kBits | highest;
    }
  }
  std::vector<float> out;
  for (const std::uint32_t bits : found) out.push_back(std::bit_cast<float>(bits));
  return out;
}

data::Scaling by_largest(const std::vector<float>& largest) {
  data::Scaling out{std::vector<float>(largest.size()), {}};
  for (const float value : largest) out.factor.push_back(value > 0 ? 1 / value : 1.0F);
  return out;
}

}  // namespace

void Model::unscale(const data::Scaling&, std::span<float>) const {
  fail(Code::internal, "this model cannot undo a scaling of its columns");
}

void Model::scale(const data::Scaling&, std::span<float>) const {
  fail(Code::internal, "this model cannot be brought to scaled columns");
}

Option scale_option() {
  return {.name = "scale",
          .default_value = std::string("none"),
          .help =
              "columns are brought to one scale for training, and the model is saved for rows "
              "as they are; new jobs have auto, which is standard for dense columns of "
              "different scales",
          .choices = {"auto", "standard", "maxabs", "none"}};
}

bool may_scale(const Options& options, bool sparse) {
  const std::string& how = options.text("scale");
  return how != "none" && !(how == "auto" && sparse);
}

data::Scaling choose_scaling(const Options& options, const data::Dataset& rows, bool sparse,
                             double all_rows, comm::Communicator& communicator) {
  if (!may_scale(options, sparse)) return {};
  const std::string& how = options.text("scale");
  if (how == "maxabs")
    return by_largest(largest_of_all(data::largest_absolutes(rows), communicator));
  bool all_binary = false;
  const Moments moments = moments_of(rows, all_rows, communicator, &all_binary);
  if (how == "auto" && (all_binary || !differ_in_scale(moments))) return {};
  log::info("columns are standardized");
  return standard(moments, sparse || !may_center(options));
}

}  // namespace lambdaml::model
