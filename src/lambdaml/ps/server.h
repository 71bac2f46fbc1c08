#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace lambdaml::ps {

struct ServerSettings {
  std::string host = "127.0.0.1";
  std::uint16_t port = 27000;               ///< 0 picks a free one
  double interval_s = 60;                   ///< between snapshots and checks for expired data
  double expired_s = 6000;                  ///< data unused for this long is removed
  std::filesystem::path dir = {};           ///< empty: nothing is kept on disk
  int metrics_port = -1;                    ///< below 0: none; 0 picks a free one
  std::string token = {};                   ///< empty: none is required
  std::string tls_cert = {}, tls_key = {};  ///< PEM files, both or none
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;
  std::uint32_t message_bytes = std::uint32_t{1} << 30;  ///< of the longest vector
  std::size_t models = 1000;
  std::size_t connections = 1000;  ///< beyond these, clients wait to be accepted

  /// After how many seconds a connection is ended.
  struct Patience {
    double greeting_s = 10;  ///< that has not sent the required token
    double request_s = 20;   ///< that sends less than 20 KB of a request in this time
    double answer_s = 30;    ///< that takes less than 20 KB of an answer in this time
  };
  Patience patience = {};
};

/// The parameter server: serves parameter_server.thrift from construction to destruction, on its
/// own threads, one per connection.
class Server {
 public:
  /// Loads the contents of `dir` and listens. Throws invalid_argument (a bad host, certificate or
  /// key), already_exists (a port in use), and file errors.
  explicit Server(const ServerSettings& settings);
  /// Stops serving, then saves.
  ~Server();

  std::uint16_t port() const;
  int metrics_port() const;
  /// Saves and expires data, as each interval does. Logs what it cannot save. Thread-safe.
  void save_and_expire();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace lambdaml::ps
