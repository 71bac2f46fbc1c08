#include "lambdaml/faas/emulator/local_emulator.h"

#include <algorithm>
#include <future>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include "lambdaml/faas/emulator/service_api.h"
#include "lambdaml/faas/sandbox/loop_thread.h"

namespace lambdaml::faas::emulator {
namespace {

constexpr std::size_t kConnections = 4096;
constexpr std::size_t kWaiting = 1024;

/// Functions need descriptors too.
sandbox::HttpServer::Limits limits_for(std::uint16_t port) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto descriptors = static_cast<std::size_t>(limit.rlim_cur);
  sandbox::HttpServer::Limits out{.body_bytes = 0};
  out.connections = std::clamp<std::size_t>(descriptors / 2, 1, kConnections);
  out.waiting = std::clamp<std::size_t>(descriptors / 4, 1, kWaiting);
  out.head_s = 10;
  out.body_s = 60;
  out.reply_s = 60;
  out.port = port;
  return out;
}

class LocalEmulator : public Emulator {
 public:
  explicit LocalEmulator(const EmulatorSettings& settings)
      : loop_(1),
        service_(loop_, settings),
        api_(service_, settings.keys),
        server_(
            std::in_place, loop_, limits_for(settings.port),
            sandbox::HttpServer::Hooks{
                .serve = [this](auto exchange) { api_.serve(std::move(exchange)); },
                .too_large =
                    [this](const sandbox::HttpRequest& head) { return api_.refuse_large(head); },
                .admit = [this](const sandbox::HttpRequest& head) { return api_.admit(head); }}),
        port_(server_->port()) {
    // Lets functions that call functions find this service.
    service_.inherited().emplace("AWS_ENDPOINT_URL_LAMBDA",
                                 fmt::format("http://127.0.0.1:{}", port_));
    if (const auto& keys = settings.function_keys) {
      service_.inherited()["AWS_ACCESS_KEY_ID"] = keys->access_key;
      service_.inherited()["AWS_SECRET_ACCESS_KEY"] = keys->secret_key;
      service_.inherited().erase("AWS_SESSION_TOKEN");
    }
    thread_.emplace(loop_, "the Lambda service");
  }
  ~LocalEmulator() override {
    boost::asio::post(loop_, [this] {
      server_->close();
      service_.stop();
    });
    thread_.reset();
  }

  std::uint16_t port() const override { return port_; }

  MetricsText metrics() override {
    std::promise<MetricsText> page;
    boost::asio::post(loop_, [&] { page.set_value(service_.metrics()); });
    return page.get_future().get();
  }

 private:
  boost::asio::io_context loop_;
  LambdaService service_;
  ServiceApi api_;
  std::optional<sandbox::HttpServer> server_;
  const std::uint16_t port_;
  std::optional<sandbox::LoopThread> thread_;
};

}  // namespace

std::unique_ptr<Emulator> start_emulator(const EmulatorSettings& settings) {
  return std::make_unique<LocalEmulator>(settings);
}

}  // namespace lambdaml::faas::emulator
