#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "lambdaml/base/deadline.h"
#include "lambdaml/ps/server.h"
#include "lambdaml/ps/server/environment.h"

namespace lambdaml::ps {

class Peers;

/// The client's end of one connection, as the server monitors it. Methods are called by the thread
/// that serves the connection; Peers reads the state.
///
///     silent ──received──► request ──request_paused──► work ──sending──► answer
///                             ▲                                            │
///                             └──────received────── idle ◄──────answered───┘
class Peer {
 public:
  /// A transfer's speed is judged by the time that each step of this many bytes takes.
  static constexpr std::uint64_t kStep = 20'000;

  explicit Peer(int socket) : socket_(socket) {}

  /// The server knows the client: by the token or, if none is required, by its first complete
  /// request.
  void admit() { is_admitted_ = true; }
  bool is_admitted() const { return is_admitted_; }

  void received(std::uint64_t bytes) {
    if (state_ != State::request) enter(State::request);
    moved(bytes);
  }
  /// The server stops reading, for now or because the request is complete.
  void request_paused() { enter(State::work); }
  void request_goes_on() { enter(State::request); }
  void sending() {
    if (state_ != State::answer) enter(State::answer);
  }
  void sent(std::uint64_t bytes) { moved(bytes); }
  void answered() {
    holds(0);
    enter(State::idle);
  }
  /// Bytes of memory that ending the connection would free.
  void holds(std::uint64_t bytes) { held_ = bytes; }

 private:
  friend class Peers;
  enum class State { silent, request, work, answer, idle };
  static std::int64_t ticks() { return time_now().time_since_epoch().count(); }
  void enter(State state) {
    moved_ = 0;
    since_ = ticks();
    state_ = state;
  }
  void moved(std::uint64_t bytes) {
    moved_ += bytes;
    if (moved_ < kStep) return;
    moved_ = 0;
    since_ = ticks();
  }
  bool waits_for_the_peer() const {
    const State state = state_;
    return state == State::silent || state == State::request;
  }
  /// Whether the server waits for the client in the middle of a request or an answer.
  bool is_transferring() const {
    const State state = state_;
    return state == State::request || state == State::answer;
  }

  int socket_;               ///< below 0 once it is closed; under Peers::mutex_
  bool is_dropped_ = false;  ///< under Peers::mutex_
  const std::int64_t accepted_ = ticks();
  std::atomic<bool> is_admitted_{false};
  std::atomic<State> state_{State::silent};
  std::atomic<std::int64_t> since_{ticks()};  ///< the state, or its last kStep bytes
  std::atomic<std::uint64_t> held_{0};
  std::uint64_t moved_ = 0;
};

/// All connections, and limits on their use of the server: number in all, number of unknown
/// clients, time, and, when memory is short, memory. A connection is ended by shutting down its
/// socket, which wakes its thread from any wait for it.
///
/// Without these limits, a client without a token could keep others out just by connecting, or
/// occupy memory by sending a part of a long vector.
class Peers {
 public:
  struct Limits {
    std::size_t connections = 1000;
    bool wants_token = false;
    ServerSettings::Patience patience = {};
  };
  /// Limit on connections of unknown clients; further ones push out the oldest, if it is older than
  /// kCrowded_s, and otherwise wait.
  static constexpr std::size_t kMostUnknown = 256;
  static constexpr double kCrowded_s = 0.5;
  /// When memory is short, connections slower than Peer::kStep bytes in this time are ended.
  static constexpr double kStalled_s = 1;

  Peers(Limits limits, Environment& environment);
  ~Peers();

  /// Adds a connection; waits until there is room for it. Returns null if the server is ending.
  std::shared_ptr<Peer> add(int socket);
  /// Call before the socket is closed.
  void remove(const std::shared_ptr<Peer>& peer);

  /// Ends the oldest connection of an unknown client, if there is one.
  void drop_unknown();
  /// Ends the stalled connection that holds the most memory, and waits until it or another one has
  /// freed its memory; if none has stalled, waits until one may have. Returns false if no request
  /// or answer in progress holds memory.
  bool make_room();
  /// The server is ending: add() stops waiting, and remaining connections are soon ended.
  void stop();

 private:
  using Lock = std::unique_lock<std::mutex>;

  bool is_full() const;
  Peer* oldest_unknown(double older_than_s) const;
  void drop(Peer& peer, const std::string& why);
  std::string overdue(const Peer& peer) const;
  void watch();

  const Limits limits_;
  Environment& environment_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<std::shared_ptr<Peer>> peers_;  ///< the oldest first
  std::uint64_t ended_ = 0;
  bool stopping_ = false;
  bool watches_ = true;
  std::thread watching_;
};

}  // namespace lambdaml::ps
