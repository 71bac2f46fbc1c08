#include <algorithm>
#include <mutex>

#include "lambdaml/base/fibers/waiting_mutex.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

class Cancellable final : public Wrapper {
 public:
  Cancellable(std::shared_ptr<Storage> inner, std::function<void()> check, WaitPieces pieces)
      : Wrapper(std::move(inner)),
        check_([check = std::move(check), mutex = std::make_shared<WaitingMutex>()] {
          const std::lock_guard lock(*mutex);
          check();
        }),
        pieces_(pieces) {
    if (capabilities().polling_is_expensive)
      pieces_.longest_s = std::max(pieces_.longest_s, pieces_.longest_where_expensive_s);
  }

  void save(std::string_view key, Bytes value) override {
    check_();
    inner().save(key, value);
  }
  void save_gathered(std::string_view key, std::span<const Bytes> pieces) override {
    check_();
    inner().save_gathered(key, pieces);
  }
  std::optional<Buffer> load(std::string_view key) override {
    check_();
    return inner().load(key);
  }
  bool create(std::string_view key, Bytes value) override {
    check_();
    return inner().create(key, value);
  }
  bool exists(std::string_view key) override {
    check_();
    return inner().exists(key);
  }
  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    check_();
    return inner().load_range(key, begin, bytes);
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    check_();
    return inner().load_present(keys);
  }
  void save_all(std::span<const Item> items) override {
    check_();
    inner().save_all(items);
  }
  void save_and_remove(std::span<const Item> items, std::span<const std::string> keys) override {
    check_();
    inner().save_and_remove(items, keys);
  }
  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    check_();
    return inner().watch(std::move(keys));
  }
  void add_hooks(Wait& wait) override {
    inner().add_hooks(wait);
    wait.add_hook({[this] {
                     check_();
                     return true;
                   },
                   pieces_.first_s, pieces_.longest_s});
  }
  SumAnswer push_pull(const SumRequest& request, std::span<double> totals, std::span<float> values,
                      Deadline deadline) override {
    for (double piece_s = pieces_.first_s;; piece_s = std::min(2 * piece_s, pieces_.longest_s)) {
      check_();
      try {
        return inner().aggregator()->push_pull(request, totals, values,
                                               Deadline::in(piece_s).earlier(deadline));
      } catch (const MissingWorkers&) {
        if (deadline.passed()) throw;
      }
    }
  }

 private:
  std::function<void()> check_;
  WaitPieces pieces_;
};

}  // namespace

std::shared_ptr<Storage> with_cancellation(std::shared_ptr<Storage> inner,
                                           std::function<void()> check, WaitPieces pieces) {
  return std::make_shared<Cancellable>(std::move(inner), std::move(check), pieces);
}

}  // namespace lambdaml::storage
