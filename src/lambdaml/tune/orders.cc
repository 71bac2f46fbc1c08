#include "lambdaml/tune/orders.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/control/endings.h"

namespace lambdaml::tune {
namespace {

constexpr const char* kOrder = "tuner/order";
constexpr const char* kClaim = "tuner/claim";
constexpr const char* kReleased = "tuner/released";
constexpr const char* kStopOrder = "stop";
/// How long a new tuner waits at most for its predecessor to end its trials, and how often it
/// looks.
constexpr double kHandOver_s = 3, kTick_s = 0.1;

/// What the released key holds after the tuner with this claim has handed the search to the next
/// invocation of its chain.
std::string handed_over(std::string_view claim) { return fmt::format("handed over {}", claim); }

/// Throws Stopped or Superseded if the search was last ordered to stop, or to be continued by
/// another chain. An answer that was damaged in transit ends no tuner: it is read again.
void require_order(storage::Storage& store, const std::string& chain) {
  std::optional<Buffer> order = store.load(kOrder);
  if (!order || order->text() == chain) return;
  order = store.load(kOrder);
  if (!order || order->text() == chain) return;
  if (order->text() == kStopOrder)
    throw control::Stopped("the search was stopped, by `lambdaml stop` or a dashboard");
  throw control::Superseded("another tuner was asked to continue the search");
}

}  // namespace

void order_to_run(Records& records, const std::string& chain) {
  records.store().save(kOrder, as_bytes(chain));
}

void order_first_run(Records& records, const std::string& chain) {
  records.store().create(kOrder, as_bytes(chain));
}

bool is_stopped(Records& records) {
  const std::optional<Buffer> order = records.store().load(kOrder);
  return order && order->text() == kStopOrder;
}

bool is_running(Records& records) {
  const std::optional<Buffer> holder = records.store().load(kClaim);
  const std::optional<Buffer> released = records.store().load(kReleased);
  const bool has_ended = holder && released && released->text() == holder->text();
  const bool is_awaited = !holder || (released && released->text() == handed_over(holder->text()));
  if (is_awaited) return !is_stopped(records);
  return !has_ended;
}

void request_stop(Records& records) {
  if (!is_running(records))
    fail(Code::not_found, "search {}: no tuner works on it", Uri::parse(records.uri()).display());
  records.store().save(kOrder, as_bytes(kStopOrder));
}

TunerClaim::TunerClaim(Records& records, std::string chain)
    : records_(records),
      chain_(std::move(chain)),
      claim_(records.shared_store(), kClaim, "the tuner") {}

void TunerClaim::take(const Deadline& own_time) {
  storage::Storage& store = records_.store();
  require_order(store, chain_);
  const std::optional<Buffer> holder = store.load(kClaim);
  claim_.claim();
  // A stop that found no tuner, just before the claim, counts as well.
  require_order(store, chain_);
  if (!holder) return;
  const Deadline patience = Deadline::in(std::min(kHandOver_s, 0.2 * own_time.seconds_left()));
  while (!patience.passed()) {
    const std::optional<Buffer> released = store.load(kReleased);
    if (released &&
        (released->text() == holder->text() || released->text() == handed_over(holder->text())))
      return;
    pause_for(kTick_s);
  }
  log::info("the previous tuner did not report its end; continuing without it");
}

void TunerClaim::require() {
  claim_.require();
  require_order(records_.store(), chain_);
}

void TunerClaim::release(bool is_handed_over) {
  const std::string& token = claim_.token();
  records_.store().save(kReleased, as_bytes(is_handed_over ? handed_over(token) : token));
}

}  // namespace lambdaml::tune
