#include "lambdaml/ps/server/handler.h"

#include <algorithm>
#include <new>
#include <type_traits>

#include "lambdaml/base/log.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {
namespace {

using namespace ::apache::thrift;
using wire::Operation;

/// Equal in a time that does not tell how far.
bool same_secret(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < b.size(); ++i)
    difference |=
        static_cast<unsigned char>(i < a.size() ? a[i] : 0) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

[[noreturn]] void refuse_token(bool none) {
  if (none)
    fail(Code::permission_denied,
         "this server wants a token: in LAMBDAML_PS_TOKEN, or as ps://[:TOKEN@]host:port");
  fail(Code::permission_denied, "this is not the server's token");
}

void check_length(const std::string& id, bool is_set, std::int32_t length, std::size_t values) {
  if (is_set && static_cast<std::int64_t>(length) != static_cast<std::int64_t>(values))
    fail(Code::invalid_argument, "'{}': the length says {}, but there are {} values", printable(id),
         length, values);
}

}  // namespace

Handler::Handler(Service& service) : service_(service), state_(service.state) {
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
    if (!admitted_ && !service_.token.empty() && operation != Operation::HELLO) refuse_token(true);
    return call();
  } catch (const Error& error) {
    refuse(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    refuse(Code::resource_exhausted, "the server has no memory left");
  }
  throw TException("unreachable");
}

std::int32_t Handler::longest_list() const {
  const std::uint64_t most = std::max<std::uint64_t>(kLongestList, 2 * state_.longest_model());
  return static_cast<std::int32_t>(std::min<std::uint64_t>(most, 1U << 29));
}

std::shared_ptr<Entry> Handler::model(const std::string& id) {
  std::shared_ptr<Entry> entry = state_.get(id);
  if (!entry->has_model())
    fail(Code::not_found, "there is no model '{}': register it first", printable(id));
  return entry;
}

void Handler::declare(const std::string& id, std::uint64_t length, std::uint32_t workers, Rule rule,
                      bool zeros) {
  if (length * sizeof(float) > service_.largest)
    fail(Code::resource_exhausted, "'{}': {} values are more than this server takes ({} bytes)",
         printable(id), length, service_.largest);
  state_.declare(id, length, workers, std::move(rule), zeros);
}

void Handler::ping() {
  guarded(Operation::PING, [] {});
}

void Handler::register_model(const std::string& id, std::int32_t length, std::int32_t parallelism) {
  guarded(Operation::REGISTER, [&] {
    if (length <= 0 || parallelism <= 0)
      fail(Code::invalid_argument, "'{}': a model of {} values for {} workers is none",
           printable(id), length, parallelism);
    declare(id, static_cast<std::uint64_t>(length), static_cast<std::uint32_t>(parallelism), {},
            false);
  });
}

bool Handler::exist_model(const std::string& id) {
  return guarded(Operation::EXIST_MODEL, [&] {
    const std::shared_ptr<Entry> entry = state_.find(id);
    return entry && entry->has_model();
  });
}

bool Handler::can_pull(const std::string& id, std::int32_t n, std::int32_t worker) {
  return guarded(Operation::CAN_PULL, [&] { return model(id)->can_pull(n, worker); });
}

bool Handler::can_push(const std::string& id, std::int32_t n, std::int32_t worker) {
  return guarded(Operation::CAN_PUSH, [&] { return model(id)->can_push(n, worker); });
}

void Handler::pull_model(wire::Model& out, const std::string& id, std::int32_t n,
                         std::int32_t worker) {
  guarded(Operation::PULL_MODEL, [&] {
    out.id = id;
    out.data = model(id)->pull(n, worker);
    out.__set_length(static_cast<std::int32_t>(out.data.size()));
    stats().bytes_sent += out.data.size() * sizeof(double);
  });
}

void Handler::push_grad(const wire::Grad& g) {
  guarded(Operation::PUSH_GRAD, [&] {
    check_length(g.id, g.__isset.length, g.length, g.data.size());
    stats().bytes_received += g.data.size() * sizeof(double);
    model(g.id)->push(g.learning_rate, g.data, g.n_iter, g.worker_id);
  });
}

void Handler::push_update(const wire::Update& u) {
  guarded(Operation::PUSH_UPDATE, [&] {
    check_length(u.id, u.__isset.length, u.length, u.data.size());
    stats().bytes_received += u.data.size() * sizeof(double);
    model(u.id)->push(1, u.data, u.n_iter, u.worker_id);
  });
}

void Handler::hello(wire::Welcome& out, const std::string& token) {
  guarded(Operation::HELLO, [&] {
    if (!service_.token.empty() && !same_secret(token, service_.token)) refuse_token(token.empty());
    admitted_ = true;
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
    Rule rule;
    if (r.__isset.learning_rate) rule.learning_rate = r.learning_rate;
    rule.momentum = r.momentum;
    rule.l2 = r.l2;
    for (std::size_t i = 0; i + 1 < r.penalized.size(); i += 2) {
      if (r.penalized[i] < 0 || r.penalized[i + 1] > r.length ||
          r.penalized[i] > r.penalized[i + 1])
        fail(Code::invalid_argument, "'{}': penalized ranges beyond its {} values", printable(r.id),
             r.length);
      rule.penalized.push_back({static_cast<std::uint64_t>(r.penalized[i]),
                                static_cast<std::uint64_t>(r.penalized[i + 1])});
    }
    declare(r.id, static_cast<std::uint64_t>(r.length), static_cast<std::uint32_t>(r.workers),
            std::move(rule), r.zeros);
  });
}

void Handler::delete_model(const std::string& id) {
  guarded(Operation::DELETE, [&] { state_.remove(id); });
}

void Handler::remove(const std::vector<std::string>& keys) {
  guarded(Operation::KEYS, [&] {
    for (const std::string& key : keys) state_.keys().remove(key);
  });
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

Entry::Answer Handler::push_pull_by_hand(const Part& part, Numbers numbers) {
  constexpr std::uint32_t kLongestWait_ms = 60'000;
  return guarded(Operation::PUSH_PULL, [&] {
    stats().bytes_received += numbers.totals.size() + numbers.values.size() +
                              (numbers.indices ? numbers.indices->size() : 0);
    // Only a push makes an entry, and only one that says how many share it.
    const bool makes = !part.again && !part.pull_only && part.workers > 0;
    const std::shared_ptr<Entry> entry = makes ? state_.get_or_make(part.id) : state_.find(part.id);
    if (!entry && part.again) return Entry::Answer{.result = nullptr, .resend = true};
    if (!entry) state_.get(part.id);
    return entry->push_pull(part, std::move(numbers),
                            Deadline::in(std::min(part.wait_ms, kLongestWait_ms) / 1e3));
  });
}

void Handler::put_by_hand(const std::string& key, Buffer value) {
  guarded(Operation::KEYS, [&] { state_.keys().put(key, std::move(value)); });
}

bool Handler::create_by_hand(const std::string& key, Buffer value) {
  return guarded(Operation::KEYS, [&] { return state_.keys().create(key, std::move(value)); });
}

std::shared_ptr<const Buffer> Handler::get_by_hand(const std::string& key) {
  return guarded(Operation::KEYS, [&] { return state_.keys().get(key); });
}

}  // namespace lambdaml::ps
