#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

/// A way to a server that closes at a moment of a test's choice.
namespace lambdaml::servers {

/// Relays the connections to a port of its own to a server on 127.0.0.1. Without a server it takes
/// connections and never answers. Thread-safe.
class Gate {
 public:
  enum class State {
    open,
    frozen,  ///< nothing passes, connections stay and new ones are made, as of a stopped process
    shut,    ///< connections are cut and refused
  };
  /// `server`: its port; 0: none.
  explicit Gate(int server = 0);
  Gate(const Gate&) = delete;
  ~Gate();

  int port() const { return port_; }
  void set(State state);
  /// Calls set(state) when `text` is about to pass towards the server for the nth time: it and what
  /// follows meet the new state. To be called before anybody connects.
  void set_at(std::string text, int nth, State state);
  /// Whether that text has come, or without one a first connection, within that time.
  bool wait(double seconds);

 private:
  struct Pair;
  void run();
  void listen();
  void accept();
  bool pump(Pair& pair);
  void look_for_text(Pair& pair, const std::string& news);

  const int server_;
  int port_ = 0;
  int listener_ = -1;
  std::vector<Pair> pairs_;  ///< the thread's own, as is the listener
  std::atomic<State> state_{State::open};
  std::string text_;
  int left_ = 0;  ///< times that the text is still to come
  State then_ = State::open;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool has_come_ = false;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace lambdaml::servers
