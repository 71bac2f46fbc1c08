#include "lambdaml/base/bytes.h"

#include <algorithm>

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

/// Not by an aligned new: for that, glibc asks its heap for more than it takes and so never reuses
/// a freed buffer for the next one of that size, which made a worker's heap twice as large as what
/// lived in it.
Buffer::Buffer(std::size_t size)
    // A size that overflows with its alignment is refused like any that is too large.
    : memory_(new std::byte[std::max(size, size + kAlignment)]), size_(size) {
  void* at = memory_.get();
  std::size_t room = size + kAlignment;
  data_ = static_cast<std::byte*>(std::align(kAlignment, size, at, room));
  prefer_huge_pages(data_, size);
}

std::optional<Buffer> Buffer::of_file([[maybe_unused]] int file,
                                      [[maybe_unused]] std::size_t size) {
#ifdef __linux__
  void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (at == MAP_FAILED) return {};
  Buffer out;
  out.memory_ = {static_cast<std::byte*>(at), Free{size}};
  out.data_ = out.memory_.get();
  out.size_ = size;
  return out;
#else
  return {};
#endif
}

Buffer joined(std::span<const Bytes> pieces) {
  std::size_t size = 0;
  for (const Bytes piece : pieces) size += piece.size();
  Buffer out(size);
  std::byte* at = out.data();
  for (const Bytes piece : pieces) at = std::copy(piece.begin(), piece.end(), at);
  return out;
}

void Buffer::Free::operator()(std::byte* memory) const {
#ifdef __linux__
  if (mapped != 0) {
    ::munmap(memory, mapped);
    return;
  }
#endif
  delete[] memory;
}

}  // namespace lambdaml
