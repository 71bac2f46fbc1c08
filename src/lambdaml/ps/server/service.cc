#include "lambdaml/ps/server/service.h"

#include <functional>

#include "lambdaml/ps/server/handler.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {
namespace {

using namespace ::apache::thrift;

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
      Entry::Answer answer = handler_.push_pull_by_hand(*part, std::move(*numbers));
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
