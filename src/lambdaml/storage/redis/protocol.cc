#include "lambdaml/storage/redis/protocol.h"

#include <algorithm>
#include <array>

#include <boost/crc.hpp>
#include <fmt/format.h>

#include "lambdaml/base/text.h"

namespace lambdaml::storage::redis {
namespace {

/// Shorter arguments are cheaper to copy than to send separately.
constexpr std::size_t kLongArgument = 4096;

iovec piece(std::string_view bytes) {
  return {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
}

}  // namespace

void Request::add(const std::vector<std::string_view>& command) {
  const auto out = std::back_inserter(text_);
  if (asking_) text_ += "*1\r\n$6\r\nASKING\r\n";
  fmt::format_to(out, "*{}\r\n", command.size());
  for (const std::string_view argument : command) {
    fmt::format_to(out, "${}\r\n", argument.size());
    if (argument.size() < kLongArgument)
      text_ += argument;
    else
      long_arguments_.emplace_back(text_.size(), argument);
    text_ += "\r\n";
  }
}

std::vector<iovec> Request::pieces() const {
  const std::string_view text = text_;
  std::vector<iovec> out;
  out.reserve(2 * long_arguments_.size() + 2);  // one more for what ends the trip
  std::size_t done = 0;
  for (const auto& [at, argument] : long_arguments_) {
    out.push_back(piece(text.substr(done, at - done)));
    out.push_back(piece(argument));
    done = at;
  }
  if (done < text.size()) out.push_back(piece(text.substr(done)));
  return out;
}

bool is_error_reply(std::string_view error) {
  const std::string_view word = error.substr(0, error.find(' '));
  return word.size() > 1 &&
         std::ranges::all_of(word, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; });
}

Code code_of_reply(std::string_view error) {
  struct Known {
    std::string_view word;
    Code code;
  };
  static constexpr std::array kKnown{
      Known{"NOAUTH", Code::permission_denied}, Known{"WRONGPASS", Code::permission_denied},
      Known{"NOPERM", Code::permission_denied}, Known{"OOM", Code::resource_exhausted},
      Known{"LOADING", Code::unavailable},      Known{"BUSY", Code::unavailable},
      Known{"MASTERDOWN", Code::unavailable},   Known{"TRYAGAIN", Code::unavailable},
      Known{"READONLY", Code::unavailable},     Known{"CLUSTERDOWN", Code::unavailable},
  };
  const std::string_view word = error.substr(0, error.find(' '));
  for (const Known& known : kKnown)
    if (word == known.word) return known.code;
  // A server that has run out of connections replies without an error code.
  if (error.find("max number of clients") != std::string_view::npos) return Code::unavailable;
  return Code::internal;
}

bool is_refusal(std::string_view error) {
  return error.starts_with("NOPERM") || error.starts_with("ERR unknown command");
}

std::optional<Redirection> redirection_in(std::string_view error) {
  Redirection out;
  out.ask = error.starts_with("ASK ");
  if (!out.ask && !error.starts_with("MOVED ")) return {};
  error.remove_prefix(error.find(' ') + 1);
  const std::size_t space = error.find(' ');
  const std::size_t colon = error.rfind(':');
  if (space == std::string_view::npos || colon == std::string_view::npos || colon < space)
    return {};
  const auto slot = to_integer(error.substr(0, space));
  const auto port = to_integer(error.substr(colon + 1));
  if (!slot || *slot < 0 || *slot >= kSlots || !port || *port < 1 || *port > 65535) return {};
  out.slot = static_cast<int>(*slot);
  out.target.host = error.substr(space + 1, colon - space - 1);
  out.target.port = static_cast<std::uint16_t>(*port);
  return out;
}

int slot_of(std::string_view key) {
  if (const std::size_t open = key.find('{'); open != std::string_view::npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1)
      key = key.substr(open + 1, close - open - 1);
  }
  boost::crc_optimal<16, 0x1021, 0, 0, false, false> crc;
  crc.process_bytes(key.data(), key.size());
  return crc.checksum() % kSlots;
}

std::string glob_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("*?[]^-\\").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string channel_of(int database, std::string_view key, std::string_view tag) {
  const std::size_t slash = key.rfind('/');
  const std::string_view folder = key.substr(0, slash == std::string_view::npos ? 0 : slash);
  if (!tag.empty()) return fmt::format("lambdaml:{{{}}}:{}:{}", tag, database, folder);
  return fmt::format("lambdaml:{}:{}", database, folder);
}

}  // namespace lambdaml::storage::redis
