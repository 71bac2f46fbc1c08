#include "lambdaml/storage/dynamodb/batches.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/service/backoff.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/dynamodb/item.h"

namespace lambdaml::storage::dynamodb {
namespace {

/// Limits how many batches are encoded in memory at once.
constexpr std::size_t kBatchesAtOnce = 16;

constexpr int kTriesInVain = 7;
constexpr double kFirstPause_s = 0.02, kLongestPause_s = 2;

/// Whether a reply has no room for more values, so that what it leaves out says nothing of how busy
/// the service is.
bool is_full(const Reply& reply) {
  double bytes = 0;
  for (const ReplyItem& item : reply.items) bytes += static_cast<double>(item.bytes.value_or(0));
  return bytes >= kLoadBatch.bytes;
}

/// Pauses between attempts, and their count.
class Pauses {
 public:
  /// Call after each attempt; returns false if too many in a row achieved nothing.
  bool pause(bool progress) {
    if (progress) reset();
    if (++in_vain_ > kTriesInVain) return false;
    pause_for(backoff_.next_s());
    return true;
  }
  /// Call instead after one with progress that needs no pause.
  void reset() {
    in_vain_ = 0;
    backoff_.reset();
  }

 private:
  int in_vain_ = 0;
  Backoff backoff_{kFirstPause_s, kLongestPause_s};
};

}  // namespace

void Batches::run(std::string_view name, Kind kind, Keys keys, const Compose& compose,
                  const Take& take) {
  const std::string subject = fmt::format("{} keys", keys.size());
  std::vector<std::string_view> open(keys.begin(), keys.end());  // not yet answered for
  Pauses pauses;
  std::size_t most = kItemsPerBatch;
  while (!open.empty()) {
    std::vector<std::string_view> later;
    bool is_busy = false;
    for (Keys rest = open; !rest.empty();) {
      std::vector<std::string> bodies;
      std::vector<Keys> asked;
      while (!rest.empty() && bodies.size() < kBatchesAtOnce) {
        Batch batch = compose(rest.first(std::min(rest.size(), most)));
        rest = rest.subspan(batch.keys.size());
        asked.push_back(batch.keys);
        bodies.push_back(std::move(batch.body));
      }
      const TimePoint sent_at = time_now();
      const std::vector<aws::Response> answers = service_.call_all(name, kind, bodies, subject);
      for (std::size_t i = 0; i < answers.size(); ++i) {
        Reply reply = service_.parse(name, subject, answers[i]);
        for (const std::string& key : reply.unprocessed) later.push_back(own(key, asked[i], name));
        if (!reply.unprocessed.empty() && is_full(reply)) {
          most = std::min(most, reply.items.size());
        } else if (!reply.unprocessed.empty()) {
          service_.pace().refused(sent_at);
          is_busy = true;
        }
        take(asked[i], reply);
      }
    }
    const bool progress = later.size() < open.size();
    if (progress && !is_busy) pauses.reset();
    if ((is_busy || !progress) && !pauses.pause(progress))
      fail(Code::unavailable,
           "{}: {} of {} in the table '{}': the service is too busy for {} of them",
           service_.endpoint(), name, subject, service_.table(), later.size());
    open = std::move(later);
  }
}

std::string_view Batches::own(std::string_view key, Keys asked, std::string_view name) const {
  const auto at = std::ranges::find(asked, key);
  if (at == asked.end())
    fail(Code::data_corrupt,
         "{}: {} in the table '{}': the reply names '{}', which was not requested",
         service_.endpoint(), name, service_.table(), printable(key));
  return *at;
}

void Batches::count_written(Keys keys, const Reply& reply, const Values& values) const {
  double computed = 0;
  for (const std::string_view key : keys) {
    if (std::ranges::find(reply.unprocessed, key) != reply.unprocessed.end()) continue;
    const auto value = values.find(key);
    computed += write_units(item_bytes(service_.key_attribute(), key,
                                       value == values.end() ? 0 : value->second.size()));
  }
  service_.count_written(reply, computed);
}

void Batches::put(const Values& values) {
  const std::string attribute = service_.key_attribute();
  std::vector<std::string_view> keys;
  for (const auto& [key, value] : values) {
    keys.push_back(key);
    if (Meter* meter = service_.meter()) meter->count_put(0, value.size());
  }
  const auto compose = [&](Keys rest) {
    std::string body = fmt::format(R"({{"ReturnConsumedCapacity":"TOTAL","RequestItems":{{"{}":)",
                                   service_.table());
    std::size_t n = 0;
    for (BatchRequests filled(kSaveBatch); n < rest.size(); ++n) {
      const Bytes value = values.at(rest[n]);
      if (filled.next(static_cast<double>(value.size())) > 0 && n > 0) break;
      body += n == 0 ? R"([{"PutRequest":{"Item":)" : R"(,{"PutRequest":{"Item":)";
      append_item(body, attribute, rest[n], value);
      body += "}}";
    }
    body += "]}}";
    return Batch{rest.first(n), std::move(body)};
  };
  run("BatchWriteItem", Kind::put, keys, compose,
      [&](Keys asked, const Reply& reply) { count_written(asked, reply, values); });
}

void Batches::remove(Keys keys) {
  const std::string attribute = service_.key_attribute();
  const auto compose = [&](Keys rest) {
    std::string body = fmt::format(R"({{"ReturnConsumedCapacity":"TOTAL","RequestItems":{{"{}":)",
                                   service_.table());
    char separator = '[';
    for (const std::string_view key : rest) {
      body += separator;
      body += R"({"DeleteRequest":{"Key":)";
      append_key(body, attribute, key);
      body += "}}";
      separator = ',';
    }
    body += "]}}";
    return Batch{rest, std::move(body)};
  };
  run("BatchWriteItem", Kind::remove, keys, compose,
      [&](Keys asked, const Reply& reply) { count_written(asked, reply, {}); });
}

void Batches::get(Keys keys, Found& found) {
  const std::string attribute = service_.key_attribute();
  const auto compose = [&](Keys rest) {
    std::string body = fmt::format(
        R"({{"ReturnConsumedCapacity":"TOTAL","RequestItems":{{"{}":{{"ConsistentRead":true,"Keys":)",
        service_.table());
    char separator = '[';
    for (const std::string_view key : rest) {
      body += separator;
      append_key(body, attribute, key);
      separator = ',';
    }
    body += "]}}}";
    return Batch{rest, std::move(body)};
  };
  const auto take = [&](Keys asked, Reply& reply) {
    const std::size_t told = reply.items.size() + reply.unprocessed.size();
    auto computed =
        static_cast<double>(asked.size() - std::min(asked.size(), told));  // absent ones
    for (ReplyItem& item : reply.items) {
      computed += service_.read_units_of(item);
      found[own(item.key, asked, "BatchGetItem")] = service_.take_value("BatchGetItem", item);
    }
    service_.count_read(reply, computed);
  };
  run("BatchGetItem", Kind::get, keys, compose, take);
}

}  // namespace lambdaml::storage::dynamodb
