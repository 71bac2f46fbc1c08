#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "lambdaml/base/text.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/dynamodb/item.h"
#include "lambdaml/storage/dynamodb/reply.h"
#include "lambdaml/storage/dynamodb/service.h"
#include "lambdaml/storage/registry.h"

/// A table of Amazon DynamoDB: one item a key. Reads are consistent, so what was saved is seen at
/// once; there is no way to be told of a write, so waits look again and again.
namespace lambdaml::storage::dynamodb {
namespace {

/// DynamoDB's most for a BatchWriteItem; of the largest items it stays below the 16 MB that a
/// request or reply may have, so it is ours for a BatchGetItem too (which may have 100).
constexpr std::size_t kItemsPerBatch = 25;
/// A batch is closed when it has so many bytes of values: several small ones go at once.
constexpr std::uint64_t kBytesPerBatch = 2'000'000;
/// Batches whose texts are in memory at once.
constexpr std::size_t kBatchesAtOnce = 16;

/// Times that a batch may come back without any of its items done.
constexpr int kTriesInVain = 7;
constexpr double kFirstPause_s = 0.02, kLongestPause_s = 2;
/// How long a look may take when its wait ends meanwhile: a slow answer is no absence.
constexpr double kGrace_s = 3;

/// Pauses between tries of what the service left undone: they double, jittered to 50–100 %.
class BackOff {
 public:
  /// Called after each try; false when too many in a row got nothing done.
  bool pause(bool progress) {
    if (progress) {
      in_vain_ = 0;
      pause_s_ = kFirstPause_s;
    }
    if (++in_vain_ > kTriesInVain) return false;
    thread_local std::minstd_rand random(std::random_device{}());
    std::this_thread::sleep_for(std::chrono::duration<double>(
        pause_s_ * std::uniform_real_distribution<double>(0.5, 1.0)(random)));
    pause_s_ = std::min(2 * pause_s_, kLongestPause_s);
    return true;
  }

 private:
  int in_vain_ = 0;
  double pause_s_ = kFirstPause_s;
};

std::string quoted(std::string_view key) { return fmt::format("'{}'", key); }
std::string keys_text(std::size_t n) { return fmt::format("{} keys", n); }

class DynamoDb final : public Storage {
 public:
  explicit DynamoDb(Address address) : service_(std::move(address)) {}

  Capabilities capabilities() const override {
    return {.max_value_bytes = kMostValueBytes, .dear_looks = true};
  }
  std::string describe() const override { return "dynamodb://" + service_.table(); }

  bool count_into(std::shared_ptr<Meter> meter) override {
    service_.count_into(std::move(meter));
    return true;
  }

  void save(std::string_view key, Bytes value) override { put(key, value, false); }

  bool create(std::string_view key, Bytes value) override {
    const aws::Response answer = put(key, value, true);
    if (answer.ok()) return true;
    if (answer.tries <= 1) return false;
    // An earlier try may have gone through unheard.
    const std::optional<Buffer> there = load(key);
    return there && std::ranges::equal(there->view(), value);
  }

  std::optional<Buffer> load(std::string_view key) override { return get(key, Deadline::never()); }

  void remove(std::string_view key) override {
    check_key(key);
    const std::string attribute = service_.key_attribute();
    std::string body = begin_request();
    body += R"(,"Key":)";
    append_key(body, attribute, key);
    body += '}';
    const aws::Response answer = service_.call("DeleteItem", Kind::remove, body, quoted(key));
    count_written(parse("DeleteItem", quoted(key), answer, attribute), 1);
  }

  std::vector<Entry> list(std::string_view prefix) override {
    const std::string attribute = service_.key_attribute();
    // Texts are filtered there, bytes here: a prefix may end within a character.
    const std::string_view ascii = prefix.substr(
        0, static_cast<std::size_t>(std::ranges::find_if(prefix, is_not_plain) - prefix.begin()));
    std::string body = begin_request();
    body += R"(,"ConsistentRead":true,"ProjectionExpression":"#k,#n")";
    body += R"(,"ExpressionAttributeNames":{"#k":)";
    append_string(body, attribute);
    body += R"(,"#n":)";
    append_string(body, kBytesAttribute);
    body += '}';
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
      Reply reply = parse("Scan", "all keys", answer, attribute);
      count_read(reply, 1);
      for (ReplyItem& item : reply.items)
        if (item.bytes && item.key.starts_with(prefix))
          entries.push_back({std::move(item.key), *item.bytes});
      if (reply.next.empty()) break;
      if (reply.next == next)
        fail(Code::data_corrupt, "{}: a Scan that does not go on", describe());
      next = std::move(reply.next);
    }
    std::ranges::sort(entries, {}, &Entry::key);
    return entries;
  }

  void save_all(std::span<const Item> items) override {
    std::map<std::string_view, Bytes> values;  // the last of a key wins
    for (const Item& item : items) {
      check_key(item.key);
      check_size(item.key, item.value);
      values[item.key] = item.value;
    }
    if (values.size() == 1) return save(values.begin()->first, values.begin()->second);
    const std::string attribute = service_.key_attribute();
    write_all(values, Kind::put, attribute,
              [&](std::string& body, std::string_view key, Bytes value) {
                body += R"({"PutRequest":{"Item":)";
                append_item(body, attribute, key, value);
                body += "}}";
              });
  }

  void remove_all(std::span<const std::string> keys) override {
    std::map<std::string_view, Bytes> values;
    for (const std::string& key : keys) {
      check_key(key);
      values[key] = {};
    }
    if (values.size() == 1) return remove(values.begin()->first);
    const std::string attribute = service_.key_attribute();
    write_all(values, Kind::remove, attribute, [&](std::string& body, std::string_view key, Bytes) {
      body += R"({"DeleteRequest":{"Key":)";
      append_key(body, attribute, key);
      body += "}}";
    });
  }

  /// A look is a GetItem of one missing key; when it has come, the others are fetched in batches.
  /// A wait in vain so costs one unit a look, however many keys are missing.
  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    if (keys.empty()) return {};
    for (const std::string& key : keys) check_key(key);
    std::map<std::string_view, Buffer> found;
    std::vector<std::string_view> missing(keys.begin(), keys.end());
    std::ranges::sort(missing);
    missing.erase(std::ranges::unique(missing).begin(), missing.end());

    const Stopwatch waited;
    const bool waits = !deadline.passed();
    Pacer::Wait wait = pacer_.wait_for(keys.front());
    bool looked = false;
    while (true) {
      const double pause = wait.next_look_s() - waited.seconds();
      if (waits && pause > 0)
        std::this_thread::sleep_for(
            std::chrono::duration<double>(std::min(pause, deadline.seconds_left())));
      const bool last_look = deadline.passed();
      const Deadline patience =
          waits ? Deadline::in(std::max(deadline.seconds_left(), kGrace_s)) : Deadline::never();
      try {
        look(missing, found, last_look, patience);
      } catch (const Error& error) {
        if (error.code() != Code::deadline_exceeded || !looked) throw;
        fail_missing(describe(), in_order_of(keys, missing), waited.seconds());
      }
      looked = true;
      if (missing.empty()) break;
      wait.in_vain(waited.seconds());
      if (last_look) fail_missing(describe(), in_order_of(keys, missing), waited.seconds());
    }
    if (waits) wait.found(waited.seconds());
    return values_of(keys, found);
  }

 private:
  static bool is_not_plain(char c) { return static_cast<signed char>(c) < 0x20; }

  /// Everything that each operation on one item says, without the closing brace.
  std::string begin_request() const {
    return fmt::format(R"({{"TableName":"{}","ReturnConsumedCapacity":"TOTAL")", service_.table());
  }

  Reply parse(std::string_view name, std::string_view subject, const aws::Response& answer,
              std::string_view attribute) const {
    try {
      return parse_reply(answer.body.text(), attribute);
    } catch (const Error&) {
      service_.rethrow(name, subject);
    }
  }

  Buffer take_value(std::string_view name, ReplyItem& item) const {
    try {
      Buffer value = item.take_value();
      if (Meter* meter = service_.meter()) meter->count_get(0, value.size());
      return value;
    } catch (const Error&) {
      service_.rethrow(name, quoted(printable(item.key)));
    }
  }

  /// Capacity that the service says was consumed, or else `computed`.
  void count_written(const Reply& reply, double computed) const {
    if (Meter* meter = service_.meter()) meter->count_units(reply.units.value_or(computed), 0);
  }
  void count_read(const Reply& reply, double computed) const {
    if (Meter* meter = service_.meter()) meter->count_units(0, reply.units.value_or(computed));
  }

  void check_size(std::string_view key, Bytes value) const {
    if (value.size() > kMostValueBytes)
      fail(Code::resource_exhausted, "{}: the value of '{}' has {} bytes; an item holds {}",
           describe(), key, value.size(), kMostValueBytes);
  }

  aws::Response put(std::string_view key, Bytes value, bool if_absent) {
    check_key(key);
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
    count_written(answer.ok() ? parse("PutItem", quoted(key), answer, attribute) : Reply(),
                  computed);
    return answer;
  }

  std::optional<Buffer> get(std::string_view key, Deadline deadline) {
    check_key(key);
    const std::string attribute = service_.key_attribute();
    std::string body = begin_request();
    body += R"(,"ConsistentRead":true,"Key":)";
    append_key(body, attribute, key);
    body += '}';
    const aws::Response answer = service_.call("GetItem", Kind::get, body, quoted(key), deadline);
    Reply reply = parse("GetItem", quoted(key), answer, attribute);
    count_read(reply, reply.items.empty() ? 1 : units_of(reply.items.front(), attribute));
    if (reply.items.empty()) return {};
    if (reply.items.front().key != key)
      fail(Code::data_corrupt, "{}: GetItem of '{}' gave another item", describe(), key);
    return take_value("GetItem", reply.items.front());
  }

  static double units_of(const ReplyItem& item, std::string_view attribute) {
    return read_units(item_bytes(attribute, item.key, item.value ? item.value->size() : 0));
  }

  /// Moves what is there from `missing` to `found`: all of it, or only if the first one is there.
  void look(std::vector<std::string_view>& missing, std::map<std::string_view, Buffer>& found,
            bool all, Deadline deadline) {
    if (!all || missing.size() == 1) {
      std::optional<Buffer> first = get(missing.front(), deadline);
      if (first) {
        found[missing.front()] = std::move(*first);
        missing.erase(missing.begin());
      } else {
        return;
      }
    }
    if (!missing.empty()) get_all(missing, found, deadline);
  }

  /// Looks at each of `missing` once.
  void get_all(std::vector<std::string_view>& missing, std::map<std::string_view, Buffer>& found,
               Deadline deadline) {
    const std::string attribute = service_.key_attribute();
    const std::string subject = keys_text(missing.size());
    std::vector<std::string_view> open = missing;  // not yet answered for
    BackOff back_off;
    while (!open.empty()) {
      std::vector<std::string_view> later;
      bool progress = false;
      for (std::size_t begin = 0; begin < open.size();) {
        std::vector<std::string> bodies;
        std::vector<std::span<const std::string_view>> asked;
        for (; begin < open.size() && bodies.size() < kBatchesAtOnce;
             begin += asked.back().size()) {
          asked.push_back(
              std::span(open).subspan(begin, std::min(kItemsPerBatch, open.size() - begin)));
          bodies.push_back(batch_get(asked.back(), attribute));
        }
        const std::vector<aws::Response> answers =
            service_.call_all("BatchGetItem", Kind::get, bodies, subject, deadline);
        for (std::size_t i = 0; i < answers.size(); ++i) {
          Reply reply = parse("BatchGetItem", subject, answers[i], attribute);
          double computed = static_cast<double>(
              asked[i].size() -
              std::min(asked[i].size(), reply.items.size() + reply.unprocessed.size()));
          for (const ReplyItem& item : reply.items) computed += units_of(item, attribute);
          count_read(reply, computed);
          for (ReplyItem& item : reply.items)
            found[asked_for(item.key, asked[i], "BatchGetItem")] = take_value("BatchGetItem", item);
          for (const std::string& key : reply.unprocessed)
            later.push_back(asked_for(key, asked[i], "BatchGetItem"));
          progress |= reply.unprocessed.size() < asked[i].size();
        }
      }
      if (!later.empty() && (!back_off.pause(progress) || deadline.passed()))
        fail(Code::unavailable, "{}: BatchGetItem of {}: the service is too busy for {} of them",
             describe(), subject, later.size());
      open = std::move(later);
    }
    std::erase_if(missing, [&](std::string_view key) { return found.contains(key); });
  }

  std::string batch_get(std::span<const std::string_view> keys, std::string_view attribute) const {
    std::string body = fmt::format(
        R"({{"ReturnConsumedCapacity":"TOTAL","RequestItems":{{"{}":{{"ConsistentRead":true,"Keys":)",
        service_.table());
    char separator = '[';
    for (const std::string_view key : keys) {
      body += separator;
      append_key(body, attribute, key);
      separator = ',';
    }
    body += "]}}}";
    return body;
  }

  /// The key of ours that a reply names.
  std::string_view asked_for(std::string_view key, std::span<const std::string_view> asked,
                             std::string_view name) const {
    const auto at = std::ranges::find(asked, key);
    if (at == asked.end())
      fail(Code::data_corrupt, "{}: {}: the reply names '{}', which was not asked for", describe(),
           name, printable(key));
    return *at;
  }

  /// BatchWriteItem of all, `append` writes the request of one.
  template <class Append>
  void write_all(const std::map<std::string_view, Bytes>& values, Kind kind,
                 std::string_view attribute, Append&& append) {
    const std::string subject = keys_text(values.size());
    std::vector<std::string_view> open;
    for (const auto& [key, value] : values) open.push_back(key);
    if (Meter* meter = service_.meter(); meter && kind == Kind::put)
      for (const auto& [key, value] : values) meter->count_put(0, value.size());
    BackOff back_off;
    while (!open.empty()) {
      std::vector<std::string_view> later;
      bool progress = false;
      for (std::size_t begin = 0; begin < open.size();) {
        std::vector<std::string> bodies;
        std::vector<std::span<const std::string_view>> asked;
        while (begin < open.size() && bodies.size() < kBatchesAtOnce) {
          std::string& body = bodies.emplace_back(fmt::format(
              R"({{"ReturnConsumedCapacity":"TOTAL","RequestItems":{{"{}":)", service_.table()));
          std::uint64_t bytes = 0;
          std::size_t n = 0;
          for (; begin + n < open.size() && n < kItemsPerBatch && bytes < kBytesPerBatch; ++n) {
            const std::string_view key = open[begin + n];
            body += n == 0 ? '[' : ',';
            append(body, key, values.at(key));
            bytes += values.at(key).size();
          }
          body += "]}}";
          asked.push_back(std::span(open).subspan(begin, n));
          begin += n;
        }
        const std::vector<aws::Response> answers =
            service_.call_all("BatchWriteItem", kind, bodies, subject);
        for (std::size_t i = 0; i < answers.size(); ++i) {
          const Reply reply = parse("BatchWriteItem", subject, answers[i], attribute);
          double computed = 0;
          for (const std::string_view key : asked[i])
            if (std::ranges::find(reply.unprocessed, key) == reply.unprocessed.end())
              computed += write_units(item_bytes(attribute, key, values.at(key).size()));
          count_written(reply, computed);
          for (const std::string& key : reply.unprocessed)
            later.push_back(asked_for(key, asked[i], "BatchWriteItem"));
          progress |= reply.unprocessed.size() < asked[i].size();
        }
      }
      if (!later.empty() && !back_off.pause(progress))
        fail(Code::unavailable, "{}: BatchWriteItem of {}: the service is too busy for {} of them",
             describe(), subject, later.size());
      open = std::move(later);
    }
  }

  /// Those of `keys` that are in `missing` (sorted), each once.
  static std::vector<std::string> in_order_of(std::span<const std::string> keys,
                                              std::vector<std::string_view> missing) {
    std::vector<std::string> out;
    for (const std::string& key : keys) {
      const auto at = std::ranges::find(missing, key);
      if (at == missing.end()) continue;
      missing.erase(at);
      out.push_back(key);
    }
    return out;
  }

  /// In the order of `keys`, of which one may stand there twice.
  static std::vector<Buffer> values_of(std::span<const std::string> keys,
                                       std::map<std::string_view, Buffer>& found) {
    std::map<std::string_view, std::size_t> wanted;
    for (const std::string& key : keys) ++wanted[key];
    std::vector<Buffer> out;
    out.reserve(keys.size());
    for (const std::string& key : keys) {
      Buffer& value = found.at(key);
      if (--wanted[key] == 0)
        out.push_back(std::move(value));
      else
        out.emplace_back(value.view());
    }
    return out;
  }

  Service service_;
  Pacer pacer_{{.shortest_s = 0.001, .longest_s = 0.05, .look_at_once = false}};
};

Address address_of(const Uri& uri) {
  const std::string& table = uri.host;
  const bool is_name =
      table.size() >= 3 && table.size() <= 255 && std::ranges::all_of(table, [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.';
      });
  if (!is_name || uri.port)
    fail(Code::invalid_argument,
         "{}: a table's name has 3 to 255 letters, digits, '_', '-' and '.': "
         "dynamodb://table[/prefix]",
         uri.display());
  Address address;
  address.table = table;
  for (const auto& [name, value] : uri.query) {
    if (name == "region") {
      address.region = value;
    } else if (name == "endpoint") {
      address.endpoint = value;
    } else if (name == "create" && (value == "true" || value == "false")) {
      address.create = value == "true";
    } else if (name == "create") {
      fail(Code::invalid_argument, "{}: create is true or false", uri.display());
    } else {
      fail(Code::invalid_argument, "{}: no option '{}'{}", uri.display(), printable(name),
           did_you_mean(name, {"region", "endpoint", "create"}));
    }
  }
  return address;
}

std::shared_ptr<Storage> open(const Uri& uri) {
  auto store = std::make_shared<DynamoDb>(address_of(uri));
  if (uri.path.empty()) return store;
  return with_prefix(std::move(store), uri.path + "/");
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "dynamodb",
                .help = "a table of Amazon DynamoDB: "
                        "dynamodb://table[/prefix][?region=…][&endpoint=…][&create=true]",
                .open = open,
                .default_uri = [] { return Uri::parse("dynamodb://lambdaml"); }});
}

}  // namespace lambdaml::storage::dynamodb
