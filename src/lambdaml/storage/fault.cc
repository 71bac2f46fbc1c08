#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

class Faulty final : public Wrapper {
 public:
  Faulty(std::shared_ptr<Storage> inner, FaultHook hook)
      : Wrapper(std::move(inner)), hook_(std::move(hook)) {}

  void save(std::string_view key, Bytes value) override {
    hook_("save", key);
    inner().save(key, value);
  }
  std::optional<Buffer> load(std::string_view key) override {
    hook_("load", key);
    return inner().load(key);
  }
  bool create(std::string_view key, Bytes value) override {
    hook_("create", key);
    return inner().create(key, value);
  }
  void remove(std::string_view key) override {
    hook_("remove", key);
    inner().remove(key);
  }
  std::vector<Entry> list(std::string_view prefix) override {
    hook_("list", prefix);
    return inner().list(prefix);
  }
  void save_all(std::span<const Item> items) override {
    for (const Item& item : items) save(item.key, item.value);
  }
  void remove_all(std::span<const std::string> keys) override {
    for (const std::string& key : keys) remove(key);
  }
  void clear(std::string_view prefix) override {
    hook_("clear", prefix);
    inner().clear(prefix);
  }
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    for (const std::string& key : keys) hook_("load", key);
    return inner().load_all(keys, deadline);
  }
  SumAnswer push_pull(const SumRequest& request, std::span<double> totals, std::span<float> values,
                      Deadline deadline) override {
    hook_("sum", request.key);
    return inner().aggregator()->push_pull(request, totals, values, deadline);
  }

 private:
  FaultHook hook_;
};

}  // namespace

std::shared_ptr<Storage> with_faults(std::shared_ptr<Storage> inner, FaultHook hook) {
  return std::make_shared<Faulty>(std::move(inner), std::move(hook));
}

}  // namespace lambdaml::storage
