#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "lambdaml/base/parallel.h"
#include "lambdaml/model/model.h"

namespace lambdaml::model {

/// Adds up a batch's sums on several threads: the rows are cut in as many equal blocks as there are
/// threads, each block has sums of its own, and these are added in the order of the blocks. So the
/// result depends on the number of threads and not on their timing. A batch whose work is
/// not worth a thread's wake-up stays whole. Nothing is allocated once the largest batch was seen.
template <class Sum>
class BasicRowBlocks {
 public:
  explicit BasicRowBlocks(std::size_t threads) : threads_(std::max<std::size_t>(threads, 1)) {}

  /// Blocks there may be at the most: how many scratch areas a caller needs.
  std::size_t limit() const { return threads_; }

  /// Calls `body(block, begin, end, sums)` → Totals for each block of [0, rows) and adds up. `work`
  /// is about the number of multiplications. An empty `sums` is handed on as a null pointer.
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
  /// 10,000 rows of 28 features take some ten microseconds, as does waking a thread.
  static constexpr std::size_t kWorthThreads = 280'000;

  std::size_t threads_;
  std::vector<Sum> partial_;
  std::vector<Totals> totals_;
};

using RowBlocks = BasicRowBlocks<float>;

}  // namespace lambdaml::model
