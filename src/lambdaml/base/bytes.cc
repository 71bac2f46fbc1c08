#include "lambdaml/base/bytes.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace lambdaml {
namespace {

constexpr std::size_t kHugePage = 2 << 20;

/// Requests huge pages for the parts of the memory that they can cover; fails silently without
/// kernel support.
void prefer_huge_pages([[maybe_unused]] std::byte* data, [[maybe_unused]] std::size_t size) {
#ifdef __linux__
  if (size < 2 * kHugePage) return;
  const auto begin = (reinterpret_cast<std::uintptr_t>(data) + kHugePage - 1) & ~(kHugePage - 1);
  const auto end = (reinterpret_cast<std::uintptr_t>(data) + size) & ~(kHugePage - 1);
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace

Buffer::Buffer(std::size_t size)
    : data_(static_cast<std::byte*>(
          ::operator new[](size == 0 ? 1 : size, std::align_val_t{kAlignment}))),
      size_(size) {
  prefer_huge_pages(data_.get(), size);
}

}  // namespace lambdaml
