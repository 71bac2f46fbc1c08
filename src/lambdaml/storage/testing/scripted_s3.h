#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/storage/storage.h"

/// What tests of the client of S3 share: answers of a server that follows a script.
namespace lambdaml::storage::s3 {

using aws::Script;
using aws::ScriptedAnswer;
using aws::ScriptedRequest;
using aws::ScriptedServer;

/// An error as S3 words it.
inline ScriptedAnswer fault(int status, const std::string& code, const std::string& more = {}) {
  return {.status = status, .body = "<Error><Code>" + code + "</Code>" + more + "</Error>"};
}
inline ScriptedAnswer absent() { return fault(404, "NoSuchKey"); }

/// What S3 answers to a ranged GET of an object.
inline ScriptedAnswer object(const ScriptedRequest& heard, std::string_view value,
                             std::vector<std::pair<std::string, std::string>> headers = {}) {
  const std::string range = heard.header("range");  // "bytes=BEGIN-LAST"
  const std::size_t dash = range.find('-');
  const std::size_t begin = std::stoul(range.substr(6, dash - 6));
  const std::size_t end =
      std::min<std::size_t>(value.size(), std::stoul(range.substr(dash + 1)) + 1);
  if (begin >= end) return fault(416, "InvalidRange");
  headers.emplace_back("content-range",
                       fmt::format("bytes {}-{}/{}", begin, end - 1, value.size()));
  return {.status = 206,
          .headers = std::move(headers),
          .body = std::string(value.substr(begin, end - begin))};
}

/// So many keys of one folder.
inline std::vector<std::string> numbered(std::size_t n) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < n; ++i) keys.push_back(fmt::format("round/{}", i));
  return keys;
}

class S3 : public testing::Test {
 protected:
  static std::shared_ptr<Storage> open(const ScriptedServer& server,
                                       const std::string& place = "s3://bucket") {
    return open_plain(Uri::parse(place + "?endpoint=" + server.url()));
  }
  /// The code and the message, which must name the bucket and hold no secret.
  template <class Call>
  static std::pair<Code, std::string> thrown_by(Call&& call) {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("bucket"));
      for (const char* secret : {"SECRETEXAMPLE", "TOKENEXAMPLE", "Signature="})
        EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr(secret)));
      return {error.code(), error.what()};
    }
    return {Code::internal, "nothing was thrown"};
  }

  aws::ScopedEnvironment environment_{aws::ScopedEnvironment::with_keys()};
};

}  // namespace lambdaml::storage::s3
