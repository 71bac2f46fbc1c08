#include "lambdaml/ps/server/handler.h"

#include <algorithm>
#include <new>
#include <type_traits>

#include "lambdaml/base/log.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {
namespace {

using namespace ::apache::thrift;
using wire::Operation;

constexpr const char* kWantsToken =
    "this server wants a token: in LAMBDAML_PS_TOKEN, or as ps://[:TOKEN@]host:port";

void check_length(const std::string& id, bool is_set, std::int32_t length, std::size_t values) {
  if (is_set && static_cast<std::int64_t>(length) != static_cast<std::int64_t>(values))
    fail(Code::invalid_argument, "'{}': the length says {}, but there are {} values", printable(id),
         length, values);
}

}  // namespace

Handler::Handler(Service& service, std::shared_ptr<Peer> peer)
    : service_(service),
      state_(service.state),
      peer_(std::move(peer)),
      is_admitted_(!service.token.is_wanted()) {
  ++stats().connections;
}

Handler::~Handler() { --stats().connections; }

template <class Call>
std::invoke_result_t<Call> Handler::guarded(Operation::type operation, Call&& call) {
  const auto refuse = [&](Code code, const std::string& why) {
    ++stats().refused;
    log::info("refused: {}", why);
    wire::InvalidOperation refusal;
    refusal.whatOp = operation;
    refusal.why = why;
    refusal.__set_code(std::string(to_string(code)));
    throw refusal;
  };
  try {
    if (!is_admitted_ && operation != Operation::HELLO) throw refusal_of(operation);
    return call();
  } catch (const TException&) {
    throw;
  } catch (const Error& error) {
    refuse(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    refuse(Code::resource_exhausted, "the server has no memory left");
  } catch (const std::exception& error) {
    refuse(Code::internal, error.what());
  }
  throw TException("unreachable");
}

wire::InvalidOperation Handler::refusal_of(Operation::type operation) const {
  ++stats().refused;
  wire::InvalidOperation refusal;
  refusal.whatOp = operation;
  refusal.why = kWantsToken;
  refusal.__set_code(std::string(to_string(Code::permission_denied)));
  return refusal;
}

void Handler::holds(std::uint64_t bytes) const {
  if (peer_) peer_->holds(bytes);
}

std::shared_ptr<Entry> Handler::model(const std::string& id) {
  std::shared_ptr<Entry> entry = state_.get(id);
  if (!entry->has_model())
    fail(Code::not_found, "there is no model '{}': register it first", printable(id));
  return entry;
}

void Handler::use(const std::shared_ptr<Entry>& entry, bool is_registered) {
  constexpr std::size_t kMany = 64;
  if (used_.size() >= kMany)
    std::erase_if(used_, [](const auto& one) { return one.second.entry.expired(); });
  Used& used = used_[entry->id()];
  const bool was_registered = used.is_registered && used.entry.lock() == entry;
  used = {entry, entry->last_turn(), is_registered || was_registered};
}

const Handler::Used* Handler::replaced(const std::shared_ptr<Entry>& entry) const {
  const auto used = used_.find(entry->id());
  return used == used_.end() || used->second.entry.lock() == entry ? nullptr : &used->second;
}

std::shared_ptr<Entry> Handler::model_of_job(const std::string& id) {
  std::shared_ptr<Entry> entry = model(id);
  if (replaced(entry) != nullptr)
    fail(Code::not_found,
         "'{}' was registered anew by another client: this worker's model is no longer there",
         printable(id));
  return entry;
}

void Handler::ping() {
  guarded(Operation::PING, [] {});
}

void Handler::register_model(const std::string& id, std::int32_t length, std::int32_t parallelism) {
  guarded(Operation::REGISTER, [&] {
    if (length <= 0 || parallelism <= 0)
      fail(Code::invalid_argument, "'{}': a model cannot have {} values and {} workers",
           printable(id), length, parallelism);
    use(state_.register_model(id, static_cast<std::uint64_t>(length),
                              static_cast<std::uint32_t>(parallelism), caller_),
        true);
  });
}

bool Handler::exist_model(const std::string& id) {
  return guarded(Operation::EXIST_MODEL, [&] {
    const std::shared_ptr<Entry> entry = state_.find(id);
    return entry && entry->has_model();
  });
}

bool Handler::can_pull(const std::string& id, std::int32_t n, std::int32_t worker) {
  return guarded(Operation::CAN_PULL, [&] {
    // A job may begin with the model that another client has registered, and may learn that it has
    // ended after the next one has begun.
    const std::shared_ptr<Entry> entry = model(id);
    if (const Used* used = replaced(entry); used != nullptr && n == *used->last_turn && n > 0)
      return true;
    return (n == 0 ? entry : model_of_job(id))->can_pull(n, worker);
  });
}

bool Handler::can_push(const std::string& id, std::int32_t n, std::int32_t worker) {
  return guarded(Operation::CAN_PUSH,
                 [&] { return model_of_job(id)->can_push(n, worker, caller_); });
}

void Handler::hello(wire::Welcome& out, const std::string& token) {
  guarded(Operation::HELLO, [&] {
    if (const double pause_s = service_.token.pause_s(); pause_s > 0) pause_for(pause_s);
    if (!service_.token.is(token)) {
      ++stats().wrong_tokens;
      fail(Code::permission_denied, "{}",
           token.empty() ? kWantsToken : "this is not the server's token");
    }
    is_admitted_ = true;
    if (peer_) peer_->admit();
    out.version = 1;
    out.incarnation = service_.incarnation;
    out.durable = service_.durable;
    out.largest = service_.largest;
  });
}

void Handler::register_vector(const wire::Registration& r) {
  guarded(Operation::REGISTER, [&] {
    const auto is_share = [](double x) { return x >= 0 && x < 1e30; };
    if (r.length <= 0 || r.workers <= 0 || !is_share(r.l2) ||
        !(r.momentum >= 0 && r.momentum < 1) || !is_share(r.learning_rate))
      fail(Code::invalid_argument,
           "'{}': {} values, {} workers, learning rate {}, momentum {}, l2 {}: out of range",
           printable(r.id), r.length, r.workers, r.learning_rate, r.momentum, r.l2);
    if (r.penalized.size() % 2 != 0)
      fail(Code::invalid_argument, "'{}': penalized ranges are pairs", printable(r.id));
    Rule rule;
    if (r.__isset.learning_rate) rule.learning_rate = r.learning_rate;
    rule.momentum = r.momentum;
    rule.l2 = r.l2;
    for (std::size_t i = 0; i < r.penalized.size(); i += 2) {
      if (r.penalized[i] < 0 || r.penalized[i + 1] > r.length ||
          r.penalized[i] > r.penalized[i + 1])
        fail(Code::invalid_argument, "'{}': penalized ranges beyond its {} values", printable(r.id),
             r.length);
      rule.penalized.push_back({static_cast<std::uint64_t>(r.penalized[i]),
                                static_cast<std::uint64_t>(r.penalized[i + 1])});
    }
    state_.declare(r.id, static_cast<std::uint64_t>(r.length),
                   static_cast<std::uint32_t>(r.workers), std::move(rule), r.zeros);
  });
}

void Handler::delete_model(const std::string& id) {
  guarded(Operation::DELETE, [&] { state_.remove(id); });
}

void Handler::find(std::vector<wire::KeyEntry>& out, const std::string& prefix,
                   const std::string& after) {
  constexpr std::size_t kPage = 10'000;
  guarded(Operation::KEYS, [&] {
    for (auto& [key, bytes] : state_.keys().find(prefix, after, kPage)) {
      wire::KeyEntry& entry = out.emplace_back();
      entry.key = std::move(key);
      entry.bytes = static_cast<std::int64_t>(bytes);
    }
  });
}

void Handler::clear(const std::string& prefix) {
  guarded(Operation::KEYS, [&] { state_.clear(prefix); });
}

Entry::Answer Handler::push_pull_by_hand(const Part& part, Numbers numbers, Intake intake) {
  constexpr std::uint32_t kLongestWait_ms = 60'000;
  return guarded(Operation::PUSH_PULL, [&] {
    stats().bytes_received += numbers.totals.size() + numbers.values.size() +
                              (numbers.indices ? numbers.indices->size() : 0);
    Request request(part, std::move(numbers), intake.charge(), state_.environment());
    // Only a push that states the number of workers creates an entry.
    const bool makes = !part.again && !part.pull_only && part.workers > 0;
    const std::shared_ptr<Entry> entry = makes ? state_.get_or_make(part.id) : state_.find(part.id);
    if (!entry && part.again) return Entry::Answer{.result = nullptr, .resend = true};
    if (!entry) state_.get(part.id);
    return entry->push_pull(std::move(request),
                            Deadline::in(std::min(part.wait_ms, kLongestWait_ms) / 1e3));
  });
}

void Handler::put_by_hand(const std::string& key, Buffer value, Intake intake) {
  guarded(Operation::KEYS, [&] { state_.keys().put(key, std::move(value), intake.charge()); });
}

bool Handler::create_by_hand(const std::string& key, Buffer value, Intake intake) {
  return guarded(Operation::KEYS,
                 [&] { return state_.keys().create(key, std::move(value), intake.charge()); });
}

std::shared_ptr<const Buffer> Handler::get_by_hand(const std::string& key) {
  return guarded(Operation::KEYS, [&] { return state_.keys().get(key); });
}

void Handler::remove_by_hand(const std::vector<std::string>& keys, Intake intake) {
  guarded(Operation::KEYS, [&] {
    const Charge charge = intake.charge();
    for (const std::string& key : keys) state_.keys().remove(key);
  });
}

std::shared_ptr<const Result> Handler::pull_by_hand(const std::string& id, std::int32_t n,
                                                    std::int32_t worker) {
  return guarded(Operation::PULL_MODEL, [&] {
    std::shared_ptr<Entry> entry = n == 0 ? model(id) : model_of_job(id);
    const auto used = used_.find(id);
    // Another worker of this number pulled the model before this connection registered it: that
    // one's job has not come to its first push.
    if (n == 0 && used != used_.end() && used->second.is_registered && !replaced(entry) &&
        entry->is_pulled_by_another(worker, caller_)) {
      const std::uint64_t length = entry->model_length();
      const std::uint32_t workers = entry->workers();
      entry = state_.start_anew(std::move(entry), length, workers);
      use(entry, true);
    }
    std::shared_ptr<const Result> result = entry->pull(n, worker, caller_);
    use(entry, false);
    stats().bytes_sent += result->length() * sizeof(double);
    return result;
  });
}

void Handler::push_by_hand(OriginalPush push, Intake intake) {
  guarded(push.is_grad ? Operation::PUSH_GRAD : Operation::PUSH_UPDATE, [&] {
    check_length(push.id, push.length.has_value(), push.length.value_or(0),
                 push.doubles.size() / sizeof(double));
    stats().bytes_received += push.doubles.size();
    const std::shared_ptr<Entry> entry = model_of_job(push.id);
    entry->push(push.rate, std::move(push.doubles), intake.charge(), push.round, push.worker);
    use(entry, false);
  });
}

}  // namespace lambdaml::ps
