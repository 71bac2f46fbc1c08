#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace lambdaml {

/// A view of raw bytes that it does not own; valid as long as the owner keeps them.
using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Owned bytes, 64-byte aligned, not zeroed. Move only. Memory comes from the heap, so a process
/// that keeps freed memory (see keep_freed_memory in memory.h) reuses warm pages.
class Buffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  Buffer() = default;
  /// Large buffers ask for huge pages. Otherwise memory is faulted in 4 KB at a time, and each page
  /// costs between 0.25 and 11 µs depending on the machine. Throws std::bad_alloc.
  explicit Buffer(std::size_t size);
  explicit Buffer(Bytes bytes) : Buffer(bytes.size()) {
    if (!bytes.empty()) std::memcpy(data(), bytes.data(), bytes.size());
  }
  /// The first `size` bytes of an open file, above 0, in the pages that all processes share; what
  /// is written to them stays in this buffer. For files that never change or become shorter: a page
  /// that is lost ends the process (SIGBUS). Empty if the system cannot.
  static std::optional<Buffer> of_file(int file, std::size_t size);
  Buffer(Buffer&& other) noexcept
      : memory_(std::move(other.memory_)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    memory_ = std::move(other.memory_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// Makes the buffer shorter; the memory stays. `size` must not exceed size().
  void truncate(std::size_t size) { size_ = size < size_ ? size : size_; }

  operator Bytes() const { return {data(), size_}; }
  Bytes view() const { return {data(), size_}; }
  std::string_view text() const { return as_text(view()); }

 private:
  struct Free {
    Free() : mapped(0) {}
    explicit Free(std::size_t bytes_of_file) : mapped(bytes_of_file) {}
    std::size_t mapped;  ///< bytes of a file; 0: of the heap
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte[], Free> memory_;  ///< of the heap: longer, by what aligns it
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The bytes of all pieces, one after another. Copies.
Buffer joined(std::span<const Bytes> pieces);

}  // namespace lambdaml
