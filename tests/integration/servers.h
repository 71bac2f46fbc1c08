#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

/// Real servers for tests: started on a free port of 127.0.0.1 when first asked for, ended with the
/// test process (also when it crashes: they are told to die with their parent). Each test
/// executable or ctest entry has its own.
namespace lambdaml::servers {

/// What a store on a real server needs.
struct Server {
  std::string name;  ///< the store's scheme: s3, memcached, redis, dynamodb
  /// The store's URI without a path, e.g. "redis://127.0.0.1:41231/0", "s3://lambdaml-test".
  std::string uri;
  /// What a process that uses it needs in its environment ("AWS_ENDPOINT_URL_S3=http://…", keys);
  /// already set in this process.
  std::vector<std::string> environment;
  /// host:port, for tests that connect by themselves.
  std::string host;
  int port = 0;
  std::function<void()> stop;  ///< kills it (SIGKILL)
  std::function<void()>
      start;  ///< starts it again on the same port; what it held in memory is gone
};

/// radosgw with a user and a bucket, memcached (-m 1024), redis-server (no persistence), dynalite
/// (with a table). Start is awaited until the server answers. A missing binary throws Missing.
const Server& s3();
const Server& memcached();
const Server& redis();
const Server& dynamodb();

/// A server's program is not on this machine.
struct Missing : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// By scheme.
const Server& get(const std::string& scheme);

/// For tests: skips where the program is missing, or fails when LAMBDAML_REQUIRE_SERVERS is set.
#define REQUIRE_SERVER(scheme)                                                        \
  try {                                                                               \
    (void)lambdaml::servers::get(scheme);                                             \
  } catch (const lambdaml::servers::Missing& missing) {                               \
    if (std::getenv("LAMBDAML_REQUIRE_SERVERS") != nullptr) FAIL() << missing.what(); \
    GTEST_SKIP() << missing.what();                                                   \
  }                                                                                   \
  static_assert(true)

}  // namespace lambdaml::servers
