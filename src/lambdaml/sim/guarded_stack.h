#pragma once

#include <cstddef>
#include <new>

#include <boost/context/stack_context.hpp>
#include <sys/mman.h>
#include <unistd.h>

namespace lambdaml::sim {

/// Stacks of fibers below whose end is a page that ends the process when it is touched: a
/// StackAllocator of Boost.Context. Boost's own needs an object of the static library that has
/// thread-local storage, by which a library that links it cannot be loaded late: Python could not
/// import lambdaml after libtorch.
class GuardedStack {
 public:
  /// `bytes` are rounded up to whole pages.
  explicit GuardedStack(std::size_t bytes) : bytes_(bytes) {}

  /// Throws std::bad_alloc.
  boost::context::stack_context allocate() {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t size = (bytes_ + page - 1) / page * page + page;
    void* const begin = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin == MAP_FAILED) throw std::bad_alloc();
    if (::mprotect(begin, page, PROT_NONE) != 0) {
      ::munmap(begin, size);
      throw std::bad_alloc();
    }
    boost::context::stack_context out;
    out.size = size;
    out.sp = static_cast<char*>(begin) + size;
    return out;
  }
  void deallocate(boost::context::stack_context& stack) noexcept {
    ::munmap(static_cast<char*>(stack.sp) - stack.size, stack.size);
  }

 private:
  std::size_t bytes_;
};

}  // namespace lambdaml::sim
