#include "lambdaml/data/synthetic.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/pixels/images.h"

/// Uses only additions, multiplications, divisions and square roots, which IEEE 754 rounds
/// identically on every machine; no logarithm or sine, which differ between C libraries. For the
/// same reason this file is compiled without contraction to fused multiply-adds.
namespace lambdaml::data {
namespace {

/// Rows that share a random stream, so that rows do not depend on the number of threads.
constexpr std::size_t kBlockRows = 1024;
constexpr std::uint64_t kMaxFeatures = std::uint64_t{1} << 31;

/// Approximately standard normal: the sum of 12 uniform numbers (of 16 bits) minus its mean, 6.
/// Mean 0 and variance 1 are exact up to 2^-32; the tails end at ±6.
double nearly_normal(Rng& rng) {
  std::uint64_t sum = 0;
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t four = rng.next();
    sum += (four & 0xffff) + (four >> 16 & 0xffff) + (four >> 32 & 0xffff) + (four >> 48);
  }
  return (static_cast<double>(sum) - (6 * 65536.0 - 6)) / 65536.0;
}

/// Half the sum of two squared normals, which has the exponential distribution of mean 1.
double nearly_exponential(Rng& rng) {
  const double a = nearly_normal(rng);
  const double b = nearly_normal(rng);
  return (a * a + b * b) / 2;
}

/// The float nearest to `value` rounded to six significant digits.
float six_digits(double value) {
  static constexpr std::array<double, 12> kTens = {1,   1e1, 1e2, 1e3, 1e4,  1e5,
                                                   1e6, 1e7, 1e8, 1e9, 1e10, 1e11};
  const double size = std::fabs(value);
  if (size >= 1e6) return static_cast<float>(std::round(value));
  std::size_t places = 0;
  while (places < 11 && size * kTens[places] < 1e5) ++places;
  return static_cast<float>(std::round(value * kTens[places]) / kTens[places]);
}

/// Calls body(rng, row) for all rows, a stream of random numbers per block.
void for_rows(std::uint64_t rows, std::uint64_t seed, std::size_t threads,
              const std::function<void(Rng&, std::size_t, std::size_t)>& body) {
  const std::size_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  parallel_for(blocks, threads, [&](std::size_t b) {
    Rng rng(mix({seed, b}));
    body(rng, b * kBlockRows, std::min<std::size_t>(rows, (b + 1) * kBlockRows));
  });
}

Dataset higgs(const SyntheticOptions& options, std::size_t threads) {
  const std::size_t cols = options.features != 0 ? options.features : 28;
  const double noise = options.noise < 0 ? 0.3 : options.noise;
  Array<float> values(dense_bytes(options.rows, cols, "higgs data") / sizeof(float));
  Array<std::int32_t> labels(options.rows);

  // The labelling rule has a weight per feature. As in HIGGS, a third of the features are momenta
  // (positive, with a long tail) and the rest are centred.
  std::vector<double> weights(cols);
  Rng rule(mix({options.seed, 0x72756c65}));
  for (double& weight : weights) weight = nearly_normal(rule);
  for_rows(options.rows, options.seed, threads, [&](Rng& rng, std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      double margin = 0;
      for (std::size_t c = 0; c < cols; ++c) {
        const bool momentum = c % 3 == 0;
        const float value = six_digits(momentum ? nearly_exponential(rng) : nearly_normal(rng));
        values[r * cols + c] = value;
        margin += weights[c] * (momentum ? value - 1.0 : value);
      }
      const bool flipped = rng.uniform() < noise;
      labels[r] = (margin > 0) != flipped ? 1 : 0;
    }
  });
  return dense_dataset(std::move(values), options.rows, cols, std::move(labels));
}

Dataset blobs(const SyntheticOptions& options, std::size_t threads) {
  const std::size_t cols = options.features != 0 ? options.features : 28;
  const std::size_t clusters = options.clusters != 0 ? options.clusters : 10;
  const double deviation = options.noise < 0 ? 1 : options.noise;
  Array<float> values(dense_bytes(options.rows, cols, "blobs data") / sizeof(float));
  Array<std::int32_t> labels(options.rows);
  std::vector<double> centres(dense_bytes(clusters, cols, "blobs' centres") / sizeof(float));
  Rng places(mix({options.seed, 0x626c6f62}));
  for (double& centre : centres) centre = places.uniform(-10, 10);
  for_rows(options.rows, options.seed, threads, [&](Rng& rng, std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      const std::size_t cluster = rng.below(clusters);
      labels[r] = static_cast<std::int32_t>(cluster);
      for (std::size_t c = 0; c < cols; ++c)
        values[r * cols + c] =
            six_digits(centres[cluster * cols + c] + deviation * nearly_normal(rng));
    }
  });
  return dense_dataset(std::move(values), options.rows, cols, std::move(labels));
}

/// Draws features with probability proportional to 1 / (rank + 10), like words of a language.
class Zipf {
 public:
  explicit Zipf(std::size_t features) : upto_(features) {
    double sum = 0;
    for (std::size_t f = 0; f < features; ++f)
      upto_[f] = sum += 1.0 / (static_cast<double>(f) + 10);
    // Maps the first bits of a draw to the range that contains its feature.
    begin_.resize(kSlots + 1);
    std::size_t f = 0;
    for (std::size_t s = 0; s < kSlots; ++s) {
      while (upto_[f] <= sum * static_cast<double>(s) / kSlots) ++f;
      begin_[s] = static_cast<std::uint32_t>(f);
    }
    begin_[kSlots] = static_cast<std::uint32_t>(features - 1);
  }

  std::uint32_t draw(Rng& rng) const {
    const double u = rng.uniform();
    const auto slot = static_cast<std::size_t>(u * kSlots);
    const auto first = upto_.begin() + begin_[slot];
    const auto last = upto_.begin() + begin_[slot + 1];
    return static_cast<std::uint32_t>(std::upper_bound(first, last, u * upto_.back()) -
                                      upto_.begin());
  }

 private:
  static constexpr std::size_t kSlots = 65536;
  std::vector<double> upto_;
  std::vector<std::uint32_t> begin_;
};

/// The rows of one block.
struct SparseRows {
  std::vector<std::uint32_t> indices;
  std::vector<float> values;
  std::vector<std::size_t> counts;
  std::vector<std::int32_t> labels;
};

void draw_sparse_row(Rng& rng, const Zipf& zipf, std::size_t count, std::uint64_t seed,
                     double noise, std::vector<bool>& taken, SparseRows& out) {
  const std::size_t begin = out.indices.size();
  while (out.indices.size() < begin + count) {
    const std::uint32_t feature = zipf.draw(rng);
    if (taken[feature]) continue;
    taken[feature] = true;
    out.indices.push_back(feature);
  }
  std::sort(out.indices.begin() + static_cast<std::ptrdiff_t>(begin), out.indices.end());
  std::vector<double> weights(count);
  double squares = 0;
  double margin = 0;
  for (std::size_t k = 0; k < count; ++k) {
    const std::uint32_t feature = out.indices[begin + k];
    taken[feature] = false;
    // Rare words have larger weights (as in tf–idf).
    const double rarity = std::sqrt(std::sqrt(static_cast<double>(feature) + 10));
    weights[k] = rarity * (0.5 + rng.uniform());
    squares += weights[k] * weights[k];
    const double opinion = static_cast<double>(mix({seed, feature}) >> 11) * 0x1.0p-52 - 1;
    margin += weights[k] * opinion;
  }
  const double norm = std::sqrt(squares);
  for (const double weight : weights) out.values.push_back(six_digits(weight / norm));
  out.counts.push_back(count);
  const bool flipped = rng.uniform() < noise;
  out.labels.push_back((margin > 0) != flipped ? 1 : -1);
}

template <class Index>
Dataset join_blocks(const std::vector<SparseRows>& blocks, std::size_t rows, std::size_t cols) {
  std::size_t stored = 0;
  for (const SparseRows& block : blocks) stored += block.indices.size();
  Array<std::uint64_t> offsets(rows + 1);
  Array<Index> indices(stored);
  Array<float> values(stored);
  Array<std::int32_t> labels(rows);
  offsets[0] = 0;
  std::size_t r = 0;
  std::size_t at = 0;
  for (const SparseRows& block : blocks) {
    std::transform(block.indices.begin(), block.indices.end(), indices.data() + at,
                   [](std::uint32_t index) { return static_cast<Index>(index); });
    std::copy(block.values.begin(), block.values.end(), values.data() + at);
    std::copy(block.labels.begin(), block.labels.end(), labels.data() + r);
    at += block.indices.size();
    for (const std::size_t count : block.counts) {
      offsets[r + 1] = offsets[r] + count;
      ++r;
    }
  }
  return sparse_dataset(std::move(offsets), std::move(indices), std::move(values), cols,
                        std::move(labels));
}

Dataset rcv1(const SyntheticOptions& options, std::size_t threads) {
  const std::size_t cols = options.features != 0 ? options.features : 47236;
  const std::size_t nonzeros = options.nonzeros != 0 ? options.nonzeros : 75;
  const double noise = options.noise < 0 ? 0.05 : options.noise;
  if (nonzeros > cols / 2)
    fail(Code::invalid_argument,
         "rcv1 data: {} values a row are more than half of the {} features; use `higgs` for dense "
         "data",
         nonzeros, cols);
  const Zipf zipf(cols);
  std::vector<SparseRows> blocks((options.rows + kBlockRows - 1) / kBlockRows);
  for_rows(options.rows, options.seed, threads, [&](Rng& rng, std::size_t begin, std::size_t end) {
    SparseRows& block = blocks[begin / kBlockRows];
    std::vector<bool> taken(cols);
    for (std::size_t r = begin; r < end; ++r) {
      // Between half and one and a half times the mean, which remains `nonzeros`.
      const std::size_t spread = nonzeros / 2;
      const std::size_t count = nonzeros - spread + rng.below(2 * spread + 1);
      draw_sparse_row(rng, zipf, count, options.seed, noise, taken, block);
    }
  });
  if (cols <= kNarrowCols) return join_blocks<std::uint16_t>(blocks, options.rows, cols);
  return join_blocks<std::uint32_t>(blocks, options.rows, cols);
}

/// Each class has its own picture of coarse blocks of colour; an image is a shifted, noisy and
/// possibly mirrored copy of it.
Dataset cifar10(const SyntheticOptions& options, std::size_t threads) {
  constexpr std::size_t kClasses = 10;
  constexpr std::size_t kBlock = 8;  // pixels
  constexpr std::size_t kBlocks = kImageSide / kBlock;
  const double noise = options.noise < 0 ? 0 : options.noise;
  if (options.features != 0 && options.features != kImageValues)
    fail(Code::invalid_argument, "cifar10 data: an image has {} features, not {}", kImageValues,
         options.features);
  Array<float> values(dense_bytes(options.rows, kImageValues, "cifar10 data") / sizeof(float));
  Array<std::int32_t> labels(options.rows);
  std::array<std::uint8_t, kClasses * kImageColours * kBlocks * kBlocks> pictures{};
  Rng painter(mix({options.seed, 0x7061696e74}));
  for (std::uint8_t& value : pictures) value = static_cast<std::uint8_t>(painter.below(256));
  for_rows(options.rows, options.seed, threads, [&](Rng& rng, std::size_t begin, std::size_t end) {
    for (std::size_t r = begin; r < end; ++r) {
      const std::uint64_t c = rng.below(kClasses);
      const std::uint64_t down = rng.below(kBlock / 2);
      const std::uint64_t right = rng.below(kBlock / 2);
      const bool mirrored = rng.below(2) == 1;
      const bool flipped = rng.uniform() < noise;
      labels[r] = static_cast<std::int32_t>(flipped ? rng.below(kClasses) : c);
      for (std::size_t i = 0; i < kImageValues; ++i) {
        const std::size_t y = (i % kImagePixels / kImageSide + down) / kBlock % kBlocks;
        const std::size_t across = mirrored ? kImageSide - 1 - i % kImageSide : i % kImageSide;
        const std::size_t x = (across + right) / kBlock % kBlocks;
        const std::size_t colour = i / kImagePixels;
        const int picture = pictures[((c * kImageColours + colour) * kBlocks + y) * kBlocks + x];
        const int value = picture + static_cast<int>(rng.below(65)) - 32;
        values[r * kImageValues + i] = static_cast<float>(std::clamp(value, 0, 255));
      }
    }
  });
  return dense_dataset(std::move(values), options.rows, kImageValues, std::move(labels));
}

}  // namespace

std::vector<std::string> synthetic_kinds() { return {"higgs", "rcv1", "blobs", "cifar10"}; }

Dataset synthesize(const SyntheticOptions& options, std::size_t threads) {
  const std::string& kind = options.kind;
  const std::vector<std::string> kinds = synthetic_kinds();
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
    fail(Code::invalid_argument, "unknown kind of synthetic data '{}'{}", printable(kind),
         did_you_mean(kind, synthetic_kinds()));
  if (options.rows == 0)
    fail(Code::invalid_argument, "{} data: the number of rows must be at least 1", kind);
  if (options.rows >= std::uint64_t{1} << 40)
    fail(Code::invalid_argument, "{} data: {} rows are too many", kind, options.rows);
  if (options.features > kMaxFeatures)
    fail(Code::invalid_argument, "{} data: {} features are more than 2^31", kind, options.features);
  if (options.clusters > kMaxFeatures)
    fail(Code::invalid_argument, "{} data: {} clusters are more than 2^31", kind, options.clusters);
  if (std::isnan(options.noise) || std::isinf(options.noise))
    fail(Code::invalid_argument, "{} data: the noise must be a number", kind);
  if (kind == "blobs") return blobs(options, threads);
  if (options.noise > 1)
    fail(Code::invalid_argument, "{} data: the noise is a share of the labels, from 0 to 1, not {}",
         kind, options.noise);
  if (kind == "cifar10") return cifar10(options, threads);
  return kind == "higgs" ? higgs(options, threads) : rcv1(options, threads);
}

}  // namespace lambdaml::data
