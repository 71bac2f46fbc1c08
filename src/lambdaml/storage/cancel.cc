#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

/// How long a wait goes on before it asks again whether it is still wanted. Each piece of a wait
/// begins and ends with looks of its own.
constexpr double kPiece_s = 0.1;
constexpr double kPieceOfDearLooks_s = 1;

class Cancellable final : public Wrapper {
 public:
  Cancellable(std::shared_ptr<Storage> inner, std::function<void()> check)
      : Wrapper(std::move(inner)),
        check_(std::move(check)),
        piece_s_(capabilities().dear_looks ? kPieceOfDearLooks_s : kPiece_s) {}

  void save(std::string_view key, Bytes value) override {
    check_();
    inner().save(key, value);
  }
  std::optional<Buffer> load(std::string_view key) override {
    check_();
    return inner().load(key);
  }
  void save_all(std::span<const Item> items) override {
    check_();
    inner().save_all(items);
  }
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    while (true) {
      check_();
      try {
        return inner().load_all(keys, Deadline::in(piece_s_).earlier(deadline));
      } catch (const MissingKeys&) {
        if (deadline.passed()) throw;
      }
    }
  }
  SumAnswer sum(const SumRequest& request, std::span<double> totals, std::span<float> values,
                Deadline deadline) override {
    while (true) {
      check_();
      try {
        return inner().sum(request, totals, values, Deadline::in(piece_s_).earlier(deadline));
      } catch (const MissingWorkers&) {
        if (deadline.passed()) throw;
      }
    }
  }

 private:
  std::function<void()> check_;
  double piece_s_;
};

}  // namespace

std::shared_ptr<Storage> with_cancellation(std::shared_ptr<Storage> inner,
                                           std::function<void()> check) {
  return std::make_shared<Cancellable>(std::move(inner), std::move(check));
}

}  // namespace lambdaml::storage
