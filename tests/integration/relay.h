#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

/// A bad line to a real server.
namespace lambdaml::servers {

/// Listens on a free port of 127.0.0.1 and passes on what comes, to a server and back; on the way
/// back it does harm as it is told, to what comes from then on. A thread a connection.
class Relay {
 public:
  /// Port 0: there is no server, and nobody is answered.
  explicit Relay(int server_port);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay();

  int port() const { return port_; }

  /// The next answers, each on the connection that it comes by, are cut after so many bytes.
  void cut(std::size_t after_bytes, int times = 1);
  /// The next answers are replaced by this, and the connection closed.
  void garble(const std::string& answer, int times = 1);
  /// The next answers come twice, the second time without their first bytes, and the connection
  /// goes on.
  void repeat(std::size_t without_bytes, int times = 1);
  /// Bytes come back one at a time with such pauses; 0: no more.
  void drip(double pause_s) { drip_s_ = pause_s; }
  /// Nothing comes back any more, and connections stay open.
  void fall_silent() { silent_ = true; }
  /// Bytes of all answers that were passed on, harmed or not.
  std::uint64_t answered_bytes() const { return answered_bytes_; }
  /// How many answers were cut, garbled or repeated.
  int harmed() const { return harmed_; }

 private:
  void accept_all();
  void pass(int client);
  /// Whether the connection goes on.
  bool answer(int client, std::string_view bytes, std::size_t& sent);
  bool pause(double seconds);

  const int server_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> ending_{false}, silent_{false};
  std::atomic<double> drip_s_{0};
  std::atomic<int> harmed_{0};
  std::atomic<std::uint64_t> answered_bytes_{0};
  std::mutex mutex_;
  int harms_left_ = 0;
  std::size_t cut_after_ = 0;
  std::optional<std::string> garbage_;
  std::optional<std::size_t> repeat_without_;
  std::list<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace lambdaml::servers
