#include "lambdaml/ps/server.h"

#include <algorithm>
#include <condition_variable>
#include <future>
#include <thread>

#include <thrift/server/TThreadedServer.h>

#include "lambdaml/base/log.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/ps/server/listener.h"
#include "lambdaml/ps/server/metrics.h"
#include "lambdaml/ps/server/peers.h"
#include "lambdaml/ps/server/service.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {
namespace {

using namespace ::apache::thrift;

class Transports final : public transport::TTransportFactory {
 public:
  std::shared_ptr<transport::TTransport> getTransport(
      std::shared_ptr<transport::TTransport> socket) override {
    return std::make_shared<Buffered>(std::move(socket), kGreetingBytes);
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

std::int64_t new_incarnation() { return static_cast<std::int64_t>(unique_number() >> 1); }

}  // namespace

struct Server::Parts {
  explicit Parts(const ServerSettings& given)
      : settings(given),
        state(given.dir, {.memory_bytes = given.memory_bytes,
                          .models = given.models,
                          .vector_bytes = given.message_bytes}),
        peers({.connections = given.connections,
               .wants_token = !given.token.empty(),
               .patience = given.patience},
              state.environment()),
        service{.state = state,
                .token = Token(given.token),
                .incarnation = new_incarnation(),
                .durable = !given.dir.empty(),
                .largest = static_cast<std::uint32_t>(
                    std::min<std::uint64_t>(given.message_bytes, given.memory_bytes))} {
    log_what_thrift_says();
    if (given.token.size() > kLongestToken)
      fail(Code::invalid_argument, "the token has {} bytes; {} are the most", given.token.size(),
           kLongestToken);
    state.environment().budget.set_make_room([this] { return peers.make_room(); });
    if (given.metrics_port >= 0) metrics.emplace(state, given.host, given.metrics_port);
    listener = make_listener(given, peers);
    server = std::make_unique<server::TThreadedServer>(processors_of(service), listener,
                                                       std::make_shared<Transports>(),
                                                       std::make_shared<Protocols>());
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
    // Calls that wait for other workers or for memory would delay the end of the server.
    peers.stop();
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
      expire();
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

  void expire() {
    try {
      state.expire(settings.expired_s);
    } catch (const std::exception& error) {
      log::error("removing expired data: {}", error.what());
    }
  }

  const ServerSettings settings;
  State state;
  Peers peers;
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
  parts_->expire();
}

}  // namespace lambdaml::ps
