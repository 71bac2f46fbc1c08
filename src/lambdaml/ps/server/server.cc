#include "lambdaml/ps/server.h"

#include <condition_variable>
#include <future>
#include <random>
#include <thread>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/TSSLServerSocket.h>
#include <thrift/transport/TSSLSocket.h>
#include <thrift/transport/TServerSocket.h>

#include "lambdaml/base/log.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/ps/server/metrics.h"
#include "lambdaml/ps/server/service.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {
namespace {

using namespace ::apache::thrift;

/// A client that does not read its answer for so long is dropped.
constexpr int kSendTimeout_ms = 30'000;

class Transports final : public transport::TTransportFactory {
 public:
  std::shared_ptr<transport::TTransport> getTransport(
      std::shared_ptr<transport::TTransport> socket) override {
    return std::make_shared<Buffered>(std::move(socket));
  }
};

class Protocols final : public protocol::TProtocolFactory {
 public:
  std::shared_ptr<protocol::TProtocol> getProtocol(
      std::shared_ptr<transport::TTransport> transport) override {
    return make_protocol(std::move(transport));
  }
};

class Listening final : public server::TServerEventHandler {
 public:
  explicit Listening(std::promise<void>& ready) : ready_(ready) {}
  void preServe() override { ready_.set_value(); }

 private:
  std::promise<void>& ready_;
};

void set_options(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

std::shared_ptr<transport::TServerSocket> make_listener(const ServerSettings& settings) {
  if (settings.tls_cert.empty() != settings.tls_key.empty())
    fail(Code::invalid_argument, "TLS needs both a certificate and a key");
  if (settings.tls_cert.empty())
    return std::make_shared<transport::TServerSocket>(settings.host, settings.port);
  try {
    const auto factory = std::make_shared<transport::TSSLSocketFactory>(transport::TLSv1_2);
    factory->server(true);
    factory->loadCertificate(settings.tls_cert.c_str());
    factory->loadPrivateKey(settings.tls_key.c_str());
    return std::make_shared<transport::TSSLServerSocket>(settings.host, settings.port, factory);
  } catch (const TException& error) {
    fail(Code::invalid_argument, "TLS with the certificate {} and the key {}: {}",
         settings.tls_cert, settings.tls_key, error.what());
  }
}

std::int64_t new_incarnation() {
  std::random_device random;
  return static_cast<std::int64_t>(mix({random(), random()}) >> 1);
}

}  // namespace

struct Server::Parts {
  explicit Parts(const ServerSettings& given)
      : settings(given),
        state(given.dir, {.memory_bytes = given.memory_bytes, .models = given.models}),
        service{.state = state,
                .token = given.token,
                .incarnation = new_incarnation(),
                .durable = !given.dir.empty(),
                .largest = given.message_bytes} {
    log_what_thrift_says();
    if (given.metrics_port >= 0) metrics.emplace(state, given.host, given.metrics_port);
    listener = make_listener(given);
    listener->setSendTimeout(kSendTimeout_ms);
    listener->setKeepAlive(true);
    listener->setAcceptCallback(set_options);
    server = std::make_unique<server::TThreadedServer>(processors_of(service), listener,
                                                       std::make_shared<Transports>(),
                                                       std::make_shared<Protocols>());
    server->setConcurrentClientLimit(static_cast<std::int64_t>(given.connections));
    std::future<void> listening = ready.get_future();
    server->setServerEventHandler(std::make_shared<Listening>(ready));
    serving = std::thread([this] {
      try {
        server->serve();
      } catch (const std::exception& error) {
        try {
          ready.set_exception(std::current_exception());
        } catch (const std::future_error&) {  // it has listened
          log::error("the server has ended: {}", error.what());
        }
      }
    });
    try {
      listening.get();
    } catch (const std::exception& error) {
      serving.join();
      fail(Code::already_exists,
           "listening on {}:{}: {}; is another server running there? --port 0 picks a free one",
           given.host, given.port, error.what());
    }
    housekeeping = std::thread([this] { keep_house(); });
  }

  ~Parts() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    housekeeping.join();
    // Whoever waits for others would keep the server from its end.
    server->stop();
    state.interrupt();
    serving.join();
    save();
  }

  void keep_house() {
    std::unique_lock lock(mutex);
    const std::chrono::duration<double> interval(settings.interval_s);
    while (!wake.wait_for(lock, interval, [this] { return stopping; })) {
      lock.unlock();
      save();
      state.expire(settings.expired_s);
      lock.lock();
    }
  }

  void save() {
    try {
      state.save();
    } catch (const std::exception& error) {
      log::error("saving to {}: {}", settings.dir.string(), error.what());
    }
  }

  const ServerSettings settings;
  State state;
  Service service;
  std::optional<Metrics> metrics;
  std::shared_ptr<transport::TServerSocket> listener;
  std::unique_ptr<server::TThreadedServer> server;
  std::promise<void> ready;
  std::thread serving, housekeeping;
  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;
};

Server::Server(const ServerSettings& settings) : parts_(std::make_unique<Parts>(settings)) {}
Server::~Server() = default;

std::uint16_t Server::port() const {
  return static_cast<std::uint16_t>(parts_->listener->getPort());
}
int Server::metrics_port() const { return parts_->metrics ? parts_->metrics->port() : -1; }

void Server::save_and_expire() {
  parts_->save();
  parts_->state.expire(parts_->settings.expired_s);
}

}  // namespace lambdaml::ps
