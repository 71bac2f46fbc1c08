#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LAMBDAML_ASAN 1
#elif __has_feature(thread_sanitizer)
#define LAMBDAML_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define LAMBDAML_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define LAMBDAML_TSAN 1
#endif

#ifdef LAMBDAML_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef LAMBDAML_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace lambdaml::sim {

/// How much more stack than usual functions take.
#if defined(LAMBDAML_ASAN) || defined(LAMBDAML_TSAN)
inline constexpr std::size_t kFramesTimes = 4;
#else
inline constexpr std::size_t kFramesTimes = 1;
#endif

/// Tells sanitizers, which follow each thread's stack, that a fiber's stack is used from here on,
/// or the scheduler's again. One for each fiber. In builds without sanitizers it does nothing.
class SwitchNotes {
 public:
  SwitchNotes() = default;
  SwitchNotes(const SwitchNotes&) = delete;

#if defined(LAMBDAML_ASAN)
  void set_stack(const void* begin, std::size_t bytes) {
    begin_ = begin;
    bytes_ = bytes;
  }
  // On the scheduler's stack:
  void before_entering() { __sanitizer_start_switch_fiber(&scheduler_frames_, begin_, bytes_); }
  void after_entering() { __sanitizer_finish_switch_fiber(scheduler_frames_, nullptr, nullptr); }
  // On the fiber's:
  void at_begin() {
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_begin_, &scheduler_bytes_);
  }
  void before_leaving() {
    __sanitizer_start_switch_fiber(&frames_, scheduler_begin_, scheduler_bytes_);
  }
  void after_leaving() {
    __sanitizer_finish_switch_fiber(frames_, &scheduler_begin_, &scheduler_bytes_);
  }
  void before_the_end() {
    __sanitizer_start_switch_fiber(nullptr, scheduler_begin_, scheduler_bytes_);
  }

 private:
  const void* begin_ = nullptr;
  std::size_t bytes_ = 0;
  void* frames_ = nullptr;
  void* scheduler_frames_ = nullptr;
  const void* scheduler_begin_ = nullptr;
  std::size_t scheduler_bytes_ = 0;
#elif defined(LAMBDAML_TSAN)
  ~SwitchNotes() { __tsan_destroy_fiber(fiber_); }
  void set_stack(const void*, std::size_t) {}
  void before_entering() {
    scheduler_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber_, 0);
  }
  void after_entering() {}
  void at_begin() {}
  void before_leaving() { __tsan_switch_to_fiber(scheduler_, 0); }
  void after_leaving() {}
  void before_the_end() { before_leaving(); }

 private:
  void* const fiber_ = __tsan_create_fiber(0);
  void* scheduler_ = nullptr;
#else
  void set_stack(const void*, std::size_t) {}
  void before_entering() {}
  void after_entering() {}
  void at_begin() {}
  void before_leaving() {}
  void after_leaving() {}
  void before_the_end() {}
#endif
};

}  // namespace lambdaml::sim
