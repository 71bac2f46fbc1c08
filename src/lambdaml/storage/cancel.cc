#include <algorithm>
#include <type_traits>

#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

constexpr double kShortestOfDearLooks_s = 1;

class Cancellable final : public Wrapper {
 public:
  Cancellable(std::shared_ptr<Storage> inner, std::function<void()> check, WaitPieces pieces)
      : Wrapper(std::move(inner)), check_(std::move(check)), pieces_(pieces) {
    if (!capabilities().dear_looks) return;
    pieces_.first_s = std::max(pieces_.first_s, kShortestOfDearLooks_s);
    pieces_.longest_s = std::max(pieces_.longest_s, kShortestOfDearLooks_s);
  }

  void save(std::string_view key, Bytes value) override {
    check_();
    inner().save(key, value);
  }
  std::optional<Buffer> load(std::string_view key) override {
    check_();
    return inner().load(key);
  }
  bool create(std::string_view key, Bytes value) override {
    check_();
    return inner().create(key, value);
  }
  void save_all(std::span<const Item> items) override {
    check_();
    inner().save_all(items);
  }
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    return in_pieces<MissingKeys>(deadline,
                                  [&](Deadline end) { return inner().load_all(keys, end); });
  }
  SumAnswer push_pull(const SumRequest& request, std::span<double> totals, std::span<float> values,
                      Deadline deadline) override {
    return in_pieces<MissingWorkers>(deadline, [&](Deadline end) {
      return inner().aggregator()->push_pull(request, totals, values, end);
    });
  }

 private:
  /// Calls `wait`, which throws Missing at the end that it is given, until `deadline`.
  template <class Missing, class Wait>
  std::invoke_result_t<Wait, Deadline> in_pieces(Deadline deadline, const Wait& wait) {
    for (double piece_s = pieces_.first_s;; piece_s = std::min(2 * piece_s, pieces_.longest_s)) {
      check_();
      try {
        return wait(Deadline::in(piece_s).earlier(deadline));
      } catch (const Missing&) {
        if (deadline.passed()) throw;
      }
    }
  }

  std::function<void()> check_;
  WaitPieces pieces_;
};

}  // namespace

std::shared_ptr<Storage> with_cancellation(std::shared_ptr<Storage> inner,
                                           std::function<void()> check, WaitPieces pieces) {
  return std::make_shared<Cancellable>(std::move(inner), std::move(check), pieces);
}

}  // namespace lambdaml::storage
