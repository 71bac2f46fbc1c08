#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ParameterServer.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TSocket.h>

#include "lambdaml/ps/server.h"

namespace lambdaml::ps {

/// A client as the original's: generated code, lists of doubles. One connection, as a worker of the
/// original has one for its life.
struct OriginalClient {
  explicit OriginalClient(const Server& server)
      : socket(std::make_shared<apache::thrift::transport::TSocket>("127.0.0.1", server.port())),
        calls(std::make_shared<apache::thrift::protocol::TBinaryProtocol>(
            std::make_shared<apache::thrift::transport::TBufferedTransport>(socket))) {
    socket->open();
  }
  std::vector<double> pull(const std::string& id, int n, int worker) {
    wire::Model model;
    calls.pull_model(model, id, n, worker);
    return model.data;
  }
  void push(const std::string& id, double rate, const std::vector<double>& data, int n,
            int worker) {
    wire::Grad grad;
    grad.id = id;
    grad.learning_rate = rate;
    grad.data = data;
    grad.__set_length(static_cast<std::int32_t>(data.size()));
    grad.n_iter = n;
    grad.worker_id = worker;
    calls.push_grad(grad);
  }
  std::shared_ptr<apache::thrift::transport::TSocket> socket;
  wire::ParameterServerClient calls;
};

/// The message of the refusal of a call; "accepted" if there was none.
template <class Call>
std::string refusal_of(Call call) {
  try {
    call();
  } catch (const wire::InvalidOperation& refused) {
    return refused.why;
  }
  return "accepted";
}

}  // namespace lambdaml::ps
