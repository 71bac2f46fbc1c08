#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

constexpr double kLookSeconds = 0.1;

class Cancellable final : public Wrapper {
 public:
  Cancellable(std::shared_ptr<Storage> inner, std::function<void()> check)
      : Wrapper(std::move(inner)), check_(std::move(check)) {}

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
        return inner().load_all(keys, Deadline::in(kLookSeconds).earlier(deadline));
      } catch (const MissingKeys&) {
        if (deadline.passed()) throw;
      }
    }
  }

 private:
  std::function<void()> check_;
};

}  // namespace

std::shared_ptr<Storage> with_cancellation(std::shared_ptr<Storage> inner,
                                           std::function<void()> check) {
  return std::make_shared<Cancellable>(std::move(inner), std::move(check));
}

}  // namespace lambdaml::storage
