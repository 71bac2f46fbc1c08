// One pass of k-means; included by kernels_impl.h.
//
// The nearest centroid is the one with the least ½‖c‖² − ⟨x, c⟩. Dense rows go in blocks of
// kPoints, turned so that each lane holds a point: then nothing is summed or compared across lanes.
// Sparse rows go one by one against the turned centroids, each lane holding a centroid.
//
// The sums of a cluster are doubles. In float, a constant of 0.2 summed over 4.5 million rows is 4
// % off, because every addition is rounded the same way, and a sum of ones stops growing at 2^24. A
// float sum of n such values is wrong by at most n · 2^-25.6 of itself: where it is faster to add
// floats, they are folded into the doubles after some tens of rows.
#pragma once

#include <utility>

namespace lambdaml::tensor {
namespace {

constexpr std::size_t kPoints = 2 * kWidth;  // two vectors of points share each centroid's number
constexpr std::size_t kFeatures = 64;        // turned at once
constexpr std::size_t kGroup = 64;           // centroids whose scores are kept between features
constexpr std::size_t kTogether = 6;         // centroids whose scores are in registers

constexpr std::size_t kFold = 32;  // points of a float sum before it is folded

constexpr std::size_t kLine = 64;  // bytes of a cache line

struct Scores {
  float of[kGroup][kPoints];
};
struct Turned {
  float feature[kFeatures][kPoints];
};
struct Best {
  F score[2];
  F id[2];  // as floats: exact below 2^24
};

/// turned.feature[f][p] = feature begin + f of point p; beyond `count` points, the last point
/// repeats.
inline void turn(const float* x, std::size_t count, std::size_t d, std::size_t begin,
                 std::size_t features, Turned& turned) {
  for (std::size_t half = 0; half < 2; ++half) {
    const float* rows[kWidth];
    for (std::size_t p = 0; p < kWidth; ++p) {
      const std::size_t point = half * kWidth + p;
      rows[p] = x + (point < count ? point : count - 1) * d + begin;
    }
    float* out = turned.feature[0] + half * kWidth;
    std::size_t f = 0;
    for (; f + 4 <= features; f += 4) transpose4(rows, f, out + f * kPoints, kPoints);
    for (; f < features; ++f)
      for (std::size_t p = 0; p < kWidth; ++p) out[f * kPoints + p] = rows[p][f];
  }
}

/// Adds `features` more features to the scores of J centroids from j on; after the last features,
/// compares the scores with the best so far. Only strictly smaller scores win, so the lowest id is
/// kept among equals.
template <std::size_t J>
void score(const Turned& turned, const CentroidTable& c, std::size_t j, std::size_t begin,
           std::size_t features, float (*scores)[kPoints], Best& best, const char* ahead) {
  F s[J][2];
  for (std::size_t u = 0; u < J; ++u)
    for (std::size_t h = 0; h < 2; ++h)
      s[u][h] = begin == 0 ? broadcast(c.half_squared[j + u]) : load(scores[u] + h * kWidth);
  const float* centroid = c.transposed + begin * c.padded_k + j;
  for (std::size_t f = 0; f < features; ++f, centroid += c.padded_k) {
    __builtin_prefetch(ahead + f * kLine, 0, 2);
    const F x0 = load(turned.feature[f]);
    const F x1 = load(turned.feature[f] + kWidth);
    for (std::size_t u = 0; u < J; ++u) {
      const F value = broadcast(centroid[u]);
      s[u][0] = fnma(x0, value, s[u][0]);
      s[u][1] = fnma(x1, value, s[u][1]);
    }
  }
  if (begin + features < c.d) {
    for (std::size_t u = 0; u < J; ++u)
      for (std::size_t h = 0; h < 2; ++h) store(scores[u] + h * kWidth, s[u][h]);
    return;
  }
  for (std::size_t u = 0; u < J; ++u)
    for (std::size_t h = 0; h < 2; ++h) {
      const auto nearer = s[u][h] < best.score[h];
      best.score[h] = nearer ? s[u][h] : best.score[h];
      best.id[h] = nearer ? broadcast(static_cast<float>(j + u)) : best.id[h];
    }
}

inline void score_some(std::size_t together, const Turned& turned, const CentroidTable& c,
                       std::size_t j, std::size_t begin, std::size_t features,
                       float (*scores)[kPoints], Best& best, const char* ahead) {
  switch (together) {
    case 1:
      return score<1>(turned, c, j, begin, features, scores, best, ahead);
    case 2:
      return score<2>(turned, c, j, begin, features, scores, best, ahead);
    case 3:
      return score<3>(turned, c, j, begin, features, scores, best, ahead);
    case 4:
      return score<4>(turned, c, j, begin, features, scores, best, ahead);
    case 5:
      return score<5>(turned, c, j, begin, features, scores, best, ahead);
    default:
      return score<kTogether>(turned, c, j, begin, features, scores, best, ahead);
  }
}

/// The ids of the nearest centroids of `count` ≤ kPoints points; `nearest` has room for kPoints.
void nearest_of_points(const float* x, std::size_t count, const CentroidTable& c,
                       std::uint32_t* nearest) {
  alignas(64) Turned turned;
  alignas(64) Scores scores;
  // Prefetches the next rows line by line between the sums: all at once would fill the memory queue
  // and block the loads behind them.
  const char* ahead = reinterpret_cast<const char*>(x) + kDenseAhead;
  const char* const ahead_end = ahead + count * c.d * sizeof(float);
  Best best;
  for (std::size_t h = 0; h < 2; ++h) {
    best.score[h] = broadcast(__builtin_inff());
    best.id[h] = F{};  // kept if every score is a NaN
  }
  for (std::size_t group = 0; group < c.k; group += kGroup) {
    const std::size_t group_end = c.k - group < kGroup ? c.k : group + kGroup;
    std::size_t begin = 0;
    do {
      const std::size_t features = c.d - begin < kFeatures ? c.d - begin : kFeatures;
      if (group == 0 || c.d > kFeatures) turn(x, count, c.d, begin, features, turned);
      for (std::size_t j = group; j < group_end;) {
        // Even blocks: 10 centroids are processed as 5 and 5, not as 6 and 4.
        const std::size_t blocks = (group_end - j + kTogether - 1) / kTogether;
        const std::size_t together = (group_end - j + blocks - 1) / blocks;
        score_some(together, turned, c, j, begin, features, scores.of + (j - group), best, ahead);
        if (ahead < ahead_end) ahead += features * kLine;
        j += together;
      }
      begin += features;
    } while (begin < c.d);
  }
  for (std::size_t h = 0; h < 2; ++h)
    store(nearest + h * kWidth, __builtin_convertvector(best.id[h], I));
}

/// Squared distances of n ≤ kWidth points of V vectors to their centroids, one per lane. Adds the
/// points to `sums` unless that is null.
template <std::size_t V>
F settle_points(const float* x, std::size_t n, const CentroidTable& c, const std::uint32_t* nearest,
                float* sums) {
  const First tail(c.d - (V - 1) * kWidth);
  F squares[kWidth];
  for (std::size_t p = n; p < kWidth; ++p) squares[p] = F{};
  for (std::size_t p = 0; p < n; ++p) {
    const float* point = x + p * c.d;
    const float* centroid = c.rows + nearest[p] * c.d;
    float* sum = sums == nullptr ? nullptr : sums + nearest[p] * c.d;
    const F last = load(point + (V - 1) * kWidth, tail);
    const F last_difference = last - load(centroid + (V - 1) * kWidth, tail);
    F square = last_difference * last_difference;
    for (std::size_t v = 0; v + 1 < V; ++v) {
      const F value = load(point + v * kWidth);
      const F difference = value - load(centroid + v * kWidth);
      square = fma(difference, difference, square);
      if (sum != nullptr) store(sum + v * kWidth, load(sum + v * kWidth) + value);
    }
    squares[p] = square;
    if (sum == nullptr) continue;
    float* last_sum = sum + (V - 1) * kWidth;
    store(last_sum, tail, load(last_sum, tail) + last);
  }
  return sum_each(squares);
}

/// to[f] += from[f] for the d floats of one centroid's sum; sets `from` to zero. Up to kWidth more
/// doubles may be written (0 is added to them, the sums of the next centroids).
inline void fold_sum(double* to, float* from, std::size_t d, bool room) {
  std::size_t f = 0;
  for (; f + kWidth <= d; f += kWidth) {
    Doubles::add_to(to + f, load(from + f));
    store(from + f, F{});
  }
  if (f == d) return;
  const First rest(d - f);
  const F last = load(from + f, rest);
  store(from + f, rest, F{});
  if (room) return Doubles::add_to(to + f, last);
  float lanes[kWidth];
  store(lanes, last);
  for (std::size_t i = 0; f + i < d; ++i) to[f + i] += double{lanes[i]};
}

/// A few centroids, with their sums and counts, in rows of whole aligned vectors. A sum is updated
/// again before its last store has left the processor, which would stall other loads too; so the
/// points take turns in several copies of the sums. The copies are floats; one that has received
/// kFold points or more is folded into doubles before any may have received kFold more, so none has
/// more than 2 · kFold − 1.
template <std::size_t V>
class Packed {
 public:
  static bool fits(std::size_t k) { return 2 * k * kStride <= kFloats; }

  Packed(const CentroidTable& c, const AssignOutput& out)
      : d_(c.d), k_(c.k), copies_(kMaxCopies), tail_(c.d - (V - 1) * kWidth), out_(out) {
    while ((1 + copies_) * k_ * kStride > kFloats) copies_ /= 2;
    for (std::size_t j = 0; j < k_; ++j)
      for (std::size_t f = 0; f < kStride; ++f)
        rows_[j * kStride + f] = f < d_ ? c.rows[j * d_ + f] : 0;
    for (std::size_t i = k_ * kStride; i < (1 + copies_) * k_ * kStride; ++i) rows_[i] = 0;
    for (std::size_t i = 0; i < (1 + copies_) * k_; ++i) counts_[i] = 0;
    until_fold_ = interval();
  }

  /// Like settle_points(); also counts the points.
  F settle(const float* x, std::size_t n, const std::uint32_t* nearest) {
    if (copies_ != 1) {
      if (until_fold_ < n) fold_all(kFold);
      until_fold_ -= n;
    }
    F squares[kWidth];
    if (n == kWidth) {
      settle_each(x, nearest, squares, std::make_index_sequence<kWidth>());
    } else {
      for (std::size_t p = n; p < kWidth; ++p) squares[p] = F{};
      for (std::size_t p = 0; p < n; ++p) squares[p] = settle_one(x + p * d_, nearest[p], p);
    }
    if (copies_ == 1)  // for many centroids, checking all of them would cost more
      for (std::size_t p = 0; p < n; ++p)
        if (counts_[k_ + nearest[p]] >= kFold) fold(1, nearest[p]);
    return sum_each(squares);
  }

  void finish() { fold_all(1); }

 private:
  static constexpr std::size_t kStride = V * kWidth;
  static constexpr std::size_t kFloats = 8192;
  static constexpr std::size_t kMaxCopies = 8;

  /// Unrolled, so that the turns are constants and the squares stay in registers.
  template <std::size_t... P>
  void settle_each(const float* x, const std::uint32_t* nearest, F* squares,
                   std::index_sequence<P...>) {
    ((squares[P] = settle_one(x + P * d_, nearest[P], P)), ...);
  }

  F settle_one(const float* point, std::size_t nearest, std::size_t turn) {
    const std::size_t at = (1 + (turn & (copies_ - 1))) * k_ + nearest;
    const float* centroid = rows_ + nearest * kStride;
    float* sum = rows_ + at * kStride;
    F square{};
    for (std::size_t v = 0; v < V; ++v) {
      const F value = v + 1 < V ? load(point + v * kWidth) : load(point + v * kWidth, tail_);
      const F difference = value - load(centroid + v * kWidth);
      square = v == 0 ? difference * difference : fma(difference, difference, square);
      store(sum + v * kWidth, load(sum + v * kWidth) + value);
    }
    ++counts_[at];
    return square;
  }

  /// The number of points of which no copy receives more than kFold.
  std::size_t interval() const { return kFold * (copies_ < kWidth ? copies_ : kWidth); }

  /// Folds the copies of at least that many points into the doubles.
  __attribute__((noinline)) void fold_all(std::size_t points) {
    until_fold_ = interval();
    for (std::size_t copy = 1; copy <= copies_; ++copy)
      for (std::size_t j = 0; j < k_; ++j)
        if (counts_[copy * k_ + j] >= points) fold(copy, j);
  }

  __attribute__((noinline)) void fold(std::size_t copy, std::size_t j) {
    const std::size_t at = copy * k_ + j;
    out_.counts[j] += static_cast<double>(counts_[at]);
    counts_[at] = 0;
    fold_sum(out_.sums + j * d_, rows_ + at * kStride, d_, (k_ - 1 - j) * d_ >= kWidth);
  }

  std::size_t d_;
  std::size_t k_;
  std::size_t copies_;
  std::size_t until_fold_;  ///< points that may be settled before the next fold
  First tail_;
  AssignOutput out_;
  alignas(64) float rows_[kFloats];  ///< the centroids, then the copies of the sums
  std::uint64_t counts_[kFloats / kWidth];
};

/// The same for rows of any width.
F settle_wide_points(const float* x, std::size_t n, const CentroidTable& c,
                     const std::uint32_t* nearest, float* sums) {
  F squares[kWidth] = {};
  for (std::size_t p = 0; p < n; ++p)
    for (std::size_t f = 0; f < c.d; f += kWidth) {
      const First first(c.d - f < kWidth ? c.d - f : kWidth);
      const F value = load(x + p * c.d + f, first);
      const F difference = value - load(c.rows + nearest[p] * c.d + f, first);
      squares[p] = fma(difference, difference, squares[p]);
      if (sums == nullptr) continue;
      float* sum = sums + nearest[p] * c.d + f;
      store(sum, first, load(sum, first) + value);
    }
  return sum_each(squares);
}

/// The float sums of many or wide centroids, in the caller's scratch. They are folded into the
/// doubles once a centroid has received kFold points or more, so none has kFold + kWidth.
class Folding {
 public:
  Folding(const CentroidTable& c, const AssignOutput& out)
      : k_(c.k), d_(c.d), out_(out), points_(out.scratch + c.k * c.d) {}

  float* sums() { return out_.scratch; }

  /// These points were added to sums().
  void count(const std::uint32_t* nearest, std::size_t n) {
    for (std::size_t p = 0; p < n; ++p)
      if ((points_[nearest[p]] += 1) >= kFold) fold(nearest[p]);
  }

  void finish() {
    for (std::size_t j = 0; j < k_; ++j)
      if (points_[j] != 0) fold(j);
  }

 private:
  __attribute__((noinline)) void fold(std::size_t j) {
    fold_sum(out_.sums + j * d_, out_.scratch + j * d_, d_, (k_ - 1 - j) * d_ >= kWidth);
    out_.counts[j] += double{points_[j]};
    points_[j] = 0;
  }

  std::size_t k_;
  std::size_t d_;
  AssignOutput out_;
  float* points_;
};

/// Calls settle(points, n, nearest) → distances for each kWidth rows once their nearest centroids
/// are known; returns the sum of the distances.
template <class Settle>
double assign_rows(const float* x, std::size_t rows, const CentroidTable& c,
                   const AssignOutput& out, Settle settle) {
  Doubles total;
  for (std::size_t i = 0; i < rows; i += kPoints) {
    const std::size_t count = rows - i < kPoints ? rows - i : kPoints;
    std::uint32_t ids[kPoints];
    nearest_of_points(x + i * c.d, count, c, ids);
    for (std::size_t p = 0; p < count; p += kWidth) {
      const std::size_t n = count - p < kWidth ? count - p : kWidth;
      const F distances = settle(x + (i + p) * c.d, n, ids + p);
      total.add(distances);
      if (out.distances != nullptr) store(out.distances + i + p, First(n), distances);
    }
    if (out.nearest != nullptr)
      for (std::size_t p = 0; p < count; ++p) out.nearest[i + p] = ids[p];
  }
  return total.sum();
}

/// V: vectors of a row, 0 for many.
template <std::size_t V>
double assign_rows(const float* x, std::size_t rows, const CentroidTable& c,
                   const AssignOutput& out) {
  if constexpr (V != 0) {
    if (out.sums != nullptr && Packed<V>::fits(c.k)) {
      Packed<V> packed(c, out);
      const double total = assign_rows(
          x, rows, c, out, [&](const float* points, std::size_t n, const std::uint32_t* nearest) {
            return packed.settle(points, n, nearest);
          });
      packed.finish();
      return total;
    }
  }
  const auto settle = [&](const float* points, std::size_t n, const std::uint32_t* nearest,
                          float* sums) {
    if constexpr (V == 0)
      return settle_wide_points(points, n, c, nearest, sums);
    else
      return settle_points<V>(points, n, c, nearest, sums);
  };
  if (out.sums == nullptr)
    return assign_rows(x, rows, c, out,
                       [&](const float* points, std::size_t n, const std::uint32_t* nearest) {
                         return settle(points, n, nearest, nullptr);
                       });
  Folding folding(c, out);
  const double total = assign_rows(
      x, rows, c, out, [&](const float* points, std::size_t n, const std::uint32_t* nearest) {
        const F distances = settle(points, n, nearest, folding.sums());
        folding.count(nearest, n);
        return distances;
      });
  folding.finish();
  return total;
}

double assign(const float* x, std::size_t rows, std::size_t, const CentroidTable& c,
              const AssignOutput& out) {
  if (c.d == 0 || c.d > kMaxVectors * kWidth) return assign_rows<0>(x, rows, c, out);
  double total = 0;
  with_vectors(vectors_of(c.d), [&](auto v) { total = assign_rows<v.value>(x, rows, c, out); });
  return total;
}

/// Compares the scores of N vectors of centroids from j on with the best so far.
template <std::size_t N, class Index>
void score_sparse(const Index* indices, const float* values, std::size_t nonzeros,
                  const CentroidTable& c, std::size_t j, F& best, F& best_id) {
  F s[N];
  for (std::size_t v = 0; v < N; ++v) s[v] = load(c.half_squared + j + v * kWidth);
  for (std::size_t e = 0; e < nonzeros; ++e) {
    const float* feature = c.transposed + indices[e] * c.padded_k + j;
    const F value = broadcast(values[e]);
    for (std::size_t v = 0; v < N; ++v) s[v] = fnma(load(feature + v * kWidth), value, s[v]);
  }
  for (std::size_t v = 0; v < N; ++v) {
    const auto nearer = s[v] < best;
    best = nearer ? s[v] : best;
    best_id = nearer ? broadcast(static_cast<float>(j + v * kWidth)) : best_id;
  }
}

template <class Index>
double assign(const std::uint64_t* offsets, const Index* indices, const float* values,
              std::size_t rows, const CentroidTable& c, const AssignOutput& out) {
  double total = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    const Index* index = indices + offsets[i];
    const float* value = values + offsets[i];
    const std::size_t nonzeros = offsets[i + 1] - offsets[i];
    F best = broadcast(__builtin_inff());
    F best_id{};
    std::size_t j = 0;
    for (; j + 4 * kWidth <= c.padded_k; j += 4 * kWidth)
      score_sparse<4>(index, value, nonzeros, c, j, best, best_id);
    for (; j < c.padded_k; j += kWidth)
      score_sparse<1>(index, value, nonzeros, c, j, best, best_id);
    float score[kWidth];
    float first_id[kWidth];
    store(score, best);
    store(first_id, best_id);
    float least = __builtin_inff();
    std::size_t nearest = 0;
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
      const std::size_t id = static_cast<std::size_t>(first_id[lane]) + lane;
      if (score[lane] < least || (score[lane] == least && id < nearest)) {
        least = score[lane];
        nearest = id;
      }
    }
    // ‖x − c‖² = ‖c‖² + Σ x (x − 2 c) over the entries: in double, the cancellation is harmless.
    const float* centroid = c.rows + nearest * c.d;
    double distance = c.squared[nearest];
    for (std::size_t e = 0; e < nonzeros; ++e)
      distance += double{value[e]} * (double{value[e]} - 2 * double{centroid[index[e]]});
    distance = distance < 0 ? 0 : distance;
    total += distance;
    if (out.sums != nullptr) {
      double* sum = out.sums + nearest * c.d;
      for (std::size_t e = 0; e < nonzeros; ++e) sum[index[e]] += double{value[e]};
    }
    if (out.counts != nullptr) out.counts[nearest] += 1;
    if (out.nearest != nullptr) out.nearest[i] = static_cast<std::uint32_t>(nearest);
    if (out.distances != nullptr) out.distances[i] = static_cast<float>(distance);
  }
  return total;
}

}  // namespace
}  // namespace lambdaml::tensor
