#include "lambdaml/ps/server/service.h"

#include <functional>
#include <map>

#include <thrift/transport/TBufferTransports.h>

#include "lambdaml/ps/server/handler.h"
#include "lambdaml/ps/server/listener.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {
namespace {

using namespace ::apache::thrift;
using wire::Operation;

/// The limit of lists for which generated code allocates memory as soon as their length is known.
constexpr std::int32_t kShortList = 1 << 13;

/// The calls that a server answers with a request for the token.
const std::map<std::string, Operation::type>& operations() {
  static const std::map<std::string, Operation::type> all = {
      {"ping", Operation::PING},
      {"register_model", Operation::REGISTER},
      {"exist_model", Operation::EXIST_MODEL},
      {"can_pull", Operation::CAN_PULL},
      {"can_push", Operation::CAN_PUSH},
      {"pull_model", Operation::PULL_MODEL},
      {"push_grad", Operation::PUSH_GRAD},
      {"push_update", Operation::PUSH_UPDATE},
      {"push_pull", Operation::PUSH_PULL},
      {"register_vector", Operation::REGISTER},
      {"delete_model", Operation::DELETE},
      {"put", Operation::KEYS},
      {"create", Operation::KEYS},
      {"get", Operation::KEYS},
      {"remove", Operation::KEYS},
      {"find", Operation::KEYS},
      {"clear", Operation::KEYS}};
  return all;
}

/// Generated code, except for the calls that carry vectors, values and long lists. Each of these is
/// read to the end of its message before anything is done.
class Processor final : public wire::ParameterServerProcessor {
 public:
  Processor(const std::shared_ptr<Handler>& handler, std::shared_ptr<Peer> peer)
      : ParameterServerProcessor(handler), handler_(*handler), peer_(std::move(peer)) {}

  bool process(std::shared_ptr<protocol::TProtocol> in, std::shared_ptr<protocol::TProtocol> out,
               void* context) override {
    try {
      return ParameterServerProcessor::process(std::move(in), std::move(out), context);
    } catch (const TException&) {
      throw;
    } catch (const std::exception& error) {
      // Thrift's server only catches its own exceptions; any other would end the process.
      throw TException(error.what());
    }
  }

 private:
  using Reply = std::function<void(Protocol&)>;
  using Call = std::function<Reply()>;
  using ByHand = Call (Processor::*)(Protocol&, const std::string&);

  bool dispatchCall(Protocol* in, Protocol* out, const std::string& name, std::int32_t sequence,
                    void* context) override {
    static const std::map<std::string, ByHand> by_hand = {
        {"push_pull", &Processor::push_pull}, {"put", &Processor::save},
        {"create", &Processor::save},         {"get", &Processor::get},
        {"remove", &Processor::remove},       {"pull_model", &Processor::pull_model},
        {"push_grad", &Processor::push},      {"push_update", &Processor::push}};
    if (!handler_.is_admitted() && name != "hello") {
      if (name == "zip") return false;
      if (const auto known = operations().find(name); known != operations().end())
        return answer(*in, *out, name, sequence, refuse(*in, known->second));
    }
    if (handler_.is_admitted()) limit_message(*in, kSmallMessage, kShortList);
    if (const auto call = by_hand.find(name); handler_.is_admitted() && call != by_hand.end()) {
      limit_message(*in, long_message(handler_.service().largest), kLongestList);
      return answer(*in, *out, name, sequence, (this->*call->second)(*in, name));
    }
    const bool goes_on = ParameterServerProcessor::dispatchCall(in, out, name, sequence, context);
    // Each guess of the token costs a connection.
    return goes_on && (handler_.is_admitted() || name != "hello");
  }

  static void limit_message(Protocol& in, std::uint64_t bytes, std::int32_t elements) {
    if (auto* buffered = dynamic_cast<Buffered*>(in.getTransport().get()))
      buffered->limit_message(bytes);
    if (auto* binary = dynamic_cast<protocol::TBinaryProtocol*>(&in))
      binary->setContainerSizeLimit(elements);
  }

  Call refuse(Protocol& in, Operation::type operation) {
    read_arguments(in, [](std::int16_t, protocol::TType) { return false; });
    return [this, operation]() -> Reply { throw handler_.refusal_of(operation); };
  }

  /// The memory that the request's binaries may take.
  Room room(const std::shared_ptr<Intake>& intake) const {
    Room room(handler_.service().largest);
    room.has_memory = [intake](std::uint64_t bytes) { return intake->take(bytes); };
    return room;
  }
  std::shared_ptr<Intake> intake() const {
    return std::make_shared<Intake>(handler_.service().state.environment().budget, peer_);
  }

  Call push_pull(Protocol& in, const std::string&) {
    const auto part = std::make_shared<Part>();
    const auto numbers = std::make_shared<Numbers>();
    const auto memory = intake();
    read_arguments(in, [&](std::int16_t id, protocol::TType type) {
      if (id != 1 || type != protocol::T_STRUCT) return false;
      // If such a field is repeated the last one counts, as in generated code.
      *part = {};
      *numbers = {};
      read(in, room(memory), *part, *numbers);
      return true;
    });
    return [this, part, numbers, memory]() -> Reply {
      const bool takes_sparse = part->kind == Kind::round;
      Entry::Answer answer =
          handler_.push_pull_by_hand(*part, std::move(*numbers), std::move(*memory));
      return [this, answer, part, takes_sparse](Protocol& out) {
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
          // A worker that restores a result does not need it back.
          if (part->kind != Kind::result) numbers.values = result.values;
          if (takes_sparse && result.sparse) {
            numbers.indices = std::as_bytes(std::span(result.sparse->indices));
            numbers.values = std::as_bytes(std::span(result.sparse->values));
          }
          handler_.service().state.environment().stats.bytes_sent +=
              numbers.totals.size() + numbers.values.size();
          handler_.holds(result.charge.bytes());
        }
        out.writeFieldBegin("", protocol::T_STRUCT, 0);
        write(out, sum, numbers);
      };
    };
  }

  Call save(Protocol& in, const std::string& name) {
    std::string key;
    const auto value = std::make_shared<Buffer>();
    const auto memory = intake();
    read_arguments(in, [&](std::int16_t id, protocol::TType type) {
      if (type != protocol::T_STRING || (id != 1 && id != 2)) return false;
      if (id == 1)
        in.readString(key);
      else
        *value = read_binary(in, room(memory));
      return true;
    });
    return [this, key, value, memory, only_new = name == "create"]() -> Reply {
      if (!only_new) {
        handler_.put_by_hand(key, std::move(*value), std::move(*memory));
        return [](Protocol&) {};
      }
      const bool created = handler_.create_by_hand(key, std::move(*value), std::move(*memory));
      return [created](Protocol& out) {
        out.writeFieldBegin("", protocol::T_BOOL, 0);
        out.writeBool(created);
      };
    };
  }

  Call get(Protocol& in, const std::string&) {
    std::string key;
    read_arguments(in, [&](std::int16_t id, protocol::TType type) {
      if (id != 1 || type != protocol::T_STRING) return false;
      in.readString(key);
      return true;
    });
    return [this, key]() -> Reply {
      const std::shared_ptr<const Buffer> value = handler_.get_by_hand(key);
      return [this, value](Protocol& out) {
        if (value) handler_.holds(value->size());
        out.writeFieldBegin("", protocol::T_STRUCT, 0);
        if (value) write_binary_field(out, 1, *value);
        out.writeFieldStop();
      };
    };
  }

  Call remove(Protocol& in, const std::string&) {
    const auto keys = std::make_shared<std::vector<std::string>>();
    const auto memory = intake();
    read_arguments(in, [&](std::int16_t id, protocol::TType type) {
      if (id != 1 || type != protocol::T_LIST) return false;
      protocol::TType element = protocol::T_STOP;
      std::uint32_t size = 0;
      in.readListBegin(element, size);
      if (size > 0 && element != protocol::T_STRING)
        throw protocol::TProtocolException(protocol::TProtocolException::INVALID_DATA,
                                           "a list of no strings");
      for (std::uint32_t i = 0; i < size; ++i) {
        std::string key;
        in.readString(key);
        if (!memory->take(sizeof key + key.size())) continue;
        keys->push_back(std::move(key));
      }
      return true;
    });
    return [this, keys, memory]() -> Reply {
      handler_.remove_by_hand(*keys, std::move(*memory));
      return [](Protocol&) {};
    };
  }

  Call pull_model(Protocol& in, const std::string&) {
    std::string model;
    std::int32_t round = 0;
    std::int32_t worker = 0;
    read_arguments(in, [&](std::int16_t id, protocol::TType type) {
      if (id == 1 && type == protocol::T_STRING)
        in.readString(model);
      else if (id == 2 && type == protocol::T_I32)
        in.readI32(round);
      else if (id == 3 && type == protocol::T_I32)
        in.readI32(worker);
      else
        return false;
      return true;
    });
    return [this, model, round, worker]() -> Reply {
      const std::shared_ptr<const Result> result = handler_.pull_by_hand(model, round, worker);
      return [this, model, result](Protocol& out) {
        handler_.holds(result->charge.bytes());
        out.writeFieldBegin("success", protocol::T_STRUCT, 0);
        out.writeFieldBegin("id", protocol::T_STRING, 1);
        out.writeString(model);
        out.writeFieldBegin("length", protocol::T_I32, 2);
        out.writeI32(static_cast<std::int32_t>(result->length()));
        out.writeFieldBegin("data", protocol::T_LIST, 3);
        write_doubles(out, result->floats());
        out.writeFieldStop();
      };
    };
  }

  Call push(Protocol& in, const std::string& name) {
    const auto push = std::make_shared<OriginalPush>();
    const auto memory = intake();
    // In a Grad, the rate precedes the fields that both have.
    push->is_grad = name == "push_grad";
    const std::int16_t shift = push->is_grad ? 1 : 0;
    read_arguments(in, [&](std::int16_t id, protocol::TType type) {
      if (id != 1 || type != protocol::T_STRUCT) return false;
      read_fields(in, [&](std::int16_t field, protocol::TType kind) {
        if (field == 1 && kind == protocol::T_STRING)
          in.readString(push->id);
        else if (push->is_grad && field == 2 && kind == protocol::T_DOUBLE)
          in.readDouble(push->rate);
        else if (field == 2 + shift && kind == protocol::T_I32)
          in.readI32(push->length.emplace());
        else if (field == 3 + shift && kind == protocol::T_LIST)
          push->doubles = read_list(in, room(memory));
        else if (field == 4 + shift && kind == protocol::T_I32)
          in.readI32(push->round);
        else if (field == 5 + shift && kind == protocol::T_I32)
          in.readI32(push->worker);
        else
          return false;
        return true;
      });
      return true;
    });
    return [this, push, memory]() -> Reply {
      handler_.push_by_hand(std::move(*push), std::move(*memory));
      return [](Protocol&) {};
    };
  }

  /// At most as long as a vector.
  static Buffer read_list(Protocol& in, const Room& room) {
    auto& binary = dynamic_cast<protocol::TBinaryProtocol&>(in);
    binary.setContainerSizeLimit(static_cast<std::int32_t>(room.largest / sizeof(float)));
    Buffer doubles = read_doubles(in, room);
    binary.setContainerSizeLimit(kLongestList);
    return doubles;
  }

  template <class Take>
  static void read_fields(Protocol& in, Take&& take) {
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
  }

  template <class Take>
  static void read_arguments(Protocol& in, Take&& take) {
    read_fields(in, take);
    in.readMessageEnd();
    in.getTransport()->readEnd();
  }

  static bool answer(Protocol&, Protocol& out, const std::string& name, std::int32_t sequence,
                     const Call& call) {
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
  const std::shared_ptr<Peer> peer_;
};

class Processors final : public TProcessorFactory {
 public:
  explicit Processors(Service& service) : service_(service) {}
  std::shared_ptr<TProcessor> getProcessor(const TConnectionInfo& connection) override {
    const auto transport = std::dynamic_pointer_cast<PeerTransport>(connection.transport);
    const std::shared_ptr<Peer> peer = transport ? transport->peer() : nullptr;
    return std::make_shared<Processor>(std::make_shared<Handler>(service_, peer), peer);
  }

 private:
  Service& service_;
};

}  // namespace

std::shared_ptr<TProcessorFactory> processors_of(Service& service) {
  return std::make_shared<Processors>(service);
}

std::string answers_to(Service& service, std::string bytes) {
  const auto said = std::make_shared<transport::TMemoryBuffer>(
      reinterpret_cast<std::uint8_t*>(bytes.data()), static_cast<std::uint32_t>(bytes.size()));
  const auto answers = std::make_shared<transport::TMemoryBuffer>();
  const auto in = make_protocol(std::make_shared<Buffered>(said, kGreetingBytes));
  const auto out = make_protocol(answers);
  Processor processor(std::make_shared<Handler>(service, nullptr), nullptr);
  try {
    while (processor.process(in, out, nullptr)) {
    }
  } catch (const TException&) {  // where the connection would end
  }
  return answers->getBufferAsString();
}

}  // namespace lambdaml::ps
