#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/service/patience.h"
#include "lambdaml/ps/address.h"
#include "lambdaml/ps/message.h"

namespace lambdaml::ps {

class Connection;

/// One connection to a parameter server. Used by one thread. After `unavailable` the effect on the
/// server is unknown and the connection must not be used; make a new one and repeat the call, which
/// is safe for every call.
///
/// Throws unavailable (unreachable, closed, silent for longer than the patience lasts, or an
/// invalid answer), permission_denied (token, certificate), the server's own errors, and cancelled
/// (interrupted).
class Client {
 public:
  /// If `patience` is null, uses its own with the standard policy.
  explicit Client(const Address& address, std::shared_ptr<Patience> patience = nullptr);
  ~Client();
  Client(Client&&) noexcept;

  /// Whether this is a server of the original system: then only the second group of calls works.
  bool original() const;
  /// A number that changes with each start of the server.
  std::int64_t incarnation() const;
  bool durable() const;
  /// The limit of a vector or value, in bytes.
  std::uint32_t largest() const;

  /// The numbers of the answer are empty if contributions are missing.
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

  /// The original system's calls: a model that all workers pull in turn n and push to, by polling.
  /// Vectors are sent as raw bytes if the server supports that, otherwise as lists of doubles.
  void ping();
  void register_model(const std::string& id, std::size_t length, std::uint32_t workers);
  bool exists(const std::string& id);
  bool can_pull(const std::string& id, std::uint32_t n, std::uint32_t worker);
  bool can_push(const std::string& id, std::uint32_t n, std::uint32_t worker);
  std::vector<float> pull(const std::string& id, std::uint32_t n, std::uint32_t worker);
  /// Adds `rate` times `values` to the model.
  void push(const std::string& id, double rate, std::span<const float> values, std::uint32_t n,
            std::uint32_t worker);

 private:
  std::unique_ptr<Connection> connection_;
};

}  // namespace lambdaml::ps
