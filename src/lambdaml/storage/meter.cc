#include "lambdaml/storage/meter.h"

#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

/// Counts one request for each value that arrives.
class MeteredWatch final : public KeyWatch {
 public:
  MeteredWatch(std::unique_ptr<KeyWatch> inner, std::shared_ptr<Meter> meter)
      : inner_(std::move(inner)), meter_(std::move(meter)) {}

  std::vector<Arrival> next(Deadline deadline, std::size_t below) override {
    return counted(inner_->next(deadline, below));
  }
  std::vector<Arrival> poll_all() override { return counted(inner_->poll_all()); }
  double receiving_s() const override { return inner_->receiving_s(); }

 private:
  std::vector<Arrival> counted(std::vector<Arrival> arrivals) {
    for (const Arrival& arrival : arrivals) meter_->count_get(1, arrival.value.size());
    return arrivals;
  }

  std::unique_ptr<KeyWatch> inner_;
  std::shared_ptr<Meter> meter_;
};

class Metered final : public Wrapper {
 public:
  Metered(std::shared_ptr<Storage> inner, std::shared_ptr<Meter> meter)
      : Wrapper(std::move(inner)), meter_(std::move(meter)) {}

  void save(std::string_view key, Bytes value) override {
    meter_->count_put(1, value.size());
    inner().save(key, value);
  }
  void save_gathered(std::string_view key, std::span<const Bytes> pieces) override {
    std::uint64_t bytes = 0;
    for (const Bytes piece : pieces) bytes += piece.size();
    meter_->count_put(1, bytes);
    inner().save_gathered(key, pieces);
  }
  std::optional<Buffer> load(std::string_view key) override {
    std::optional<Buffer> value = inner().load(key);
    meter_->count_get(1, value ? value->size() : 0);
    return value;
  }
  bool create(std::string_view key, Bytes value) override {
    meter_->count_put(1, value.size());
    return inner().create(key, value);
  }
  void remove(std::string_view key) override {
    meter_->count_remove(1);
    inner().remove(key);
  }
  std::vector<Entry> list(std::string_view prefix) override {
    meter_->count_list(1);
    return inner().list(prefix);
  }
  bool exists(std::string_view key) override {
    meter_->count_get(1, 0);
    return inner().exists(key);
  }
  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    std::optional<Buffer> part = inner().load_range(key, begin, bytes);
    meter_->count_get(1, part ? part->size() : 0);
    return part;
  }
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    std::vector<std::optional<Buffer>> values = inner().load_present(keys);
    std::uint64_t bytes = 0;
    for (const std::optional<Buffer>& value : values) bytes += value ? value->size() : 0;
    meter_->count_get(keys.size(), bytes);
    return values;
  }
  void save_all(std::span<const Item> items) override {
    count_put(items);
    inner().save_all(items);
  }
  void remove_all(std::span<const std::string> keys) override {
    meter_->count_remove(keys.size());
    inner().remove_all(keys);
  }
  void save_and_remove(std::span<const Item> items, std::span<const std::string> keys) override {
    count_put(items);
    meter_->count_remove(keys.size());
    inner().save_and_remove(items, keys);
  }
  /// How a store clears is not visible here; it is counted as one list.
  void clear(std::string_view prefix) override {
    meter_->count_list(1);
    inner().clear(prefix);
  }
  /// Polls that find nothing are not visible here.
  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    return std::make_unique<MeteredWatch>(inner().watch(std::move(keys)), meter_);
  }

 private:
  void count_put(std::span<const Item> items) {
    std::uint64_t bytes = 0;
    for (const Item& item : items) bytes += item.value.size();
    meter_->count_put(items.size(), bytes);
  }

  std::shared_ptr<Meter> meter_;
};

}  // namespace

Usage& Usage::operator+=(const Usage& other) {
  const auto add = [](Kind& kind, const Kind& more) {
    kind.requests += more.requests;
    kind.bytes += more.bytes;
  };
  add(put, other.put);
  add(get, other.get);
  add(list, other.list);
  add(remove, other.remove);
  write_units += other.write_units;
  read_units += other.read_units;
  return *this;
}

Usage Meter::usage() const {
  Usage usage;
  usage.put = {puts_, put_bytes_};
  usage.get = {gets_, get_bytes_};
  usage.list = {lists_, 0};
  usage.remove = {removes_, 0};
  usage.write_units = write_units_;
  usage.read_units = read_units_;
  return usage;
}

void Meter::count_put(std::uint64_t requests, std::uint64_t bytes) {
  puts_ += requests;
  put_bytes_ += bytes;
}
void Meter::count_get(std::uint64_t requests, std::uint64_t bytes) {
  gets_ += requests;
  get_bytes_ += bytes;
}
void Meter::count_list(std::uint64_t requests) { lists_ += requests; }
void Meter::count_remove(std::uint64_t requests) { removes_ += requests; }
void Meter::count_units(double written, double read) {
  write_units_ += written;
  read_units_ += read;
}

std::shared_ptr<Storage> with_meter(std::shared_ptr<Storage> inner, std::shared_ptr<Meter> meter) {
  if (inner->count_into(meter)) return inner;
  return std::make_shared<Metered>(std::move(inner), std::move(meter));
}

}  // namespace lambdaml::storage
