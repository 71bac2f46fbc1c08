#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "lambdaml/base/parallel.h"
#include "lambdaml/model/model.h"

namespace lambdaml::model {

/// Sums a batch on several threads: the rows are cut into as many equal blocks as there are
/// threads, each block has its own sums, and these are added in the order of the blocks. So the
/// result depends on the number of threads but not on their timing. A batch with too little work to
/// be worth waking a thread stays whole. Allocates nothing after the largest batch.
template <class Sum>
class BasicRowBlocks {
 public:
  explicit BasicRowBlocks(std::size_t threads) : threads_(std::max<std::size_t>(threads, 1)) {}

  /// The maximum number of blocks: how many scratch areas a caller needs.
  std::size_t limit() const { return threads_; }

  /// Calls `body(block, begin, end, sums)` → Totals for each block of [0, rows) and adds up the
  /// results. `work` is the approximate number of multiplications. An empty `sums` is passed as a
  /// null pointer.
  template <class Body>
  Totals add(std::size_t rows, std::size_t work, std::span<Sum> sums, Body&& body) {
    if (threads_ == 1 || work < kWorthThreads || rows < threads_)
      return body(0, 0, rows, sums.empty() ? nullptr : sums.data());
    partial_.assign((threads_ - 1) * sums.size(), Sum{0});
    totals_.assign(threads_, Totals{});
    auto one = [&](std::size_t block) {
      Sum* own = sums.empty() ? nullptr
                 : block == 0 ? sums.data()
                              : partial_.data() + (block - 1) * sums.size();
      totals_[block] = body(block, rows * block / threads_, rows * (block + 1) / threads_, own);
    };
    parallel_for(threads_, threads_, std::ref(one));
    Totals all;
    for (const Totals& totals : totals_) all += totals;
    for (std::size_t block = 1; block < threads_; ++block) {
      const Sum* own = partial_.data() + (block - 1) * sums.size();
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += own[i];
    }
    return all;
  }

 private:
  /// 10,000 rows of 28 features take some ten microseconds, about as long as waking a thread.
  static constexpr std::size_t kWorthThreads = 280'000;

  std::size_t threads_;
  std::vector<Sum> partial_;
  std::vector<Totals> totals_;
};

using RowBlocks = BasicRowBlocks<float>;

}  // namespace lambdaml::model
