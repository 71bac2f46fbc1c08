#include <algorithm>
#include <deque>
#include <numeric>

#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/s3/address.h"
#include "lambdaml/storage/s3/answers.h"
#include "lambdaml/storage/s3/bucket.h"
#include "lambdaml/storage/s3/digest.h"
#include "lambdaml/storage/s3/lacking.h"
#include "lambdaml/storage/s3/spread.h"
#include "lambdaml/storage/s3/transfer.h"
#include "lambdaml/storage/wait.h"

/// Amazon S3, or a service that speaks its protocol: one object per key. Reads see earlier writes
/// (S3 is strongly consistent since December 2020). Small values cost one request; a wait polls one
/// key with GET, paced by earlier waits in its folder, and never lists.
namespace lambdaml::storage::s3 {
namespace {

constexpr std::size_t kDeletedAtOnce = 1000;
/// Limit of the reply for a thousand keys, each of up to 1,024 bytes, which encoding may triple.
constexpr std::size_t kMostListBytes = 8U << 20U;
/// Parallel GETs once the first missing key has arrived.
constexpr std::size_t kKeysAtOnce = 32;

/// S3's limit.
constexpr std::size_t kLongestReadable = 1024;

/// Why a key, perhaps one that other software wrote, can be neither read nor listed; null if it
/// can. What this program writes has keys by check_text_key(), which every store can hold.
const char* fault_of_readable(std::string_view key) {
  if (key.empty()) return "is empty";
  if (key.size() > kLongestReadable) return "is longer than 1024 bytes";
  if (key.ends_with('/')) return "ends in a slash";
  if (!is_utf8(key)) return "is not UTF-8 text";
  if (std::ranges::any_of(key, [](unsigned char c) { return c < 0x20 || c == 0x7F; }))
    return "has control characters";
  for (const std::string& part : split(key, '/'))
    if (part == "." || part == "..") return "has a part '.' or '..'";
  return nullptr;
}
void check_readable(std::string_view key) {
  if (const char* why = fault_of_readable(key))
    fail(Code::invalid_argument, "the key '{}' {}", printable(key), why);
}
/// What consoles put under the name of an empty folder.
bool is_folder_mark(const Entry& entry) { return entry.bytes == 0 && entry.key.ends_with('/'); }

constexpr const char* kWriterHeader = "x-amz-meta-lambdaml-writer";

/// Those without DeleteObjects, such as Google Cloud Storage's S3 interface.
Lacking& deletes_singly() {
  static Lacking lacking;
  return lacking;
}

class S3 final : public Storage {
 public:
  S3(Address address, std::shared_ptr<Patience> patience)
      : bucket_(std::move(address), std::move(patience)),
        pacer_(Pacer::tuning(true, bucket_.is_express())) {}

  Capabilities capabilities() const override {
    return {.create_varies = true,
            .polling_is_expensive = true,
            .polling_is_quick = bucket_.is_express(),
            .writes_per_s = bucket_.writes_per_s()};
  }
  std::string describe() const override { return "s3://" + bucket_.name(); }

  void take_share(double share) override { bucket_.pace().take_share(share); }

  bool count_into(std::shared_ptr<Meter> meter) override {
    bucket_.count_into(std::move(meter));
    return true;
  }

  void save(std::string_view key, Bytes value) override {
    check_text_key(key);
    if (value.size() > kOneRequestBytes) return upload_in_parts(bucket_, key, value);
    const std::string what = what_for("saving", key);
    bucket_.need_ok(put(bucket_, put_request(bucket_, key, value), what), what);
  }

  std::optional<Buffer> load(std::string_view key) override {
    check_readable(key);
    return finish_get(bucket_, key,
                      bucket_.call(get_request(bucket_, key), what_for("loading", key)));
  }

  bool exists(std::string_view key) override {
    check_readable(key);
    const std::string what = what_for("looking up", key);
    const aws::Response answer = bucket_.call(bucket_.request("HEAD", key), what);
    if (Bucket::is_bare_absence(answer)) return get_part(bucket_, key, 0, 1).has_value();
    if (answer.status == 404) return false;
    bucket_.need_ok(answer, what);
    return true;
  }

  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    check_readable(key);
    return get_part(bucket_, key, begin, bytes);
  }

  /// One GET per key, all in parallel.
  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check_readable(key);
    std::vector<aws::Request> gets;
    for (const std::string& key : keys) gets.push_back(get_request(bucket_, key));
    const std::string what = keys.size() == 1 ? what_for("loading", keys.front())
                                              : fmt::format("loading {} values", keys.size());
    std::vector<aws::Response> answers = bucket_.call_all(gets, what);
    std::vector<std::optional<Buffer>> values;
    for (std::size_t i = 0; i < keys.size(); ++i)
      values.push_back(finish_get(bucket_, keys[i], std::move(answers[i])));
    return values;
  }

  bool create(std::string_view key, Bytes value) override {
    check_text_key(key);
    const std::string what = what_for("creating", key);
    if (value.size() > kLargestPut)
      fail(Code::resource_exhausted, "s3://{}: {}: one request takes 5 GB at most", bucket_.name(),
           what);
    aws::Request request = put_request(bucket_, key, value);
    const std::string me = unique_id();  // of this call
    request.headers.emplace_back("if-none-match", "*");
    request.headers.emplace_back(kWriterHeader, me);
    const aws::Response answer = put(bucket_, std::move(request), what);
    if (answer.status != 412) {
      if (bucket_.is_unsupported(answer))
        fail(Code::invalid_argument,
             "{}: s3://{}: {}: HTTP {}: the server has no conditional writes (If-None-Match: *): "
             "choose another store, or a server that has them (docs/reference/channels.md)",
             bucket_.endpoint(), bucket_.name(), what, answer.status);
      bucket_.need_ok(answer, what);
      return true;
    }
    if (answer.tries <= 1) return false;
    // The key exists, perhaps because of an attempt of this call whose answer was lost.
    const aws::Response there = bucket_.call(bucket_.request("HEAD", key), what);
    // Not what some other server says of a page that it does not have.
    if (Bucket::is_bare_absence(there) && !get_part(bucket_, key, 0, 1))
      fail(Code::unavailable, "{}: s3://{}: {}: it was refused as present, and is not there",
           bucket_.endpoint(), bucket_.name(), what);
    if (there.status != 404) bucket_.need_ok(there, what);
    return there.header(kWriterHeader) == me;
  }

  void remove(std::string_view key) override {
    check_readable(key);
    const std::string what = what_for("removing", key);
    need_removed(bucket_.call(bucket_.request("DELETE", key), what), what);
  }

  /// One request per thousand keys.
  std::vector<Entry> list(std::string_view prefix) override {
    const std::string what = what_for("listing", prefix);
    // A directory bucket lists whole folders.
    const std::string listed(bucket_.is_express() ? prefix.substr(0, prefix.rfind('/') + 1)
                                                  : prefix);
    std::vector<Entry> entries;
    std::size_t left_out = 0;
    std::string token;
    do {
      aws::Request get = bucket_.request("GET");
      get.query = {{"list-type", "2"}, {"encoding-type", "url"}};
      if (!listed.empty() || !bucket_.is_express()) get.query.emplace_back("prefix", listed);
      if (!token.empty()) get.query.emplace_back("continuation-token", token);
      get.most_bytes = kMostListBytes;
      const aws::Response answer = bucket_.call(get, what);
      bucket_.need_ok(answer, what);
      Page page = bucket_.read(answer, what, parse_page);
      if (!page.next.empty() && page.next == token)
        fail(Code::data_corrupt, "s3://{}: {}: the list goes in a circle", bucket_.name(), what);
      token = std::move(page.next);
      for (Entry& entry : page.entries) {
        if (!entry.key.starts_with(prefix) || is_folder_mark(entry)) continue;
        if (fault_of_readable(entry.key) == nullptr)
          entries.push_back(std::move(entry));
        else
          ++left_out;
      }
      check_count(entries.size(), describe());
    } while (!token.empty());
    if (left_out > 0)
      log::warn_once(
          fmt::format("s3://{}: {}: {} keys are left out, as their names have "
                      "control characters or a part '.' or '..', or end in a /",
                      bucket_.name(), what, left_out));
    std::ranges::sort(entries, {}, &Entry::key);
    return entries;
  }

  void save_all(std::span<const Item> items) override {
    std::vector<aws::Request> puts;
    for (const Item& item : items) {
      check_text_key(item.key);
      if (item.value.size() <= kOneRequestBytes)
        puts.push_back(put_request(bucket_, item.key, item.value));
    }
    const std::string what = fmt::format("saving {} values", puts.size());
    for (const aws::Response& answer : put_all(bucket_, puts, what)) bucket_.need_ok(answer, what);
    for (const Item& item : items)
      if (item.value.size() > kOneRequestBytes) upload_in_parts(bucket_, item.key, item.value);
  }

  /// One request per thousand keys, or one per key where the server has no such request.
  void remove_all(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check_readable(key);
    if (keys.size() == 1) return remove(keys.front());
    if (deletes_singly().contains(bucket_.server())) return remove_singly(keys);
    const std::string what = fmt::format("removing {} keys", keys.size());
    std::deque<std::string> bodies;
    std::vector<aws::Request> posts;
    for (std::size_t at = 0; at < keys.size(); at += kDeletedAtOnce) {
      const std::string& body = bodies.emplace_back(
          delete_request(keys.subspan(at, std::min(kDeletedAtOnce, keys.size() - at))));
      aws::Request post = bucket_.request("POST");
      post.query = {{"delete", ""}};
      post.headers = {{"content-type", "application/xml"}};
      if (bucket_.is_express())
        post.headers.emplace_back("x-amz-checksum-sha256", content_sha256(as_bytes(body)));
      else
        post.headers.emplace_back("content-md5", content_md5(as_bytes(body)));
      post.body = as_bytes(body);
      post.most_bytes = kMostListBytes;
      posts.push_back(std::move(post));
    }
    const std::vector<aws::Response> answers = bucket_.call_all(posts, what);
    if (std::ranges::any_of(answers, [&](const auto& one) { return lacks_deletion(one); })) {
      remove_singly(keys);
      deletes_singly().add(bucket_.server());
      return;
    }
    for (const aws::Response& answer : answers) {
      bucket_.need_ok(answer, what);
      for (const NotDeleted& left : bucket_.read(answer, what, parse_not_deleted))
        if (left.fault.code != "NoSuchKey")
          bucket_.fail_fault(answer.status, left.fault.code, left.fault.message, {},
                             what_for("removing", left.key));
    }
  }

  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    return watch_by_polling(*this, std::move(keys), pacer_, kKeysAtOnce);
  }

 private:
  /// Servers also refuse what they do not know as a bad request, or as one for an absent key. What
  /// is wrong besides, the single deletions will be told.
  bool lacks_deletion(const aws::Response& answer) const {
    if (bucket_.is_unsupported(answer)) return true;
    return (answer.status == 400 || answer.status == 404) &&
           parse_fault(answer.body.text()).code != "NoSuchBucket";
  }
  void need_removed(const aws::Response& answer, std::string_view what) {
    const bool absent = answer.status == 404 && parse_fault(answer.body.text()).code == "NoSuchKey";
    if (!absent) bucket_.need_ok(answer, what);
  }

  /// One request per key, in parallel.
  void remove_singly(std::span<const std::string> keys) {
    for (std::size_t at = 0; at < keys.size(); at += kDeletedAtOnce) {
      const auto some = keys.subspan(at, std::min(kDeletedAtOnce, keys.size() - at));
      std::vector<aws::Request> deletes;
      for (const std::string& key : some) deletes.push_back(bucket_.request("DELETE", key));
      const std::vector<aws::Response> answers =
          bucket_.call_all(deletes, fmt::format("removing {} keys", keys.size()));
      for (std::size_t i = 0; i < some.size(); ++i)
        need_removed(answers[i], what_for("removing", some[i]));
    }
  }

  Bucket bucket_;
  Pacer pacer_;
};

std::shared_ptr<Storage> open(const Uri& uri, const Options& options,
                              std::shared_ptr<Patience> patience) {
  Address address = parse_address(uri, options);
  const std::string prefix = address.prefix;
  const std::int64_t prefixes = address.prefixes;
  std::shared_ptr<Storage> store =
      with_spread(std::make_shared<S3>(std::move(address), std::move(patience)), prefixes);
  if (prefix.empty()) return store;
  check_readable(prefix.substr(0, prefix.find_last_not_of('/') + 1));
  return with_prefix(std::move(store), prefix + "/", true);
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "s3",
                .help = "Amazon S3 and what speaks its protocol: s3://bucket[/prefix]",
                .open = open,
                .default_uri = []() -> Uri {
                  fail(Code::invalid_argument, "s3: name a bucket: s3://bucket[/prefix]");
                },
                .options = address_options(),
                .removal_batch = {.keys = kDeletedAtOnce},
                .parts = {.whole_bytes = kOneRequestBytes, .part_bytes = kPartBytes}});
}

}  // namespace lambdaml::storage::s3
