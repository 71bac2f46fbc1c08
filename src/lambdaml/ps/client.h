#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/service/patience.h"
#include "lambdaml/ps/address.h"
#include "lambdaml/ps/message.h"

namespace lambdaml::ps {

class Connection;

/// One connection to a parameter server. One thread. After `unavailable`, nobody knows what the
/// server has done and the connection is of no more use: make another and call again, every call
/// may be repeated.
///
/// Throws unavailable (not there, closed, silent for longer than the patience lasts, or an answer
/// that is none), permission_denied (token, certificate), what the server refuses with, and
/// cancelled (interrupted).
class Client {
 public:
  /// Without a patience it makes one of its own, by the standard policy.
  explicit Client(const Address& address, std::shared_ptr<Patience> patience = nullptr);
  ~Client();
  Client(Client&&) noexcept;

  /// A server of the original system: only the calls of the second group work.
  bool original() const;
  /// Another number after each start of the server.
  std::int64_t incarnation() const;
  bool durable() const;
  /// Bytes of the longest vector or value.
  std::uint32_t largest() const;

  /// `numbers` of the answer are empty when something is missing.
  Sum push_pull(const Part& part, const NumbersView& pushed, Numbers& answer);
  void put(const std::string& key, Bytes value);
  bool create(const std::string& key, Bytes value);
  std::optional<Buffer> get(const std::string& key);
  void remove(const std::vector<std::string>& keys);
  std::vector<std::pair<std::string, std::uint64_t>> find(const std::string& prefix);
  void clear(const std::string& prefix);
  void delete_model(const std::string& id);
  struct Registration {
    std::string id;
    std::uint64_t length = 0;
    std::uint32_t workers = 1;
    bool zeros = true;
    std::optional<double> learning_rate = {};
    double momentum = 0;
    double l2 = 0;
    std::vector<std::pair<std::size_t, std::size_t>> penalized = {};  ///< empty: all
  };
  void register_vector(const Registration& registration);

  /// The original's calls: a model that all pull in turn n and push to, polled for. Where the
  /// server can, vectors go raw, else as lists of doubles.
  void ping();
  void register_model(const std::string& id, std::size_t length, std::uint32_t workers);
  bool exists(const std::string& id);
  bool can_pull(const std::string& id, std::uint32_t n, std::uint32_t worker);
  bool can_push(const std::string& id, std::uint32_t n, std::uint32_t worker);
  std::vector<float> pull(const std::string& id, std::uint32_t n, std::uint32_t worker);
  /// The model grows by `rate` times `values`.
  void push(const std::string& id, double rate, std::span<const float> values, std::uint32_t n,
            std::uint32_t worker);

 private:
  std::unique_ptr<Connection> connection_;
};

}  // namespace lambdaml::ps
