#include "lambdaml/ps/server/service.h"

#include <algorithm>
#include <functional>
#include <new>
#include <type_traits>

#include <ParameterServer.h>

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
         "this server wants a token: give it as ps://:TOKEN@host:port or in LAMBDAML_PS_TOKEN");
  fail(Code::permission_denied, "this is not the server's token");
}

/// One connection's calls, in terms of the state.
class Handler final : public wire::ParameterServerIf {
 public:
  explicit Handler(Service& service) : service_(service), state_(service.state) {
    ++stats().connections;
  }
  ~Handler() override { --stats().connections; }

  Service& service() const { return service_; }

  /// Calls, and turns errors into the exception of the wire.
  template <class Call>
  std::invoke_result_t<Call> guarded(Operation::type operation, Call&& call) {
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
      if (!admitted_ && !service_.token.empty() && operation != Operation::HELLO)
        refuse_token(true);
      return call();
    } catch (const Error& error) {
      refuse(error.code(), error.what());
    } catch (const std::bad_alloc&) {
      refuse(Code::resource_exhausted, "the server has no memory left");
    }
    throw TException("unreachable");
  }

  void ping() override {
    guarded(Operation::PING, [] {});
  }

  void register_model(const std::string& id, const int32_t length,
                      const int32_t parallelism) override {
    guarded(Operation::REGISTER, [&] {
      if (length <= 0 || parallelism <= 0)
        fail(Code::invalid_argument, "'{}': a model of {} values for {} workers is none",
             printable(id), length, parallelism);
      declare(id, static_cast<std::uint64_t>(length), static_cast<std::uint32_t>(parallelism), {},
              false);
    });
  }

  void register_vector(const wire::Registration& r) override {
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
          fail(Code::invalid_argument, "'{}': penalized ranges beyond its {} values",
               printable(r.id), r.length);
        rule.penalized.push_back({static_cast<std::uint64_t>(r.penalized[i]),
                                  static_cast<std::uint64_t>(r.penalized[i + 1])});
      }
      declare(r.id, static_cast<std::uint64_t>(r.length), static_cast<std::uint32_t>(r.workers),
              std::move(rule), r.zeros);
    });
  }

  bool exist_model(const std::string& id) override {
    return guarded(Operation::EXIST_MODEL, [&] {
      const std::shared_ptr<Entry> entry = state_.find(id);
      return entry && entry->has_model();
    });
  }

  bool can_pull(const std::string& id, const int32_t n, const int32_t worker) override {
    return guarded(Operation::CAN_PULL, [&] { return model(id)->can_pull(n, worker); });
  }
  bool can_push(const std::string& id, const int32_t n, const int32_t worker) override {
    return guarded(Operation::CAN_PUSH, [&] { return model(id)->can_push(n, worker); });
  }

  void pull_model(wire::Model& out, const std::string& id, const int32_t n,
                  const int32_t worker) override {
    guarded(Operation::PULL_MODEL, [&] {
      out.id = id;
      out.data = model(id)->pull(n, worker);
      out.__set_length(static_cast<std::int32_t>(out.data.size()));
      stats().bytes_sent += out.data.size() * sizeof(double);
    });
  }

  void push_grad(const wire::Grad& g) override {
    guarded(Operation::PUSH_GRAD, [&] {
      check_length(g.id, g.__isset.length, g.length, g.data.size());
      stats().bytes_received += g.data.size() * sizeof(double);
      model(g.id)->push(g.learning_rate, g.data, g.n_iter, g.worker_id);
    });
  }
  void push_update(const wire::Update& u) override {
    guarded(Operation::PUSH_UPDATE, [&] {
      check_length(u.id, u.__isset.length, u.length, u.data.size());
      stats().bytes_received += u.data.size() * sizeof(double);
      model(u.id)->push(1, u.data, u.n_iter, u.worker_id);
    });
  }
  void zip() override {}

  void hello(wire::Welcome& out, const std::string& token) override {
    guarded(Operation::HELLO, [&] {
      if (!service_.token.empty() && !same_secret(token, service_.token))
        refuse_token(token.empty());
      admitted_ = true;
      out.version = 1;
      out.incarnation = service_.incarnation;
      out.durable = service_.durable;
      out.largest = service_.largest;
    });
  }

  void delete_model(const std::string& id) override {
    guarded(Operation::DELETE, [&] { state_.remove(id); });
  }
  void remove(const std::vector<std::string>& keys) override {
    guarded(Operation::KEYS, [&] {
      for (const std::string& key : keys) state_.keys().remove(key);
    });
  }
  void find(std::vector<wire::KeyEntry>& out, const std::string& prefix,
            const std::string& after) override {
    constexpr std::size_t kPage = 10'000;
    guarded(Operation::KEYS, [&] {
      for (auto& [key, bytes] : state_.keys().find(prefix, after, kPage)) {
        wire::KeyEntry& entry = out.emplace_back();
        entry.key = std::move(key);
        entry.bytes = static_cast<std::int64_t>(bytes);
      }
    });
  }
  void clear(const std::string& prefix) override {
    guarded(Operation::KEYS, [&] { state_.clear(prefix); });
  }

  Entry::Answer push_pull(const Part& part, Numbers numbers) {
    constexpr std::uint32_t kLongestWait_ms = 60'000;
    return guarded(Operation::PUSH_PULL, [&] {
      stats().bytes_received += numbers.totals.size() + numbers.values.size() +
                                (numbers.indices ? numbers.indices->size() : 0);
      // Only a push makes an entry, and only one that says how many share it.
      const bool makes = !part.again && !part.pull_only && part.workers > 0;
      const std::shared_ptr<Entry> entry =
          makes ? state_.get_or_make(part.id) : state_.find(part.id);
      if (!entry && part.again) return Entry::Answer{.result = nullptr, .resend = true};
      if (!entry) state_.get(part.id);
      return entry->push_pull(part, std::move(numbers),
                              Deadline::in(std::min(part.wait_ms, kLongestWait_ms) / 1e3));
    });
  }
  void put_by_hand(const std::string& key, Buffer value) {
    guarded(Operation::KEYS, [&] { state_.keys().put(key, std::move(value)); });
  }
  bool create_by_hand(const std::string& key, Buffer value) {
    return guarded(Operation::KEYS, [&] { return state_.keys().create(key, std::move(value)); });
  }
  std::shared_ptr<const Buffer> get_by_hand(const std::string& key) {
    return guarded(Operation::KEYS, [&] { return state_.keys().get(key); });
  }

  /// Never called: Processor takes these by hand.
  void push_pull(wire::Sum&, const wire::Part&) override {}
  void put(const std::string&, const std::string&) override {}
  bool create(const std::string&, const std::string&) override { return false; }
  void get(wire::Value&, const std::string&) override {}

  /// The longest list that a call may bring now: an original's push is as long as its model, and a
  /// bit more is read to say what is wrong.
  std::int32_t longest_list() const {
    const std::uint64_t most = std::max<std::uint64_t>(kLongestList, 2 * state_.longest_model());
    return static_cast<std::int32_t>(std::min<std::uint64_t>(most, 1U << 29));
  }

 private:
  Stats& stats() const { return state_.environment().stats; }

  std::shared_ptr<Entry> model(const std::string& id) {
    std::shared_ptr<Entry> entry = state_.get(id);
    if (!entry->has_model())
      fail(Code::not_found, "there is no model '{}': register it first", printable(id));
    return entry;
  }
  void declare(const std::string& id, std::uint64_t length, std::uint32_t workers, Rule rule,
               bool zeros) {
    if (length * sizeof(float) > service_.largest)
      fail(Code::resource_exhausted, "'{}': {} values are more than this server takes ({} bytes)",
           printable(id), length, service_.largest);
    state_.declare(id, length, workers, std::move(rule), zeros);
  }
  static void check_length(const std::string& id, bool is_set, std::int32_t length,
                           std::size_t values) {
    if (is_set && static_cast<std::int64_t>(length) != static_cast<std::int64_t>(values))
      fail(Code::invalid_argument, "'{}': the length says {}, but there are {} values",
           printable(id), length, values);
  }

  Service& service_;
  State& state_;
  bool admitted_ = false;
};

/// Generated code, but for the calls that carry vectors and values.
class Processor final : public wire::ParameterServerProcessor {
 public:
  explicit Processor(const std::shared_ptr<Handler>& handler)
      : ParameterServerProcessor(handler), handler_(*handler) {}

 private:
  using Reply = std::function<void(Protocol&)>;

  bool dispatchCall(Protocol* in, Protocol* out, const std::string& name, std::int32_t sequence,
                    void* context) override {
    if (auto* binary = dynamic_cast<protocol::TBinaryProtocol*>(in))
      binary->setContainerSizeLimit(handler_.longest_list());
    if (name == "push_pull") return answer(*in, *out, name, sequence, push_pull(*in));
    if (name == "put" || name == "create")
      return answer(*in, *out, name, sequence, save(*in, name));
    if (name == "get") return answer(*in, *out, name, sequence, get(*in));
    return ParameterServerProcessor::dispatchCall(in, out, name, sequence, context);
  }

  /// Reads to the message's end before anything is done; what is returned does it.
  std::function<Reply()> push_pull(Protocol& in) {
    auto part = std::make_shared<Part>();
    auto numbers = std::make_shared<Numbers>();
    read_arguments(in, [&](std::int16_t id, protocol::TType type) {
      if (id != 1 || type != protocol::T_STRUCT) return false;
      read(in, handler_.service().largest, *part, *numbers);
      return true;
    });
    return [this, part, numbers]() -> Reply {
      const bool all = !numbers->wanted;
      const bool takes_sparse = part->kind == Kind::round && all;
      Entry::Answer answer = handler_.push_pull(*part, std::move(*numbers));
      return [this, answer, part, takes_sparse, all](Protocol& out) {
        Sum sum;
        sum.merged = answer.merged;
        sum.missing = answer.missing;
        sum.resend = answer.resend;
        sum.generation = answer.generation;
        NumbersView numbers;
        if (answer.result) {
          const Result& result = *answer.result;
          sum.length = result.length();
          numbers.totals = result.totals;
          // Who pushes a result wants none back.
          if (part->kind != Kind::result) numbers.values = result.values;
          if (takes_sparse && result.sparse) {
            numbers.indices = std::as_bytes(std::span(result.sparse->indices));
            numbers.values = std::as_bytes(std::span(result.sparse->values));
          }
          handler_.service().state.environment().stats.bytes_sent +=
              numbers.totals.size() + numbers.values.size();
        }
        out.writeFieldBegin("", protocol::T_STRUCT, 0);
        write(out, sum, numbers);
      };
    };
  }

  std::function<Reply()> save(Protocol& in, const std::string& name) {
    std::string key;
    auto value = std::make_shared<Buffer>();
    read_arguments(in, [&](std::int16_t id, protocol::TType type) {
      if (type != protocol::T_STRING || (id != 1 && id != 2)) return false;
      if (id == 1)
        in.readString(key);
      else
        *value = read_binary(in, handler_.service().largest);
      return true;
    });
    return [this, key, value, only_new = name == "create"]() -> Reply {
      if (!only_new) {
        handler_.put_by_hand(key, std::move(*value));
        return [](Protocol&) {};
      }
      const bool created = handler_.create_by_hand(key, std::move(*value));
      return [created](Protocol& out) {
        out.writeFieldBegin("", protocol::T_BOOL, 0);
        out.writeBool(created);
      };
    };
  }

  std::function<Reply()> get(Protocol& in) {
    std::string key;
    read_arguments(in, [&](std::int16_t id, protocol::TType type) {
      if (id != 1 || type != protocol::T_STRING) return false;
      in.readString(key);
      return true;
    });
    return [this, key]() -> Reply {
      const std::shared_ptr<const Buffer> value = handler_.get_by_hand(key);
      return [value](Protocol& out) {
        out.writeFieldBegin("", protocol::T_STRUCT, 0);
        if (value) write_binary_field(out, 1, *value);
        out.writeFieldStop();
      };
    };
  }

  template <class Take>
  static void read_arguments(Protocol& in, Take&& take) {
    std::string name;
    in.readStructBegin(name);
    while (true) {
      protocol::TType type = protocol::T_STOP;
      std::int16_t id = 0;
      in.readFieldBegin(name, type, id);
      if (type == protocol::T_STOP) break;
      if (!take(id, type)) in.skip(type);
      in.readFieldEnd();
    }
    in.readStructEnd();
    in.readMessageEnd();
    in.getTransport()->readEnd();
  }

  static bool answer(Protocol&, Protocol& out, const std::string& name, std::int32_t sequence,
                     const std::function<Reply()>& call) {
    Reply reply;
    std::optional<wire::InvalidOperation> refusal;
    try {
      reply = call();
    } catch (const wire::InvalidOperation& refused) {
      refusal = refused;
    }
    out.writeMessageBegin(name, protocol::T_REPLY, sequence);
    if (refusal) {
      out.writeFieldBegin("e", protocol::T_STRUCT, 1);
      refusal->write(&out);
    } else {
      reply(out);
    }
    out.writeFieldStop();
    out.writeMessageEnd();
    out.getTransport()->writeEnd();
    out.getTransport()->flush();
    return true;
  }

  Handler& handler_;
};

class Processors final : public TProcessorFactory {
 public:
  explicit Processors(Service& service) : service_(service) {}
  std::shared_ptr<TProcessor> getProcessor(const TConnectionInfo&) override {
    return std::make_shared<Processor>(std::make_shared<Handler>(service_));
  }

 private:
  Service& service_;
};

}  // namespace

std::shared_ptr<TProcessorFactory> processors_of(Service& service) {
  return std::make_shared<Processors>(service);
}

}  // namespace lambdaml::ps
