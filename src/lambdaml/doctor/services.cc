// What is elsewhere: stores, the platform, and what access to them needs.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include <fmt/format.h>

#include "lambdaml/aws/diagnosis.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/data/files.h"
#include "lambdaml/data/places.h"
#include "lambdaml/data/source.h"
#include "lambdaml/doctor/checks.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::doctor {
namespace {

using State = Check::State;

/// How long a service may take to answer.
constexpr double kService_s = 4;
constexpr std::size_t kValueBytes = 1000;
constexpr int kTimes = 3;
/// Services refuse requests that are dated 5 to 15 minutes off.
constexpr std::int64_t kWrongClock_s = 60;
constexpr double kSoon_s = 15 * 60;
/// 2024-01-01: before it, the clock is not set.
constexpr std::int64_t kBeforeThis_ms = 1'704'067'200'000;

std::shared_ptr<Patience> short_patience() {
  PatiencePolicy policy = PatiencePolicy::standard();
  policy.outage_s = std::min(policy.outage_s, kService_s);
  policy.first_contact_s = std::min(policy.first_contact_s, kService_s);
  return std::make_shared<Patience>(policy);
}

template <class Work>
double median_ms(const Work& work) {
  std::array<double, kTimes> times{};
  for (double& time : times) {
    const Stopwatch watch;
    work();
    time = watch.seconds() * 1000;
  }
  std::ranges::sort(times);
  return times[kTimes / 2];
}

/// Removes the key whatever happens.
class Probe {
 public:
  explicit Probe(storage::Storage& store) : store_(store), key_("lambdaml-doctor-" + unique_id()) {}
  Probe(const Probe&) = delete;
  ~Probe() {
    if (!saved_) return;
    const Tidying tidying;
    try {
      store_.remove(key_);
    } catch (...) {  // the failure that comes here is told already
    }
  }

  const std::string& key() const { return key_; }
  void save(Bytes value) {
    saved_ = true;
    store_.save(key_, value);
  }
  void remove() {
    store_.remove(key_);
    saved_ = false;
  }

 private:
  storage::Storage& store_;
  const std::string key_;
  bool saved_ = false;
};

[[noreturn]] void fail_wrong(const storage::Storage& store, const char* what) {
  fail(Code::data_corrupt, "{}: {}", store.describe(), what);
}

void require_creates_once(storage::Storage& store) {
  Probe probe(store);
  const Bytes value = as_bytes("first");
  if (!store.create(probe.key(), value)) fail_wrong(store, "a new key was there already");
  const bool again = store.create(probe.key(), value);
  probe.save(value);
  probe.remove();
  if (again) fail_wrong(store, "a key could be created twice, so two workers could claim one task");
}

/// Of a store whose server may have none.
void check_conditional_writes(Check& check, storage::Storage& store, const std::string& needed_by) {
  if (!needed_by.empty()) {
    try {
      return storage::require_atomic_create(store, needed_by);
    } catch (const Error& error) {
      if (error.code() == Code::invalid_argument) check.advice = "or use --sync-mode reduce";
      throw;
    }
  }
  try {
    storage::require_atomic_create(store, "a part of what lambdaml does");
  } catch (const Error& error) {
    if (error.code() != Code::invalid_argument) throw;
    check.state = State::warning;
    check.detail += ", but the server has no conditional writes (If-None-Match: *)";
    check.advice =
        "jobs run there with --sync-mode reduce; async, and triggers and searches as functions, "
        "need another store or server (docs/reference/channels.md)";
  }
}

/// The file of that name, or the files below it.
data::Files file_or_folder(const Uri& uri) {
  data::Files files;
  if (!uri.path.empty() && uri.path != "/") {
    const storage::Object object = storage::open_object(uri);
    if (object.store->exists(object.key)) {
      files.store = object.store;
      files.entries = {{object.key, 0}};
      return files;
    }
  }
  files.store = storage::open(uri, nullptr, short_patience());
  files.entries = files.store->list("");
  return files;
}

}  // namespace

std::string advice_for(Code code) {
  switch (code) {
    case Code::unavailable:
    case Code::deadline_exceeded:
    case Code::cancelled:
      return "start the service, correct the address, or open the network between here and there";
    case Code::permission_denied:
      return "give this user or these credentials the right to read, write, list and remove there, "
             "or name another place";
    case Code::not_found:
      return "create it, or correct its name";
    case Code::resource_exhausted:
      return "make room there, raise its limits, or name another place";
    case Code::data_corrupt:
      return "something else answers there: correct the address";
    case Code::invalid_argument:
      return "correct the value";
    default:
      return "run the command again with --verbose for the causes";
  }
}

void check_store(Check& check, const std::string& text, const std::string& needs_creation) {
  const Uri uri = storage::resolve(text);
  const std::shared_ptr<storage::Storage> store = storage::open(uri, nullptr, short_patience());
  Buffer value(kValueBytes);
  std::fill_n(value.data(), value.size(), std::byte{7});
  Probe probe(*store);
  const double save_ms = median_ms([&] { probe.save(value); });
  const double load_ms = median_ms([&] {
    const std::optional<Buffer> loaded = store->load(probe.key());
    if (!loaded) fail_wrong(*store, "a key that was saved is not there");
    if (!std::ranges::equal(loaded->view(), value.view()))
      fail_wrong(*store, "a key has other bytes than were saved");
  });
  const storage::Capabilities capabilities = store->capabilities();
  if (capabilities.can_list) {
    const std::vector<storage::Entry> found = store->list(probe.key());
    if (found.size() != 1) fail_wrong(*store, "a key that was saved is not in the list");
  }
  probe.remove();
  if (store->exists(probe.key())) fail_wrong(*store, "a key that was removed is still there");
  check.detail =
      fmt::format("{}: save {:.2f} ms, load {:.2f} ms", store->describe(), save_ms, load_ms);
  if (capabilities.create_varies)
    check_conditional_writes(check, *store, needs_creation);
  else if (capabilities.atomic_create)
    require_creates_once(*store);
}

void check_data(Check& check, const std::string& text) {
  if (text == "-") {
    check.state = State::skipped;
    check.detail = "standard input is read by the job alone";
    return;
  }
  const data::Places places = data::Places::parse(text);
  if (const std::optional<data::Manifest> manifest = data::find_manifest(places)) {
    check.detail = fmt::format("{}: a prepared set of {} rows in {} parts", places.display(),
                               manifest->rows(), manifest->parts());
    return;
  }
  std::size_t files = 0;
  for (const Uri& uri : places.uris) {
    data::Files found = data::files_of_pattern(uri);
    if (found.entries.empty()) found = file_or_folder(uri);
    if (found.entries.empty())
      fail(Code::not_found, "{}: there is no such file or folder", uri.display());
    files += found.entries.size();
    found.store->load_range(found.entries.front().key, 0, 1);
  }
  check.detail =
      fmt::format("{}: {} {}, readable", places.display(), files, files == 1 ? "file" : "files");
}

void check_credentials(Check& check) {
  const std::optional<aws::CredentialsFound> found = aws::find_credentials();
  if (!found) {
    check.detail = "none were found; the stores and the platform of AWS need them";
    check.state = check.needed ? State::failed : State::skipped;
    if (check.needed)
      check.advice = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE";
    return;
  }
  check.detail = "from " + found->source;
  if (!found->expires_in_s) return;
  check.detail += fmt::format(", for {:.0f} more minutes", *found->expires_in_s / 60);
  if (*found->expires_in_s < kSoon_s) {
    check.state = State::warning;
    check.advice = "fetch new ones before a long job";
  }
}

void check_clock(Check& check) {
  check.detail = "no service has refused this machine's date";
  check.advice = "set the clock, and keep it right by NTP";
  if (const std::int64_t offset = aws::observed_clock_offset_s();
      std::abs(offset) > kWrongClock_s) {
    check.state = State::warning;
    check.detail = fmt::format("{} s {} a service that was asked", std::abs(offset),
                               offset > 0 ? "behind" : "ahead of");
  } else if (epoch_ms() < kBeforeThis_ms) {
    check.state = State::failed;
    check.detail = "this machine's clock is years behind";
  } else {
    check.advice.clear();
  }
}

void check_platform(Check& check, const Options& job) {
  const faas::Plugin& platform = faas::registry().get(job.text("platform"));
  check.advice = fmt::format("see docs/how-to/{}.md: the service, and who may call it",
                             platform.billed_as.empty() ? "platforms" : "lambda");
  check.detail = platform.examine(faas::own_options(platform, job));
  check.advice.clear();
}

}  // namespace lambdaml::doctor
