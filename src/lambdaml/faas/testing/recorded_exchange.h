#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/faas/sandbox/http_server.h"

namespace lambdaml::faas::sandbox {

/// A request without a connection, for tests of request handlers.
class RecordedExchange : public Exchange {
 public:
  static std::shared_ptr<RecordedExchange> of(HttpRequest request) {
    auto out = std::make_shared<RecordedExchange>();
    out->request = std::move(request);
    return out;
  }
  void reply(HttpReply reply) override { got = std::move(reply); }
  std::shared_ptr<ReplyStream> stream(HttpReply) override { return nullptr; }
  bool is_open() const override { return open; }

  std::optional<HttpReply> got;
  bool open = true;  ///< whether the client is connected
};

}  // namespace lambdaml::faas::sandbox
