#include "lambdaml/worker/remote.h"

#include <optional>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/control/worker_report.h"
#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::worker {
namespace {

using nlohmann::json;

constexpr std::size_t kLogBytes = 64 << 10;  ///< of one invocation
constexpr std::size_t kStoredLogBytes = 256 << 10;
constexpr double kSecondsBetweenSaves = 5;

/// The log over all invocations: that of the earlier ones, followed by this one's.
class StoredLog {
 public:
  StoredLog(control::Stores& stores, const RemoteWorker& worker)
      : store_(stores.open(worker.log_place)),
        key_(control::keys::log(worker.job_id, worker.worker)) {
    log::keep_recent(kLogBytes);
    if (const std::optional<Buffer> text = store_->load(key_)) earlier_ = text->text();
  }
  ~StoredLog() {
    save();
    log::forget_recent();
  }
  /// Saves new lines, but not often.
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
    } catch (...) {
      // A simulated process that was killed: its next call says so again.
    }
  }

  std::shared_ptr<storage::Storage> store_;
  std::string key_;
  std::string earlier_;
  std::string saved_;
  Stopwatch since_save_;
};

/// Tells the trigger why the worker failed; returns the text that it wrote.
std::string leave_word(control::Stores& stores, const RemoteWorker& worker, std::string_view type,
                       const std::string& message) {
  const std::string text = json_text(json{{"type", type}, {"message", message}});
  stores.open_channel(worker.channel, worker.job_id)
      ->save(control::keys::failure(worker.worker), as_bytes(text));
  return text;
}

}  // namespace

std::string report_to_storage(const faas::Invocation& invocation, const RemoteWorker& worker,
                              const Work& work) {
  control::Stores stores(control::Stores::Services::answered);
  std::optional<StoredLog> stored_log;
  if (!worker.log_place.empty()) stored_log.emplace(stores, worker);
  try {
    std::string response = work([&] {
      if (stored_log) stored_log->save_now_and_then();
    });
    if (response != control::kToBeContinued) return response;
    stored_log.reset();
    if (invocation.sender_waits) return response;
    const std::optional<faas::OwnFunction> own = faas::own_function();
    if (!own)
      fail(Code::internal,
           "the worker's time is over, and it is no deployed function that could "
           "call itself");
    own->invoke(invocation.payload);
    return response;
  } catch (const control::Stopped& stopped) {
    log::info("{}", stopped.what());
    const auto channel = stores.open_channel(worker.channel, worker.job_id);
    // The process that stopped it waits for the acknowledgement, or has cleared the channel except
    // for the stop marker.
    if (channel->load(control::keys::kJob))
      channel->save(control::keys::acknowledged_stop(worker.worker), {});
    else
      channel->remove(control::keys::claim(worker.worker));
    return std::string(control::kJobIsOver);
  } catch (const control::JobIsLost& lost) {
    log::error("{}", lost.what());
    return leave_word(stores, worker, to_string(lost.code()), lost.what());
  } catch (const control::DamagedCheckpoint& damaged) {
    log::info("{}", damaged.what());
    stores.open_channel(worker.channel, worker.job_id)
        ->save(control::keys::result(worker.worker), as_bytes(control::kCheckpointDamaged));
    return std::string(control::kCheckpointDamaged);
  } catch (...) {
    const faas::Failure failure = faas::current_failure();
    log::error("{}", failure.message);
    if (failure.type == to_string(Code::unavailable)) stores.hurry();
    if (control::is_worth_another_attempt(failure.type)) throw;
    // The job may have been resumed meanwhile.
    if (failure.type == to_string(Code::cancelled)) return std::string(control::kJobIsOver);
    return leave_word(stores, worker, failure.type, failure.message);
  }
}

}  // namespace lambdaml::worker
