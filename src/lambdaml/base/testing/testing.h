#pragma once

#include <csignal>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/error.h"

/// Defined in builds with a sanitizer, whose memory no limit suits.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LAMBDAML_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LAMBDAML_SANITIZED 1
#endif
#endif

/// Helpers for the tests of every layer.
namespace lambdaml {

/// What a sanitizer adds to a process's memory (freed memory that it keeps, and what it notes), and
/// to the time of anything.
#ifdef LAMBDAML_SANITIZED
inline constexpr bool kSanitized = true;
inline constexpr std::size_t kSanitizer_kB = 1'500'000;
inline constexpr double kSanitizer_s = 10;
#else
inline constexpr bool kSanitized = false;
inline constexpr std::size_t kSanitizer_kB = 0;
inline constexpr double kSanitizer_s = 0;
#endif

/// Whether a test that lacks a program, a service or data fails instead of being skipped: in CI, or
/// if LAMBDAML_REQUIRE_SERVERS is set.
inline bool must_run_all_tests() {
  return std::getenv("CI") != nullptr || std::getenv("LAMBDAML_REQUIRE_SERVERS") != nullptr;
}

/// A shell that starts the tests in the background has them, and what they start, ignore SIGINT.
inline const bool kInterruptible = std::signal(SIGINT, SIG_DFL) != SIG_ERR;

/// "code: message" of what `action` throws; empty if it throws nothing.
template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + ": " + error.what();
  }
  return "";
}

/// The message of the refusal, invalid_argument, that `action` throws.
template <class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

/// Users that no system has: neither can remove or trust what the other one creates.
inline constexpr uid_t kAlice = 54321;
inline constexpr uid_t kMallory = 54322;

/// Runs `body` in a separate process as that user, in the group of the same number; returns the
/// error that it threw, or "". Requires root.
inline std::string as_user(uid_t user, const std::function<void()>& body) {
  int ends[2] = {-1, -1};
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said;
    if (::setgroups(0, nullptr) != 0 || ::setgid(user) != 0 || ::setuid(user) != 0) {
      said = "cannot become another user";
    } else {
      try {
        body();
      } catch (const std::exception& error) {
        said = error.what();
      }
    }
    [[maybe_unused]] const ssize_t n = ::write(ends[1], said.data(), said.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) return "the child died: " + said;
  return said;
}

}  // namespace lambdaml

/// For a test's body or SetUp(): unless `condition` holds, the test is skipped and reports `why`
/// (evaluated only then), or fails if skipping is not allowed.
#define REQUIRE_OR_SKIP(condition, why)                  \
  if (!(condition)) {                                    \
    if (lambdaml::must_run_all_tests()) FAIL() << (why); \
    GTEST_SKIP() << (why);                               \
  }                                                      \
  static_assert(true)

#define REQUIRE_ROOT() REQUIRE_OR_SKIP(::geteuid() == 0, "only root can act as other users")
