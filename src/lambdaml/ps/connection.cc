#include "lambdaml/ps/connection.h"

#include "lambdaml/ps/tls.h"

namespace lambdaml::ps {

using namespace ::apache::thrift;

Connection::Connection(const Address& where) : address(where) {
  constexpr int kConnect_ms = 5000;
  static const bool logs = (log_what_thrift_says(), true);
  (void)logs;
  guarded("connecting", [&] {
    socket = std::make_shared<transport::TSocket>(address.host, address.port);
    socket->setConnTimeout(kConnect_ms);
    socket->setRecvTimeout(kAnswer_ms);
    socket->setSendTimeout(kAnswer_ms);
    socket->setNoDelay(true);
    socket->setKeepAlive(true);
    socket->open();
    std::shared_ptr<transport::TTransport> line = socket;
    if (address.tls) line = secure(socket, address);
    protocol = make_protocol(std::make_shared<Buffered>(line));
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

void Connection::rethrow(std::string_view doing) const {
  const auto where = [&](const char* why) {
    return fmt::format("{}: {}: {}", address.endpoint(), doing, printable(why, 300));
  };
  try {
    throw;
  } catch (const wire::InvalidOperation& refused) {
    throw Error(refused.__isset.code ? code_from_string(refused.code) : Code::invalid_argument,
                where(refused.why.c_str()));
  } catch (const TApplicationException& error) {
    throw Error(error.getType() == TApplicationException::UNKNOWN_METHOD ? Code::invalid_argument
                                                                         : Code::internal,
                where(error.what()));
  } catch (const TException& error) {  // of the transport, or of the protocol
    throw Error(Code::unavailable, where(error.what()));
  }
}

void Connection::require_new(std::string_view doing) const {
  if (original)
    fail(Code::invalid_argument,
         "{}: {}: this is a server of the original system, which cannot; start lambdaml ps "
         "instead",
         address.endpoint(), doing);
}

void Connection::call(const char* name, const std::function<void(protocol::TProtocol&)>& arguments,
                      const std::function<bool(protocol::TProtocol&, std::int16_t)>& result) {
  require_new(name);
  protocol::TProtocol& wire = *protocol;
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

}  // namespace lambdaml::ps
