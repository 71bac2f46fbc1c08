#include "lambdaml/ps/server/peers.h"

#include <algorithm>
#include <array>

#include <netdb.h>
#include <sys/socket.h>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/ps/server/freed_memory.h"

namespace lambdaml::ps {
namespace {

double seconds_since(std::int64_t then) {
  const TimePoint::duration since(time_now().time_since_epoch().count() - then);
  return std::chrono::duration<double>(since).count();
}

std::string address_of_peer(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::getpeername(socket, any, &size) != 0 ||
      ::getnameinfo(any, size, host.data(), host.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "a client";
  return fmt::format("{} port {}", host.data(), port.data());
}

}  // namespace

Peers::Peers(Limits limits, Environment& environment) : limits_(limits), environment_(environment) {
  watching_ = std::thread([this] { watch(); });
}

Peers::~Peers() {
  {
    const Lock lock(mutex_);
    watches_ = false;
  }
  changed_.notify_all();
  watching_.join();
}

void Peers::stop() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

bool Peers::is_full() const {
  std::size_t all = 0;
  std::size_t unknown = 0;
  for (const auto& peer : peers_) {
    if (peer->is_dropped_) continue;
    ++all;
    unknown += peer->is_admitted() ? 0 : 1;
  }
  return all >= limits_.connections || unknown >= kMostUnknown;
}

Peer* Peers::oldest_unknown(double older_than_s) const {
  for (const auto& peer : peers_)
    if (!peer->is_dropped_ && !peer->is_admitted() && peer->waits_for_the_peer())
      return seconds_since(peer->accepted_) >= older_than_s ? peer.get() : nullptr;
  return nullptr;
}

std::shared_ptr<Peer> Peers::add(int socket) {
  constexpr auto kPause = std::chrono::milliseconds(20);
  Lock lock(mutex_);
  while (!stopping_ && is_full()) {
    if (Peer* const oldest = oldest_unknown(kCrowded_s))
      drop(*oldest, "it makes room for others");
    else
      changed_.wait_for(lock, kPause);
  }
  if (stopping_) return nullptr;
  peers_.push_back(std::make_shared<Peer>(socket));
  changed_.notify_all();
  return peers_.back();
}

void Peers::remove(const std::shared_ptr<Peer>& peer) {
  {
    const Lock lock(mutex_);
    if (peer->socket_ < 0) return;
    // Shuts the connection down, so that neither end keeps waiting for the other.
    ::shutdown(peer->socket_, SHUT_RDWR);
    peer->socket_ = -1;
    peers_.remove(peer);
    ++ended_;
  }
  changed_.notify_all();
}

void Peers::drop(Peer& peer, const std::string& why) {
  log::info("{}: its connection is ended: {}", address_of_peer(peer.socket_), why);
  peer.is_dropped_ = true;
  ++environment_.stats.dropped;
  ::shutdown(peer.socket_, SHUT_RDWR);
}

void Peers::drop_unknown() {
  const Lock lock(mutex_);
  if (Peer* const oldest = oldest_unknown(0)) drop(*oldest, "it makes room for others");
}

bool Peers::make_room() {
  constexpr double kPatience_s = 2;
  Lock lock(mutex_);
  Peer* most = nullptr;
  double patience_s = 0;
  for (const auto& peer : peers_) {
    if (peer->held_ == 0) continue;
    if (peer->is_dropped_) {
      patience_s = kPatience_s;
    } else if (peer->is_transferring()) {
      const double left_s = kStalled_s - seconds_since(peer->since_);
      if (left_s > 0)
        patience_s = std::max(patience_s, left_s);
      else if (most == nullptr || peer->held_ > most->held_)
        most = peer.get();
    }
  }
  if (most != nullptr) {
    drop(*most, "it has stalled, and memory is short");
    patience_s = kPatience_s;
  }
  if (patience_s == 0 || stopping_) return false;
  const std::uint64_t before = ended_;
  changed_.wait_for(lock, std::chrono::duration<double>(patience_s),
                    [&] { return stopping_ || ended_ != before; });
  lock.unlock();
  give_back_freed_memory(environment_.budget);
  return true;
}

std::string Peers::overdue(const Peer& peer) const {
  const ServerSettings::Patience& patience = limits_.patience;
  if (limits_.wants_token && !peer.is_admitted() &&
      seconds_since(peer.accepted_) > patience.greeting_s)
    return fmt::format("it has said no token in {}", human_seconds(patience.greeting_s));
  if (!peer.is_transferring()) return {};
  if (stopping_ && seconds_since(peer.since_) > kStalled_s) return "the server ends";
  const bool reads = peer.state_ == Peer::State::request;
  const double most_s = reads ? patience.request_s : patience.answer_s;
  if (seconds_since(peer.since_) <= most_s) return {};
  return fmt::format("it has {} less than {} in {}", reads ? "sent" : "taken",
                     human_bytes(Peer::kStep), human_seconds(most_s));
}

void Peers::watch() {
  constexpr auto kPause = std::chrono::milliseconds(100);
  Lock lock(mutex_);
  while (watches_) {
    if (peers_.empty())
      changed_.wait(lock, [this] { return !watches_ || !peers_.empty(); });
    else
      changed_.wait_for(lock, kPause, [this] { return !watches_; });
    lock.unlock();
    give_back_freed_memory(environment_.budget);
    lock.lock();
    for (const auto& peer : peers_)
      if (!peer->is_dropped_)
        if (const std::string why = overdue(*peer); !why.empty()) drop(*peer, why);
  }
}

}  // namespace lambdaml::ps
