#include <algorithm>
#include <map>

#include "lambdaml/base/text.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/dynamodb/address.h"
#include "lambdaml/storage/dynamodb/batches.h"
#include "lambdaml/storage/dynamodb/item.h"
#include "lambdaml/storage/dynamodb/reply.h"
#include "lambdaml/storage/dynamodb/service.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/wait.h"

/// A table of Amazon DynamoDB: one item per key. Reads are consistent, so saves are visible at
/// once. Writes cannot be subscribed to, so waits poll.
namespace lambdaml::storage::dynamodb {
namespace {

/// Keys polled together once the first missing one has arrived.
constexpr std::size_t kKeysAtOnce = 400;

std::string quoted(std::string_view key) { return fmt::format("'{}'", key); }

class DynamoDb final : public Storage {
 public:
  DynamoDb(Address address, std::shared_ptr<Patience> patience)
      : service_(std::move(address), std::move(patience)) {}

  Capabilities capabilities() const override {
    return {.max_value_bytes = kMostValueBytes, .polling_is_expensive = true};
  }
  std::string describe() const override { return "dynamodb://" + service_.table(); }

  void take_share(double share) override { service_.pace().take_share(share); }

  bool count_into(std::shared_ptr<Meter> meter) override {
    service_.count_into(std::move(meter));
    return true;
  }

  void save(std::string_view key, Bytes value) override { put(key, value, false); }

  bool create(std::string_view key, Bytes value) override {
    const aws::Response answer = put(key, value, true);
    if (answer.ok()) return true;
    if (answer.tries <= 1) return false;
    // An earlier attempt may have succeeded without its answer being received.
    const std::optional<Buffer> there = load(key);
    return there && std::ranges::equal(there->view(), value);
  }

  std::optional<Buffer> load(std::string_view key) override { return get(key); }

  /// Reads the item's size, which is billed like its value but not transferred.
  bool exists(std::string_view key) override {
    check_text_key(key);
    const std::string attribute = service_.key_attribute();
    std::string body = begin_request();
    append_sizes_only(body);
    body += R"(,"Key":)";
    append_key(body, attribute, key);
    body += '}';
    const aws::Response answer = service_.call("GetItem", Kind::get, body, quoted(key));
    const Reply reply = service_.parse("GetItem", quoted(key), answer);
    const std::uint64_t bytes = reply.items.empty() ? 0 : reply.items.front().bytes.value_or(0);
    service_.count_read(reply, read_units(item_bytes(attribute, key, bytes)));
    return !reply.items.empty();
  }

  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    std::vector<std::optional<Buffer>> out(keys.size());
    if (keys.size() == 1) {
      out.front() = get(keys.front());
      return out;
    }
    for (const std::string& key : keys) check_text_key(key);
    std::map<std::string_view, Buffer> found;
    batches_.get(each_once(keys), found);
    std::map<std::string_view, std::size_t> wanted;  // how often: a key may stand there twice
    for (const std::string& key : keys) ++wanted[key];
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto at = found.find(keys[i]);
      if (at == found.end()) continue;
      out[i] = --wanted[keys[i]] == 0 ? std::move(at->second) : Buffer(at->second.view());
    }
    return out;
  }

  void remove(std::string_view key) override {
    check_text_key(key);
    const std::string attribute = service_.key_attribute();
    std::string body = begin_request();
    body += R"(,"Key":)";
    append_key(body, attribute, key);
    body += '}';
    const aws::Response answer = service_.call("DeleteItem", Kind::remove, body, quoted(key));
    service_.count_written(service_.parse("DeleteItem", quoted(key), answer), 1);
  }

  std::vector<Entry> list(std::string_view prefix) override {
    const std::string attribute = service_.key_attribute();
    // Texts are filtered there, bytes here: a prefix may end within a character.
    const std::string_view ascii = prefix.substr(
        0, static_cast<std::size_t>(std::ranges::find_if(prefix, is_not_plain) - prefix.begin()));
    std::string body = begin_request();
    append_sizes_only(body);
    if (!ascii.empty()) {
      body += R"x(,"FilterExpression":"begins_with(#k,:p)")x";
      body += R"(,"ExpressionAttributeValues":{":p":{"S":)";
      append_string(body, ascii);
      body += "}}";
    }
    std::vector<Entry> entries;
    for (std::string next;;) {
      std::string page = body;
      if (!next.empty()) page += R"(,"ExclusiveStartKey":)" + next;
      page += '}';
      const aws::Response answer = service_.call("Scan", Kind::list, page, "all keys");
      Reply reply = service_.parse("Scan", "all keys", answer);
      service_.count_read(reply, 1);
      for (ReplyItem& item : reply.items)
        if (item.bytes && item.key.starts_with(prefix))
          entries.push_back({std::move(item.key), *item.bytes});
      check_count(entries.size(), describe());
      if (reply.next.empty()) break;
      if (reply.next == next) fail(Code::data_corrupt, "{}: a Scan makes no progress", describe());
      next = std::move(reply.next);
    }
    std::ranges::sort(entries, {}, &Entry::key);
    return entries;
  }

  void save_all(std::span<const Item> items) override {
    std::map<std::string_view, Bytes> values;  // the last of a key wins
    for (const Item& item : items) {
      check_text_key(item.key);
      check_size(item.key, item.value);
      values[item.key] = item.value;
    }
    if (values.size() == 1) return save(values.begin()->first, values.begin()->second);
    batches_.put(values);
  }

  void remove_all(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check_text_key(key);
    const std::vector<std::string_view> once = each_once(keys);
    if (once.size() == 1) return remove(once.front());
    batches_.remove(once);
  }

  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    return watch_by_polling(*this, std::move(keys), pacer_, kKeysAtOnce);
  }

 private:
  static bool is_not_plain(char c) { return static_cast<signed char>(c) < 0x20; }

  /// Everything that each operation on one item says, without the closing brace.
  std::string begin_request() const {
    return fmt::format(R"({{"TableName":"{}","ReturnConsumedCapacity":"TOTAL")", service_.table());
  }

  /// That of items only their keys and sizes are asked for.
  void append_sizes_only(std::string& body) {
    body += R"(,"ConsistentRead":true,"ProjectionExpression":"#k,#n")";
    body += R"(,"ExpressionAttributeNames":{"#k":)";
    append_string(body, service_.key_attribute());
    body += R"(,"#n":)";
    append_string(body, kBytesAttribute);
    body += '}';
  }

  void check_size(std::string_view key, Bytes value) const {
    if (value.size() > kMostValueBytes)
      fail(Code::resource_exhausted, "{}: the value of '{}' has {} bytes; an item holds {}",
           describe(), key, value.size(), kMostValueBytes);
  }

  aws::Response put(std::string_view key, Bytes value, bool if_absent) {
    check_text_key(key);
    check_size(key, value);
    const std::string attribute = service_.key_attribute();
    std::string body = begin_request();
    if (if_absent) {
      body += R"x(,"ConditionExpression":"attribute_not_exists(#k)")x";
      body += R"(,"ExpressionAttributeNames":{"#k":)";
      append_string(body, attribute);
      body += '}';
    }
    body += R"(,"Item":)";
    append_item(body, attribute, key, value);
    body += '}';
    if (Meter* meter = service_.meter()) meter->count_put(0, value.size());
    aws::Response answer = service_.call("PutItem", Kind::put, body, quoted(key));
    const double computed = write_units(item_bytes(attribute, key, value.size()));
    service_.count_written(answer.ok() ? service_.parse("PutItem", quoted(key), answer) : Reply(),
                           computed);
    return answer;
  }

  std::optional<Buffer> get(std::string_view key) {
    check_text_key(key);
    const std::string attribute = service_.key_attribute();
    std::string body = begin_request();
    body += R"(,"ConsistentRead":true,"Key":)";
    append_key(body, attribute, key);
    body += '}';
    const aws::Response answer = service_.call("GetItem", Kind::get, body, quoted(key));
    Reply reply = service_.parse("GetItem", quoted(key), answer);
    service_.count_read(reply,
                        reply.items.empty() ? 1 : service_.read_units_of(reply.items.front()));
    if (reply.items.empty()) return {};
    if (reply.items.front().key != key)
      fail(Code::data_corrupt, "{}: GetItem of '{}' gave another item", describe(), key);
    return service_.take_value("GetItem", reply.items.front());
  }

  static std::vector<std::string_view> each_once(std::span<const std::string> keys) {
    std::vector<std::string_view> out(keys.begin(), keys.end());
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  Service service_;
  Batches batches_{service_};
  Pacer pacer_{Pacer::kExpensivePolling};
};

std::shared_ptr<Storage> open(const Uri& uri, const Options& options,
                              std::shared_ptr<Patience> patience) {
  auto store = std::make_shared<DynamoDb>(address_of(uri, options), std::move(patience));
  if (uri.path.empty()) return store;
  return with_prefix(std::move(store), uri.path + "/");
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "dynamodb",
                .help = "a table of Amazon DynamoDB: "
                        "dynamodb://table[/prefix][?region=…][&endpoint=…][&create=true]",
                .open = open,
                .default_uri = [] { return Uri::parse("dynamodb://lambdaml"); },
                .options = address_options(),
                .save_batch = kSaveBatch,
                .load_batch = kLoadBatch,
                .removal_batch = kRemovalBatch});
}

}  // namespace lambdaml::storage::dynamodb
