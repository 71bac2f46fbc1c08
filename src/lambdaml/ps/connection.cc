#include "lambdaml/ps/connection.h"

#include <cstring>

namespace lambdaml::ps {

using namespace ::apache::thrift;

namespace {

/// The socket as Thrift's layers see it.
class SocketTransport final : public transport::TVirtualTransport<SocketTransport> {
 public:
  explicit SocketTransport(std::shared_ptr<Socket> socket) : socket_(std::move(socket)) {}

  bool isOpen() const override { return socket_->is_open(); }
  bool peek() override { return isOpen(); }
  void close() override { socket_->close(); }
  std::uint32_t read(std::uint8_t* to, std::uint32_t size) {
    return static_cast<std::uint32_t>(socket_->receive(reinterpret_cast<char*>(to), size));
  }
  void write(const std::uint8_t* from, std::uint32_t size) {
    socket_->send({reinterpret_cast<const char*>(from), size});
  }

 private:
  std::shared_ptr<Socket> socket_;
};

std::optional<TlsOptions> tls_of(const Address& address) {
  if (!address.tls) return {};
  return TlsOptions{.ca = address.ca,
                    .about_trust = "; &ca=FILE or LAMBDAML_PS_CA say whom to trust",
                    .about_server = "; has it --tls-cert?"};
}

}  // namespace

Connection::Connection(const Address& where, std::shared_ptr<Patience> patience) : address(where) {
  static const bool logs = (log_what_thrift_says(), true);
  (void)logs;
  try {
    socket =
        std::make_shared<Socket>(address.host, address.port, std::move(patience), tls_of(address));
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", address.endpoint(), error.what());
  }
  guarded("connecting", [&] { greet(); });
}

void Connection::greet() {
  buffered = std::make_shared<Buffered>(std::make_shared<SocketTransport>(socket), kLongestAnswer);
  protocol = make_protocol(buffered);
  client = std::make_unique<wire::ParameterServerClient>(protocol);
  try {
    client->hello(welcome, address.token);
  } catch (const TApplicationException& unknown) {
    if (unknown.getType() != TApplicationException::UNKNOWN_METHOD) throw;
    original = true;
  }
}

void Connection::require_no_rest() const {
  if (!buffered) return;
  if (!buffered->is_empty() || socket->has_unread())
    socket->fail_lost("the server has closed the connection, or sent more than it was asked for");
}

void Connection::rethrow(std::string_view doing) {
  const auto where = [&](const char* why) {
    return fmt::format("{}: {}: {}", address.endpoint(), doing, printable(why, 300));
  };
  // The answer is invalid or incomplete.
  const auto lost = [&](const std::string& why) {
    try {
      socket->fail_lost(why);
    } catch (const Error& error) {
      throw Error(error.code(), where(error.what()));
    }
  };
  try {
    throw;
  } catch (const wire::InvalidOperation& refused) {
    throw Error(refused.__isset.code ? code_from_string(refused.code) : Code::invalid_argument,
                where(refused.why.c_str()));
  } catch (const TApplicationException& error) {
    // A server answers with these two; all others mean that the answer does not match the call.
    if (error.getType() == TApplicationException::UNKNOWN_METHOD)
      throw Error(Code::invalid_argument, where(error.what()));
    if (error.getType() == TApplicationException::INTERNAL_ERROR)
      throw Error(Code::internal, where(error.what()));
    lost(error.what());
  } catch (const TException& error) {  // of the transport, or of the protocol
    lost(error.what());
  } catch (const Error& error) {
    // The socket's errors state only the cause.
    if (error.code() != Code::unavailable) throw;
    throw Error(error.code(), where(error.what()));
  }
  throw Error(Code::internal, where("an exception of unknown type"));
}

void Connection::require_new(std::string_view doing) const {
  if (original)
    fail(Code::invalid_argument,
         "{}: {}: this is a server of the original system, which cannot; start lambdaml ps "
         "instead",
         address.endpoint(), doing);
}

void Connection::call(const char* name, const std::function<void(protocol::TProtocol&)>& arguments,
                      const std::function<bool(protocol::TProtocol&, std::int16_t)>& result,
                      std::uint64_t longest) {
  protocol::TProtocol& wire = *protocol;
  const std::int32_t number = ++calls_;
  wire.writeMessageBegin(name, protocol::T_CALL, number);
  arguments(wire);
  wire.writeMessageEnd();
  wire.getTransport()->flush();
  std::string text;
  protocol::TMessageType type{};
  std::int32_t sequence = 0;
  buffered->limit_message(longest);
  wire.readMessageBegin(text, type, sequence);
  if (type == protocol::T_EXCEPTION) {
    TApplicationException error;
    error.read(&wire);
    end_of_answer();
    throw error;
  }
  if (type != protocol::T_REPLY || text != name || sequence != number)
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
  end_of_answer();
  if (refused) throw wire::InvalidOperation(*refused);
}

std::vector<float> Connection::pull(const std::string& id, std::uint32_t n, std::uint32_t worker) {
  constexpr std::uint32_t kLargest = 1 << 30;
  std::vector<float> values;
  const auto read_model = [&](protocol::TProtocol& in) {
    std::string name;
    while (true) {
      protocol::TType field = protocol::T_STOP;
      std::int16_t at = 0;
      in.readFieldBegin(name, field, at);
      if (field == protocol::T_STOP) return;
      if (at != 3 || field != protocol::T_LIST) {
        in.skip(field);
        continue;
      }
      protocol->setContainerSizeLimit(0);
      const Buffer doubles = read_doubles(in, kLargest);
      protocol->setContainerSizeLimit(kLongestList);
      values.resize(doubles.size() / sizeof(double));
      for (std::size_t i = 0; i < values.size(); ++i) {
        double value = 0;
        std::memcpy(&value, doubles.data() + i * sizeof value, sizeof value);
        values[i] = static_cast<float>(value);
      }
    }
  };
  call(
      "pull_model",
      [&](protocol::TProtocol& out) {
        out.writeFieldBegin("", protocol::T_STRING, 1);
        out.writeString(id);
        out.writeFieldBegin("", protocol::T_I32, 2);
        out.writeI32(static_cast<std::int32_t>(n));
        out.writeFieldBegin("", protocol::T_I32, 3);
        out.writeI32(static_cast<std::int32_t>(worker));
        out.writeFieldStop();
      },
      [&](protocol::TProtocol& in, std::int16_t type) {
        if (type != protocol::T_STRUCT) return false;
        read_model(in);
        return true;
      },
      long_message(kLargest));
  return values;
}

void Connection::end_of_answer() const {
  protocol->readMessageEnd();
  buffered->readEnd();
}

}  // namespace lambdaml::ps
