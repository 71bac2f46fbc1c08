#include "lambdaml/torch/memory.h"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

/// A training step requests the same large tensors as the one before, and touching a page for the
/// first time takes longer than computing its contents. So freed memory is kept for the next
/// request that it fits, on huge pages if the kernel provides them. Only when the machine or the
/// process's limit has no more memory is all unused memory returned.
namespace lambdaml::torch_library {
namespace {

constexpr std::size_t kHuge = std::size_t{2} << 20;
/// Before the data: the sizes of the block and of what was asked for; keeps tensors aligned.
constexpr std::size_t kLine = 64;
constexpr std::size_t kSmall = std::size_t{256} << 10;  ///< malloc's

std::atomic<std::uint64_t> in_use = 0;

/// libtorch 2.3 removed the const from allocate and added copy_data: the functions of both versions
/// are here, without `override`.
class Kept final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t size) const { return made(size); }
  c10::DataPtr allocate(std::size_t size) { return made(size); }
  void copy_data(void* to, const void* from, std::size_t size) const {
    std::memcpy(to, from, size);
  }
  c10::DeleterFnPtr raw_deleter() const { return &give_back; }

 private:
  static c10::DataPtr made(std::size_t size) {
    if (size == 0) return {nullptr, c10::Device(c10::DeviceType::CPU)};
    void* const data = take(size + kLine);
    return {data, data, &give_back, c10::Device(c10::DeviceType::CPU)};
  }

  struct Pool {
    std::mutex mutex;
    std::multimap<std::size_t, std::byte*> free;
  };
  /// Never destroyed: tensors may outlive static objects.
  static Pool& pool() {
    static Pool& instance = *new Pool;
    return instance;
  }

  static void* take(std::size_t size) {
    void* const data = block_of(size);
    in_use += size;
    std::memcpy(static_cast<std::byte*>(data) - kLine + sizeof size, &size, sizeof size);
    return data;
  }

  static void* block_of(std::size_t size) {
    if (size < kSmall) {
      auto* const block = static_cast<std::byte*>(::operator new(size, std::align_val_t(kLine)));
      return with_size(block, size);
    }
    size = (size + kHuge - 1) / kHuge * kHuge;
    const std::lock_guard lock(pool().mutex);
    auto& free = pool().free;
    const auto fits = free.lower_bound(size);
    if (fits != free.end() && fits->first <= size + size / 4) {
      std::byte* const block = fits->second;
      free.erase(fits);
      return block + kLine;
    }
    std::byte* block = map(size);
    if (block == nullptr) {
      for (const auto& [unused, its] : free) ::munmap(its, unused);
      free.clear();
      block = map(size);
      if (block == nullptr) throw std::bad_alloc();
    }
    return with_size(block, size);
  }

  static std::byte* map(std::size_t size) {
    void* const block =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return nullptr;
    ::madvise(block, size, MADV_HUGEPAGE);
    return static_cast<std::byte*>(block);
  }

  static void* with_size(std::byte* block, std::size_t size) {
    std::memcpy(block, &size, sizeof size);
    return block + kLine;
  }

  static void give_back(void* data) {
    if (data == nullptr) return;
    std::byte* const block = static_cast<std::byte*>(data) - kLine;
    std::size_t size = 0, wanted = 0;
    std::memcpy(&size, block, sizeof size);
    std::memcpy(&wanted, block + sizeof size, sizeof wanted);
    in_use -= wanted;
    if (size < kSmall) return ::operator delete(block, std::align_val_t(kLine));
    const std::lock_guard lock(pool().mutex);
    pool().free.emplace(size, block);
  }
};

}  // namespace

std::uint64_t bytes_of_tensors() { return in_use; }

void keep_memory_of_tensors() {
  static Kept& kept = *new Kept;
  c10::SetCPUAllocator(&kept, 1);
}

}  // namespace lambdaml::torch_library
