#include "lambdaml/ps/client.h"

#include <functional>
#include <type_traits>

#include <ParameterServer.h>
#include <thrift/transport/TSSLSocket.h>
#include <thrift/transport/TSocket.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {
namespace {

using namespace ::apache::thrift;

constexpr int kConnectMs = 5000;
/// What an answer may take beyond the wait that was asked for.
constexpr int kAnswerMs = 60'000;

std::shared_ptr<transport::TSocket> make_socket(const Address& address) {
  if (!address.tls) return std::make_shared<transport::TSocket>(address.host, address.port);
  transport::TSSLSocketFactory factory(transport::TLSv1_2);
  factory.authenticate(true);
  factory.loadTrustedCertificates(
      address.ca.empty() ? "/etc/ssl/certs/ca-certificates.crt" : address.ca.c_str(), nullptr);
  return factory.createSocket(address.host, address.port);
}

}  // namespace

struct Client::Wire {
  explicit Wire(const Address& where) : address(where) {
    static const bool logs = (log_what_thrift_says(), true);
    (void)logs;
    guarded("connecting", [&] {
      try {
        socket = make_socket(address);
      } catch (const transport::TSSLException& error) {
        fail(Code::permission_denied, "{}: TLS: {}", address.endpoint(), error.what());
      }
      socket->setConnTimeout(kConnectMs);
      socket->setRecvTimeout(kAnswerMs);
      socket->setSendTimeout(kAnswerMs);
      socket->setNoDelay(true);
      socket->setKeepAlive(true);
      socket->open();
      protocol = make_protocol(std::make_shared<Buffered>(socket));
      client = std::make_unique<wire::ParameterServerClient>(protocol);
      try {
        client->hello(welcome, address.token);
      } catch (const TApplicationException& unknown) {
        if (unknown.getType() != TApplicationException::UNKNOWN_METHOD) throw;
        original = true;
        protocol->setContainerSizeLimit(0);
      }
    });
  }

  /// Calls, and turns what Thrift throws into the project's errors.
  template <class Call>
  std::invoke_result_t<Call> guarded(std::string_view doing, Call&& call) {
    const auto where = [&](const char* why) {
      return fmt::format("{}: {}: {}", address.endpoint(), doing, printable(why, 300));
    };
    try {
      return call();
    } catch (const wire::InvalidOperation& refused) {
      throw Error(refused.__isset.code ? code_from_string(refused.code) : Code::invalid_argument,
                  where(refused.why.c_str()));
    } catch (const transport::TSSLException& error) {
      throw Error(Code::permission_denied, where(error.what()));
    } catch (const transport::TTransportException& error) {
      throw Error(Code::unavailable, where(error.what()));
    } catch (const TApplicationException& error) {
      throw Error(error.getType() == TApplicationException::UNKNOWN_METHOD ? Code::invalid_argument
                                                                           : Code::internal,
                  where(error.what()));
    } catch (const protocol::TProtocolException& error) {
      throw Error(Code::unavailable, where(error.what()));
    }
  }

  void require_new(std::string_view doing) const {
    if (original)
      fail(Code::invalid_argument,
           "{}: {}: this is a server of the original system, which cannot; start lambdaml ps "
           "instead",
           address.endpoint(), doing);
  }

  /// A call whose arguments, and whose result if there is one, are written and read by hand.
  void call(const char* name, const std::function<void(Protocol&)>& arguments,
            const std::function<bool(Protocol&, std::int16_t)>& result) {
    require_new(name);
    Protocol& wire = *protocol;
    wire.writeMessageBegin(name, protocol::T_CALL, 0);
    arguments(wire);
    wire.writeMessageEnd();
    wire.getTransport()->flush();
    std::string text;
    protocol::TMessageType type{};
    std::int32_t sequence = 0;
    wire.readMessageBegin(text, type, sequence);
    if (type == protocol::T_EXCEPTION) {
      TApplicationException error;
      error.read(&wire);
      throw error;
    }
    if (type != protocol::T_REPLY || text != name)
      throw TApplicationException(TApplicationException::INVALID_MESSAGE_TYPE, "a strange answer");
    wire.readStructBegin(text);
    std::optional<wire::InvalidOperation> refused;
    while (true) {
      protocol::TType field = protocol::T_STOP;
      std::int16_t id = 0;
      wire.readFieldBegin(text, field, id);
      if (field == protocol::T_STOP) break;
      if (id == 1 && field == protocol::T_STRUCT)
        refused.emplace().read(&wire);
      else if (id != 0 || !result(wire, static_cast<std::int16_t>(field)))
        wire.skip(field);
    }
    if (refused) throw wire::InvalidOperation(*refused);
  }

  Address address;
  std::shared_ptr<transport::TSocket> socket;
  std::shared_ptr<protocol::TBinaryProtocol> protocol;
  std::unique_ptr<wire::ParameterServerClient> client;
  wire::Welcome welcome;
  bool original = false;
};

Client::Client(const Address& address) : wire_(std::make_unique<Wire>(address)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;

bool Client::original() const { return wire_->original; }
std::int64_t Client::incarnation() const { return wire_->welcome.incarnation; }
bool Client::durable() const { return wire_->welcome.durable; }
std::uint32_t Client::largest() const { return static_cast<std::uint32_t>(wire_->welcome.largest); }

Sum Client::push_pull(const Part& part, const NumbersView& pushed, Numbers& answer) {
  Sum sum;
  wire_->guarded("push_pull", [&] {
    if (pushed.values.size() > largest() && !wire_->original)
      fail(Code::resource_exhausted, "{}: a vector of {}; the server takes {} (lambdaml ps {})",
           wire_->address.endpoint(), human_bytes(pushed.values.size()), human_bytes(largest()),
           "--message-mb");
    wire_->socket->setRecvTimeout(kAnswerMs + static_cast<int>(part.wait_ms));
    wire_->call(
        "push_pull",
        [&](Protocol& out) {
          out.writeFieldBegin("", protocol::T_STRUCT, 1);
          write(out, part, pushed);
          out.writeFieldStop();
        },
        [&](Protocol& in, std::int16_t type) {
          if (type != protocol::T_STRUCT) return false;
          read(in, largest(), sum, answer);
          return true;
        });
  });
  return sum;
}

namespace {

void write_key_and_value(Protocol& out, const std::string& key, Bytes value) {
  out.writeFieldBegin("", protocol::T_STRING, 1);
  out.writeString(key);
  write_binary_field(out, 2, value);
  out.writeFieldStop();
}

}  // namespace

void Client::put(const std::string& key, Bytes value) {
  wire_->guarded("put", [&] {
    wire_->call(
        "put", [&](Protocol& out) { write_key_and_value(out, key, value); },
        [](Protocol&, std::int16_t) { return false; });
  });
}

bool Client::create(const std::string& key, Bytes value) {
  bool created = false;
  wire_->guarded("create", [&] {
    wire_->call(
        "create", [&](Protocol& out) { write_key_and_value(out, key, value); },
        [&](Protocol& in, std::int16_t type) {
          if (type != protocol::T_BOOL) return false;
          in.readBool(created);
          return true;
        });
  });
  return created;
}

std::optional<Buffer> Client::get(const std::string& key) {
  std::optional<Buffer> value;
  wire_->guarded("get", [&] {
    wire_->call(
        "get",
        [&](Protocol& out) {
          out.writeFieldBegin("", protocol::T_STRING, 1);
          out.writeString(key);
          out.writeFieldStop();
        },
        [&](Protocol& in, std::int16_t type) {
          if (type != protocol::T_STRUCT) return false;
          std::string name;
          while (true) {
            protocol::TType field = protocol::T_STOP;
            std::int16_t id = 0;
            in.readFieldBegin(name, field, id);
            if (field == protocol::T_STOP) return true;
            if (id == 1 && field == protocol::T_STRING)
              value = read_binary(in, largest());
            else
              in.skip(field);
          }
        });
  });
  return value;
}

void Client::remove(const std::vector<std::string>& keys) {
  wire_->guarded("remove", [&] {
    wire_->require_new("remove");
    wire_->client->remove(keys);
  });
}

std::vector<std::pair<std::string, std::uint64_t>> Client::find(const std::string& prefix) {
  std::vector<std::pair<std::string, std::uint64_t>> out;
  wire_->guarded("find", [&] {
    wire_->require_new("find");
    // A page at a time: names after the last one.
    std::vector<wire::KeyEntry> page;
    do {
      page.clear();
      wire_->client->find(page, prefix, out.empty() ? "" : out.back().first);
      for (const wire::KeyEntry& entry : page)
        out.emplace_back(entry.key, static_cast<std::uint64_t>(entry.bytes));
    } while (!page.empty());
  });
  return out;
}

void Client::clear(const std::string& prefix) {
  wire_->guarded("clear", [&] {
    wire_->require_new("clear");
    wire_->client->clear(prefix);
  });
}

void Client::delete_model(const std::string& id) {
  wire_->guarded("delete_model", [&] {
    wire_->require_new("delete_model");
    wire_->client->delete_model(id);
  });
}

void Client::register_vector(const Registration& registration) {
  wire::Registration wire;
  wire.id = registration.id;
  wire.length = static_cast<std::int64_t>(registration.length);
  wire.workers = static_cast<std::int32_t>(registration.workers);
  wire.zeros = registration.zeros;
  if (registration.learning_rate) wire.__set_learning_rate(*registration.learning_rate);
  wire.momentum = registration.momentum;
  wire.l2 = registration.l2;
  if (!registration.penalized.empty()) {
    std::vector<std::int64_t> ranges;
    for (const auto& [begin, end] : registration.penalized) {
      ranges.push_back(static_cast<std::int64_t>(begin));
      ranges.push_back(static_cast<std::int64_t>(end));
    }
    wire.__set_penalized(ranges);
  }
  wire_->guarded("register_vector", [&] {
    wire_->require_new("register_vector");
    wire_->client->register_vector(wire);
  });
}

void Client::ping() {
  wire_->guarded("ping", [&] { wire_->client->ping(); });
}

void Client::register_model(const std::string& id, std::size_t length, std::uint32_t workers) {
  wire_->guarded("register_model", [&] {
    wire_->client->register_model(id, static_cast<std::int32_t>(length),
                                  static_cast<std::int32_t>(workers));
  });
}

bool Client::exists(const std::string& id) {
  return wire_->guarded("exist_model", [&] { return wire_->client->exist_model(id); });
}

bool Client::can_pull(const std::string& id, std::uint32_t n, std::uint32_t worker) {
  return wire_->guarded("can_pull", [&] {
    return wire_->client->can_pull(id, static_cast<std::int32_t>(n),
                                   static_cast<std::int32_t>(worker));
  });
}

bool Client::can_push(const std::string& id, std::uint32_t n, std::uint32_t worker) {
  return wire_->guarded("can_push", [&] {
    return wire_->client->can_push(id, static_cast<std::int32_t>(n),
                                   static_cast<std::int32_t>(worker));
  });
}

std::vector<float> Client::pull(const std::string& id, std::uint32_t n, std::uint32_t worker) {
  if (!original()) {
    Part part{.id = id, .kind = Kind::running, .round = n, .worker = worker, .workers = 0};
    part.pull_only = true;
    Numbers answer;
    push_pull(part, {}, answer);
    std::vector<float> values(answer.values.size() / sizeof(float));
    std::memcpy(values.data(), answer.values.data(), values.size() * sizeof(float));
    return values;
  }
  return wire_->guarded("pull_model", [&] {
    wire::Model model;
    wire_->client->pull_model(model, id, static_cast<std::int32_t>(n),
                              static_cast<std::int32_t>(worker));
    return std::vector<float>(model.data.begin(), model.data.end());
  });
}

void Client::push(const std::string& id, double rate, std::span<const float> values,
                  std::uint32_t n, std::uint32_t worker) {
  if (!original()) {
    Part part{.id = id, .kind = Kind::running, .round = n, .worker = worker, .workers = 0};
    part.length = values.size();
    part.scale = rate;
    // Of the answer, nothing is wanted.
    const NumbersView pushed{
        {}, {reinterpret_cast<const std::byte*>(values.data()), values.size_bytes()}, {}, Bytes()};
    Numbers answer;
    push_pull(part, pushed, answer);
    return;
  }
  wire::Grad grad;
  grad.id = id;
  grad.learning_rate = rate;
  grad.__set_length(static_cast<std::int32_t>(values.size()));
  grad.data.assign(values.begin(), values.end());
  grad.n_iter = static_cast<std::int32_t>(n);
  grad.worker_id = static_cast<std::int32_t>(worker);
  wire_->guarded("push_grad", [&] { wire_->client->push_grad(grad); });
}

}  // namespace lambdaml::ps
