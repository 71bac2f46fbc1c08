#include "lambdaml/comm/bulk/chunks.h"

#include "lambdaml/tensor/kernels.h"

namespace lambdaml::comm::bulk {
namespace {

/// Chunks of more bytes are cut into pieces of about kPieceBytes, up to a maximum number.
constexpr std::size_t kOverlapBytes = 8 << 20;
constexpr std::size_t kPieceBytes = 4 << 20;
constexpr std::size_t kMostPieces = 8;
/// Contributions that an aggregator loads ahead of the next one it needs.
constexpr std::size_t kWindowBytes = 64 << 20;

}  // namespace

Cut::Cut(std::size_t n, std::uint32_t aggregators, bool cuts_large_chunks) : n_(n) {
  const auto base = static_cast<std::uint32_t>(std::clamp<std::size_t>(n, 1, aggregators));
  const std::size_t bytes = n / base * sizeof(float);
  const std::size_t pieces = bytes <= kOverlapBytes || !cuts_large_chunks
                                 ? 1
                                 : std::min((bytes + kPieceBytes - 1) / kPieceBytes, kMostPieces);
  aggregators_ = base;
  chunks_ = base * static_cast<std::uint32_t>(pieces);
}

std::size_t Cut::window(std::size_t totals) const {
  return std::max<std::size_t>(2, kWindowBytes / message_bytes(totals));
}

ChunkSum::ChunkSum(Vectors own, std::uint32_t worker)
    : own_(own),
      worker_(worker),
      sum_(own.totals.size(), own.values.size()),
      totals_(sum_.totals),
      values_(sum_.values) {}

void ChunkSum::add(const std::vector<Message>& contributions) {
  std::vector<const double*> totals;
  std::vector<const float*> values;
  if (next_ > 0) {
    totals.push_back(totals_.data());
    values.push_back(values_.data());
  }
  const auto add_own = [&] {
    if (next_ != worker_) return;
    totals.push_back(own_.totals.data());
    values.push_back(own_.values.data());
    ++next_;
  };
  for (const Message& message : contributions) {
    add_own();
    totals.push_back(message.totals.data());
    values.push_back(message.values.data());
    ++next_;
  }
  add_own();
  tensor::sum_in_order(totals, totals_.size(), totals_.data());
  tensor::sum_in_order(values, values_.size(), values_.data());
}

void ChunkSum::replace_own() const {
  std::ranges::copy(totals_, own_.totals.begin());
  std::ranges::copy(values_, own_.values.begin());
}

}  // namespace lambdaml::comm::bulk
