#include "lambdaml/train/remote.h"

#include <array>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/lambda_client.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/train/channel.h"
#include "lambdaml/train/event.h"
#include "lambdaml/train/platform.h"
#include "lambdaml/train/stores.h"
#include "lambdaml/train/superseded.h"
#include "lambdaml/train/worker.h"

namespace lambdaml::train {
namespace {

using nlohmann::json;

constexpr std::size_t kLogBytes = 64 << 10;  ///< of one invocation
constexpr std::size_t kStoredLogBytes = 256 << 10;
constexpr double kSecondsBetweenSaves = 5;

/// A Lambda service on this machine: its functions see this machine's files.
bool service_is_here() {
  const std::string endpoint = faas::LambdaClient().endpoint();
  return endpoint.find("://127.0.0.1") != std::string::npos ||
         endpoint.find("://localhost") != std::string::npos;
}

/// Its log over all invocations: the earlier ones', then this one's.
class StoredLog {
 public:
  StoredLog(Stores& stores, const TrainEvent& event)
      : store_(stores.open(event.options.text("checkpoint"))),
        key_(keys::log(event.job_id, event.worker)) {
    log::keep_recent(kLogBytes);
    if (const std::optional<Buffer> text = store_->load(key_)) earlier_ = text->text();
  }
  ~StoredLog() {
    save();
    log::forget_recent();
  }
  /// Saves what is new, but not often.
  void save_now_and_then() {
    if (since_save_.seconds() >= kSecondsBetweenSaves) save();
  }
  StoredLog(const StoredLog&) = delete;

 private:
  void save() noexcept {
    since_save_ = Stopwatch();
    try {
      std::string text = earlier_ + log::recent();
      if (text.size() > kStoredLogBytes)
        text.erase(0, text.find('\n', text.size() - kStoredLogBytes) + 1);
      if (text == saved_) return;
      store_->save(key_, as_bytes(text));
      saved_ = std::move(text);
    } catch (const std::exception& error) {
      log::warning("saving the log: {}", error.what());
    }
  }

  std::shared_ptr<storage::Storage> store_;
  std::string key_;
  std::string earlier_;
  std::string saved_;
  Stopwatch since_save_;
};

/// Tells the trigger why the worker has given up; the text that it leaves.
std::string leave_word(Stores& stores, const TrainEvent& event, std::string_view type,
                       const std::string& message) {
  const std::string text = json_text(json{{"type", type}, {"message", message}});
  stores.open_channel(event.options.text("channel"), event.job_id)
      ->save(keys::failure(event.worker), as_bytes(text));
  return text;
}

}  // namespace

bool is_remote(const Options& options) {
  return faas::registry().get(options.text("platform")).remote;
}

bool is_within_reach(const Options& options, const std::string& uri) {
  return !is_remote(options) || outlives_function(Uri::parse(uri));
}

bool outlives_function(const Uri& place) {
  if (place.scheme == "memory") return false;
  return place.scheme != "file" || service_is_here();
}

void require_reach(Options& options) {
  if (!is_remote(options)) return;
  if (options.text("function").empty())
    fail(Code::invalid_argument,
         "the platform {} runs a deployed function: name it with --function (lambdaml deploy makes "
         "one)",
         options.text("platform"));
  const auto require = [&](const char* name) {
    if (!is_within_reach(options, options.text(name)))
      fail(Code::invalid_argument,
           "{} {}: functions on other machines cannot reach it; give a storage service, as in "
           "--{} s3://BUCKET/PREFIX",
           name, Uri::parse(options.text(name)).display(), name);
  };
  require("channel");
  if (options.text("checkpoint").empty()) {
    const Uri channel = Uri::parse(options.text("channel"));
    if (!storage::open_plain(channel)->capabilities().durable)
      fail(
          Code::invalid_argument,
          "channel {}: it can lose what it holds, and checkpoints must not be lost; say where they "
          "go with --checkpoint s3://BUCKET/PREFIX",
          channel.display());
    options.set("checkpoint", Option::Value((channel / "checkpoints").text()), "checkpoint");
  }
  require("checkpoint");
}

std::string report_to_storage(const faas::Invocation& invocation, const TrainEvent& event,
                              const Work& work) {
  Stores stores(Stores::Services::answered);
  std::optional<StoredLog> stored_log(std::in_place, stores, event);
  try {
    std::string response = work([&] { stored_log->save_now_and_then(); });
    if (response != kToBeContinued) return response;
    const char* name = std::getenv("AWS_LAMBDA_FUNCTION_NAME");
    const std::string function = name == nullptr ? event.options.text("function") : name;
    stored_log.reset();
    faas::LambdaClient().invoke_all_events(function, std::array{invocation.payload});
    return response;
  } catch (const Stopped& stopped) {
    log::info("{}", stopped.what());
    const auto channel = stores.open_channel(event.options.text("channel"), event.job_id);
    // Who stopped it waits for word, or has cleared the channel and left what stopped this worker.
    if (channel->load(keys::kJob))
      channel->save(keys::gone(event.worker), {});
    else
      channel->remove(keys::tenure(event.worker));
    return std::string(kJobIsOver);
  } catch (const JobIsLost& lost) {
    log::error("{}", lost.what());
    return leave_word(stores, event, to_string(lost.code()), lost.what());
  } catch (...) {
    const faas::Failure failure = faas::current_failure();
    log::error("{}", failure.message);
    if (failure.type == to_string(Code::unavailable)) stores.hurry();
    if (is_worth_another_try(failure.type)) throw;
    // The job may have been resumed by now.
    if (failure.type == to_string(Code::cancelled)) return std::string(kJobIsOver);
    return leave_word(stores, event, failure.type, failure.message);
  }
}

}  // namespace lambdaml::train
