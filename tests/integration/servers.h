#pragma once

#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lambdaml/base/testing/testing.h"

/// Real servers for tests: started on a free port of 127.0.0.1 when first asked for, in a temporary
/// folder of their own, and ended with the test process (also when it crashes: they are told to die
/// with their parent; only the folder stays then). Each test executable or ctest entry has its own.
/// Not thread-safe: ask first in SetUp(), on the main thread. A process that was forked after that
/// may use the servers too, and ends none of them if it leaves by _exit().
namespace lambdaml::servers {

class RedisCluster;

/// What a store on a real server needs.
struct Server {
  std::string name;  ///< s3, memcached, memcacheds, redis, rediss, cluster, dynamodb,
                     ///< express, ps
  /// The store's URI without a path, e.g. "redis://127.0.0.1:41231/0", "s3://lambdaml-test".
  std::string uri;
  /// What a process that uses it needs in its environment ("AWS_ENDPOINT_URL_S3=http://…", keys);
  /// already set in this process.
  std::vector<std::string> environment;
  /// host:port, for tests that connect by themselves.
  std::string host;
  int port = 0;
  /// Kills it (SIGKILL).
  std::function<void()> stop;
  /// Starts it again on the same port and waits until it answers. What it held is gone, but for s3,
  /// where only the gateway goes and comes, and dynamodb, whose tables lie on the disk.
  std::function<void()> start;
  /// Sends it a signal: SIGSTOP freezes it, SIGCONT lets it go on.
  std::function<void(int)> signal;
  /// Of a cluster only.
  RedisCluster* cluster = nullptr;
};

/// A server's program is not on this machine.
struct Missing : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// By scheme; the first time, waits until the server answers. A missing program throws Missing, a
/// server that does not start an Error with the last lines of its log.
///   s3         radosgw before a Ceph of one monitor and one in-memory OSD, with a user and a
///              bucket `lambdaml-test`; some 3 s
///   memcached  -m 1024; values up to 1 MB
///   redis      without persistence
///   rediss, memcacheds  the same with TLS; SSL_CERT_FILE names the CA of their certificates
///   cluster    a RedisCluster, whose URI is redis://
///   masters    the same without replicas
///   express    S3 Express One Zone by a script, whose answers take 5 ms; not beside s3, as both
///   are
///              AWS_ENDPOINT_URL_S3. It cannot be stopped.
///   ps         lambdaml ps, without a folder
///   dynamodb   dynalite with a table `lambdaml-test`; it neither checks signatures nor throttles
const Server& get(const std::string& scheme);

/// Why the server of this scheme cannot be had: a message, or empty when it runs. For tests that
/// are skipped then.
std::string why_missing(const std::string& scheme);

/// In a test's body or SetUp(): skips where the program is missing, or fails when
/// LAMBDAML_REQUIRE_SERVERS is set.
#define REQUIRE_SERVER(scheme)                                    \
  REQUIRE_OR_SKIP(lambdaml::servers::why_missing(scheme).empty(), \
                  lambdaml::servers::why_missing(scheme))

}  // namespace lambdaml::servers
