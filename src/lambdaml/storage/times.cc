#include "lambdaml/storage/times.h"

#include <algorithm>
#include <cmath>

#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

std::int64_t nanoseconds(double seconds) {
  return static_cast<std::int64_t>(std::llround(seconds * 1e9));
}

class TimedWatch final : public KeyWatch {
 public:
  TimedWatch(std::unique_ptr<KeyWatch> inner, std::shared_ptr<Times> times)
      : inner_(std::move(inner)), times_(std::move(times)) {}

  std::vector<Arrival> next(Deadline deadline, std::size_t below) override {
    return timed([&] { return inner_->next(deadline, below); });
  }
  std::vector<Arrival> poll_all() override {
    return timed([&] { return inner_->poll_all(); });
  }
  double receiving_s() const override { return inner_->receiving_s(); }

 private:
  template <class Call>
  std::vector<Arrival> timed(Call&& call) {
    const Stopwatch clock;
    const double before = inner_->receiving_s();
    std::vector<Arrival> arrivals = call();
    const double receiving = inner_->receiving_s() - before;
    times_->add({.waiting = std::max(0.0, clock.seconds() - receiving), .receiving = receiving});
    return arrivals;
  }

  std::unique_ptr<KeyWatch> inner_;
  std::shared_ptr<Times> times_;
};

class Timed final : public Wrapper {
 public:
  Timed(std::shared_ptr<Storage> inner, std::shared_ptr<Times> times)
      : Wrapper(std::move(inner)), times_(std::move(times)) {}

  void save(std::string_view key, Bytes value) override {
    const Timer timer(*times_, &Times::Seconds::sending);
    inner().save(key, value);
  }
  void save_gathered(std::string_view key, std::span<const Bytes> pieces) override {
    const Timer timer(*times_, &Times::Seconds::sending);
    inner().save_gathered(key, pieces);
  }
  std::optional<Buffer> load(std::string_view key) override {
    const Timer timer(*times_, &Times::Seconds::receiving);
    return inner().load(key);
  }
  bool create(std::string_view key, Bytes value) override {
    const Timer timer(*times_, &Times::Seconds::sending);
    return inner().create(key, value);
  }
  void remove(std::string_view key) override {
    const Timer timer(*times_, &Times::Seconds::sending);
    inner().remove(key);
  }
  bool exists(std::string_view key) override {
    const Timer timer(*times_, &Times::Seconds::receiving);
    return inner().exists(key);
  }
  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    const Timer timer(*times_, &Times::Seconds::receiving);
    return inner().load_range(key, begin, bytes);
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    const Timer timer(*times_, &Times::Seconds::receiving);
    return inner().load_present(keys);
  }
  void save_all(std::span<const Item> items) override {
    const Timer timer(*times_, &Times::Seconds::sending);
    inner().save_all(items);
  }
  void remove_all(std::span<const std::string> keys) override {
    const Timer timer(*times_, &Times::Seconds::sending);
    inner().remove_all(keys);
  }
  void save_and_remove(std::span<const Item> items, std::span<const std::string> keys) override {
    const Timer timer(*times_, &Times::Seconds::sending);
    inner().save_and_remove(items, keys);
  }
  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    return std::make_unique<TimedWatch>(inner().watch(std::move(keys)), times_);
  }
  SumAnswer push_pull(const SumRequest& request, std::span<double> totals, std::span<float> values,
                      Deadline deadline) override {
    const Timer timer(*times_, &Times::Seconds::waiting);
    return inner().aggregator()->push_pull(request, totals, values, deadline);
  }

 private:
  class Timer {
   public:
    Timer(Times& times, double Times::Seconds::*kind) : times_(times), kind_(kind) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() {
      Times::Seconds seconds;
      seconds.*kind_ = clock_.seconds();
      times_.add(seconds);
    }

   private:
    Times& times_;
    double Times::Seconds::*kind_;
    Stopwatch clock_;
  };

  std::shared_ptr<Times> times_;
};

}  // namespace

Times::Seconds Times::seconds() const {
  constexpr double kSecond = 1e-9;
  return {static_cast<double>(sending_ns_) * kSecond, static_cast<double>(waiting_ns_) * kSecond,
          static_cast<double>(receiving_ns_) * kSecond};
}

void Times::add(const Seconds& more) {
  if (more.sending > 0) sending_ns_ += nanoseconds(more.sending);
  if (more.waiting > 0) waiting_ns_ += nanoseconds(more.waiting);
  if (more.receiving > 0) receiving_ns_ += nanoseconds(more.receiving);
}

std::shared_ptr<Storage> with_times(std::shared_ptr<Storage> inner, std::shared_ptr<Times> times) {
  return std::make_shared<Timed>(std::move(inner), std::move(times));
}

}  // namespace lambdaml::storage
