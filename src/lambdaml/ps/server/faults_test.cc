// Memory that runs out during a request: each allocation of the request fails once. Afterwards the
// request is repeated, as clients do, and everything is as if nothing had happened.
#include <cstdlib>
#include <functional>
#include <future>
#include <new>

#include <gmock/gmock.h>

#include "lambdaml/ps/server/archive.h"
#include "lambdaml/ps/server/state.h"
#include "lambdaml/ps/testing/test_support.h"

namespace {

/// How many allocations of this thread succeed before one fails; below 0: all do.
thread_local std::int64_t allocations_left = -1;

void* allocated(std::size_t size, std::size_t alignment) {
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc();
  const std::size_t whole =
      (std::max<std::size_t>(size, 1) + alignment - 1) / alignment * alignment;
  void* const memory = alignment <= alignof(std::max_align_t)
                           ? std::malloc(size)
                           : std::aligned_alloc(alignment, whole);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocated(std::max<std::size_t>(size, 1), 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocated(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace lambdaml::ps {
namespace {

using testing::ElementsAre;

/// Calls `call` with its k-th allocation failing; whether it got by without one.
bool succeeds_without(std::int64_t k, const std::function<void()>& call) {
  allocations_left = k;
  try {
    call();
  } catch (const std::bad_alloc&) {
    allocations_left = -1;
    return false;
  }
  const bool was_enough = allocations_left >= 0;
  allocations_left = -1;
  return was_enough;
}

constexpr std::size_t kN = 2000;

class Faults : public testing::Test {
 protected:
  static Numbers brought(float value) {
    const std::vector<float> values(kN, value);
    const std::vector<double> totals = {1};
    Numbers numbers;
    numbers.values = Buffer(std::as_bytes(std::span(values)));
    numbers.totals = Buffer(std::as_bytes(std::span(totals)));
    return numbers;
  }
  static Entry::Answer push(State& state, const Part& part, Numbers numbers) {
    Part whole = part;
    whole.length = kN;
    Request request(whole, std::move(numbers), {}, state.environment());
    return state.get_or_make(part.id)->push_pull(std::move(request), Deadline::in(0));
  }
  /// Saves the entry, which requires that no thread is modifying it, and pushes, which requires
  /// that no thread is saving it.
  static void expect_alive(State& state, const std::string& id) {
    const std::shared_ptr<Entry> entry = state.get(id);
    auto lives = std::async(std::launch::async, [&] {
      Writer out;
      entry->save(out);
      Part part{.id = id, .kind = Kind::running, .round = 1000, .workers = 0};
      push(state, part, brought(0));
    });
    const bool in_time = lives.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
    if (!in_time) entry->interrupt();
    EXPECT_TRUE(in_time) << "it is frozen";
    EXPECT_NO_THROW(lives.get());
  }
  /// Repeats a test for each allocation that can fail.
  static void for_each_fault(const std::function<bool(std::int64_t)>& test) {
    std::int64_t k = 0;
    while (!test(k) && k < 1000) ++k;
    EXPECT_GT(k, 1) << "no allocation has failed";
    EXPECT_LT(k, 1000);
  }
  static std::unique_ptr<State> fresh() {
    return std::make_unique<State>("", State::Limits{.memory_bytes = 100'000'000});
  }
  static Rule descent() { return {.learning_rate = 0.5, .momentum = 0.5, .l2 = 0.25}; }
};

TEST_F(Faults, InARoundMoveAModelOnce) {
  for_each_fault([&](std::int64_t k) {
    const auto state = fresh();
    state->declare("m", kN, 2, descent(), true);
    Part first{.id = "m", .worker = 0, .workers = 2};
    Part second{.id = "m", .worker = 1, .workers = 2};
    push(*state, first, brought(1));
    Numbers numbers = brought(2);
    const bool done = succeeds_without(k, [&] { push(*state, second, std::move(numbers)); });
    push(*state, first, brought(1));
    Entry::Answer answer = push(*state, second, brought(2));
    EXPECT_TRUE(answer.result) << k;
    if (answer.result) {
      // v = 1 + 2, w = −0.5 v.
      EXPECT_THAT(answer.result->floats(), testing::Each(-1.5F)) << k;
      EXPECT_THAT(answer.result->doubles(), ElementsAre(2)) << k;
    }
    expect_alive(*state, "m");
    answer = {};
    state->clear("");
    EXPECT_EQ(state->environment().budget.used(), 0U) << k;
    return done;
  });
}

TEST_F(Faults, InAPushCountItOnce) {
  for (const bool is_model : {false, true})
    for (const bool is_sparse : {false, true})
      for_each_fault([&](std::int64_t k) {
        const auto state = fresh();
        if (is_model) state->declare("v", kN, 1, descent(), true);
        const Part part{.id = "v", .kind = Kind::running, .workers = 1};
        const auto numbers = [&] {
          Numbers out = brought(2);
          if (!is_sparse) return out;
          std::vector<std::uint32_t> all(kN);
          for (std::uint32_t i = 0; i < kN; ++i) all[i] = i;
          out.indices = Buffer(std::as_bytes(std::span(all)));
          return out;
        };
        Numbers first = numbers();
        const bool done = succeeds_without(k, [&] { push(*state, part, std::move(first)); });
        Entry::Answer answer = push(*state, part, numbers());
        EXPECT_THAT(answer.result->floats(), testing::Each(is_model ? -1 : 2)) << k;
        EXPECT_THAT(answer.result->doubles(), ElementsAre(1)) << k;
        EXPECT_EQ(answer.merged, 1U) << k;
        expect_alive(*state, "v");
        answer = {};
        state->clear("");
        EXPECT_EQ(state->environment().budget.used(), 0U) << k;
        return done;
      });
}

TEST_F(Faults, InSumsOfTheNewestAndInResultsLeaveWhatThereWas) {
  for (const Kind kind : {Kind::newest, Kind::result})
    for_each_fault([&](std::int64_t k) {
      const auto state = fresh();
      Part part{.id = "sums", .kind = kind, .workers = 2};
      push(*state, part, brought(1));
      part.worker = 1;
      part.round = 1;
      Numbers numbers = brought(2);
      const bool done = succeeds_without(k, [&] { push(*state, part, std::move(numbers)); });
      Entry::Answer answer = push(*state, part, brought(2));
      EXPECT_THAT(answer.result->floats(), testing::Each(kind == Kind::newest ? 3 : 2)) << k;
      answer = {};
      state->clear("");
      EXPECT_EQ(state->environment().budget.used(), 0U) << k;
      return done;
    });
}

TEST_F(Faults, InASnapshotHoldNobodyUp) {
  const auto state = fresh();
  state->declare("m", kN, 1, descent(), true);
  push(*state, {.id = "m", .workers = 1}, brought(1));
  for_each_fault([&](std::int64_t k) {
    Writer out;
    const bool done = succeeds_without(k, [&] { state->get("m")->save(out); });
    expect_alive(*state, "m");
    return done;
  });
}

TEST_F(Faults, InADeclarationLeaveNothing) {
  for_each_fault([&](std::int64_t k) {
    const auto state = fresh();
    const bool done = succeeds_without(k, [&] { state->declare("m", kN, 2, descent(), false); });
    if (!done) {
      EXPECT_EQ(state->environment().budget.used(), 0U) << k;
      EXPECT_EQ(state->models() + state->sums(), 0U) << k;
    }
    state->declare("m", kN, 2, descent(), false);
    expect_alive(*state, "m");
    return done;
  });
}

TEST_F(Faults, InKeysLeaveNothing) {
  for_each_fault([&](std::int64_t k) {
    const auto state = fresh();
    Buffer value(as_bytes("value"));
    const std::string key(100, 'k');
    const bool done = succeeds_without(k, [&] { state->keys().put(key, std::move(value), {}); });
    if (!done) {
      EXPECT_EQ(state->environment().budget.used(), 0U) << k;
      EXPECT_FALSE(state->keys().get(key)) << k;
    }
    state->keys().put(key, Buffer(as_bytes("value")), {});
    EXPECT_EQ(state->keys().get(key)->text(), "value");
    return done;
  });
}

/// Files of the server that are whole, and say what no server writes.
TEST_F(Faults, FilesThatContradictThemselvesAreCorrupt) {
  const auto state = fresh();
  state->declare("m", 10, 2, descent(), true);
  Part part{.id = "m", .kind = Kind::newest, .workers = 2};
  part.length = 10;
  Writer out;
  state->get("m")->save(out);
  const std::vector<std::byte> whole(out.bytes().begin(), out.bytes().end());
  Environment environment{.budget = Budget(100'000'000)};
  {
    Reader in(whole);
    EXPECT_EQ(Entry::load(in, environment)->model_length(), 10U);
  }
  // Each byte, changed in each bit: it is read as something that works, or is corrupt.
  std::size_t corrupt = 0;
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const unsigned bit : {0x01U, 0x80U, 0xffU}) {
      std::vector<std::byte> changed = whole;
      changed[at] ^= static_cast<std::byte>(bit);
      Reader in(changed);
      try {
        const std::shared_ptr<Entry> entry = Entry::load(in, environment);
        Writer again;
        entry->save(again);
        for (const Kind kind : {Kind::round, Kind::running, Kind::newest, Kind::result}) {
          part.kind = kind;
          part.round = 77;
          try {
            const std::vector<float> values(part.length, 1);
            Numbers numbers;
            numbers.values = Buffer(std::as_bytes(std::span(values)));
            entry->push_pull(Request(part, std::move(numbers), {}, environment), Deadline::in(0));
          } catch (const Error&) {
          }
        }
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == Code::data_corrupt || error.code() == Code::resource_exhausted)
            << at << ": " << error.what();
        ++corrupt;
      }
    }
  EXPECT_GT(corrupt, 0U);
  EXPECT_EQ(environment.budget.used(), 0U);
}

}  // namespace
}  // namespace lambdaml::ps
