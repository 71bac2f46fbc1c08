#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lambdaml/aws/testing/thrown_by.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/storage/testing/raw_server.h"

/// What tests of the client of redis share: answers of servers that follow a script.
namespace lambdaml::storage::redis {

using aws::thrown_by;

inline std::shared_ptr<Storage> open_at(const RawServer& server) {
  return open_plain(Uri::parse(fmt::format("redis://127.0.0.1:{}", server.port())));
}

/// What a server alone says to CLUSTER SLOTS, and a primary to ROLE.
inline const std::string kAlone = "-ERR This instance has cluster support disabled\r\n";
inline const std::string kPrimary = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";

/// A text in a reply.
inline std::string bulk(std::string_view text) {
  return fmt::format("${}\r\n{}\r\n", text.size(), text);
}

/// Answers each command of a trip by its first word and key; ECHO as it has to be.
inline RawServer::Answer commanded(
    std::function<std::string(std::string_view, std::string_view)> answer,
    std::function<std::string()> role = [] { return kPrimary; }) {
  return [answer = std::move(answer), role = std::move(role)](std::string_view request) {
    std::string out;
    while (request.starts_with('*')) {
      std::vector<std::string> words(std::stoul(std::string(request.substr(1))));
      for (std::string& word : words) {
        request.remove_prefix(request.find('$') + 1);
        const std::size_t size = std::stoul(std::string(request));
        request.remove_prefix(request.find('\n') + 1);
        word = request.substr(0, size);
        request.remove_prefix(size + 2);
      }
      if (words[0] == "COMMAND")
        out += "*1\r\n*-1\r\n";  // it has no sharded channels
      else if (words[0] == "ROLE")
        out += role();
      else
        out += words[0] == "ECHO" ? bulk(words[1]) : answer(words[0], words.back());
    }
    return out;
  };
}

}  // namespace lambdaml::storage::redis
