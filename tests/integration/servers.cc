#include "integration/servers.h"

#include <exception>
#include <filesystem>
#include <map>
#include <memory>

#include <unistd.h>

#include "integration/ceph.h"
#include "integration/process.h"
#include "integration/redis_cluster.h"
#include "lambdaml/aws/client.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/testing/objects_in_memory.h"

namespace lambdaml::servers {
namespace {

namespace fs = std::filesystem;

constexpr double kPatience = 60;
/// Of the only user; no secrets: the server is this process's own.
const std::string kAccessKey = "LAMBDAMLTESTACCESSKEY";
const std::string kSecretKey = "lambdaml-test-secret-key-of-nobody";
/// The bucket and the table.
const std::string kPlace = "lambdaml-test";
const std::string kLocalhost = "127.0.0.1";

/// The path of a program, or Missing.
fs::path require(const std::string& program) {
  const fs::path path = find_program(program);
  if (path.empty())
    throw Missing("no " + program + " on this machine; packages/install.sh test installs it");
  return path;
}

/// Sets NAME=VALUE texts in this process.
void set_environment(const std::vector<std::string>& environment) {
  for (const std::string& pair : environment) {
    const std::size_t equals = pair.find('=');
    ::setenv(pair.substr(0, equals).c_str(), pair.substr(equals + 1).c_str(), 1);
  }
}

/// What an AWS client needs besides the endpoint; nothing of the user's own setting gets in.
std::vector<std::string> aws_environment(const std::string& endpoint) {
  for (const char* name : {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"})
    ::unsetenv(name);
  return {endpoint,
          "AWS_ACCESS_KEY_ID=" + kAccessKey,
          "AWS_SECRET_ACCESS_KEY=" + kSecretKey,
          "AWS_REGION=us-east-1",
          "AWS_EC2_METADATA_DISABLED=true",
          "AWS_CONFIG_FILE=/dev/null",
          "AWS_SHARED_CREDENTIALS_FILE=/dev/null"};
}

/// One signed request, with the credentials in the environment; anything but success throws.
void ask_aws(const Server& server, const std::string& service, const aws::Request& request) {
  aws::ClientOptions options;
  options.service = service;
  options.endpoint = fmt::format("http://{}:{}", server.host, server.port);
  aws::Client client(options);
  const aws::Response response =
      client.call(request, "preparing the test server", Deadline::in(kPatience));
  if (!response.ok())
    fail(Code::internal, "preparing the {} test server: HTTP {}: {}", service, response.status,
         printable(response.body.text(), 500));
}

/// Whatever has to live as long as the server does.
/// A directory bucket of S3 Express One Zone in this process, each of whose answers takes 5 ms, as
/// AWS's do.
class Express {
 public:
  static constexpr const char* kBucket = "lambdaml--use1-az4--x-s3";
  int port() const { return server_.port(); }
  std::string url() const { return server_.url(); }

 private:
  storage::ObjectsInMemory objects_{kBucket};
  aws::ScriptedServer server_{[this](const aws::ScriptedRequest& heard) {
    aws::ScriptedAnswer answer = objects_.answer(heard);
    answer.delay_s = 0.005;
    return answer;
  }};
};

struct Running {
  const Scratch folder{"lambdaml-servers-"};
  std::unique_ptr<Process> process;
  std::unique_ptr<Ceph> ceph;
  std::unique_ptr<RedisCluster> cluster;
  std::unique_ptr<Express> express;
  Server server;

  ~Running() {
    // Before the folder goes.
    process.reset();
    ceph.reset();
    cluster.reset();
  }
};

/// A server of one program: how it is started on a port and what it answers to a greeting.
struct Program {
  std::function<std::vector<std::string>(int port)> command;
  std::string greeting;
  std::string answer;
};

void start(Running& running, const Program& program) {
  Server& server = running.server;
  const auto start_on = [&running, program](int port) {
    running.process =
        std::make_unique<Process>(program.command(port), running.folder.path(), "log");
    await_answer(*running.process, port, program.greeting, program.answer, Deadline::in(kPatience));
  };
  // Another may take the free port before the server does.
  for (int tries = 3;; --tries) {
    server.port = free_port();
    try {
      start_on(server.port);
      break;
    } catch (const Error&) {
      if (tries == 1) throw;
    }
  }
  server.host = kLocalhost;
  server.stop = [&running] { running.process.reset(); };
  server.start = [&running, start_on] { start_on(running.server.port); };
  server.signal = [&running](int number) {
    if (running.process) running.process->signal(number);
  };
}

void start_s3(Running& running) {
  if (const std::string program = Ceph::missing_program(); !program.empty()) require(program);
  running.ceph = std::make_unique<Ceph>(running.folder.path(), kAccessKey, kSecretKey);
  Server& server = running.server;
  server.host = kLocalhost;
  server.port = running.ceph->port();
  server.environment =
      aws_environment(fmt::format("AWS_ENDPOINT_URL_S3=http://{}:{}", server.host, server.port));
  server.uri = "s3://" + kPlace;
  set_environment(server.environment);
  aws::Request bucket;
  bucket.method = "PUT";
  bucket.path = "/" + kPlace;
  ask_aws(server, "s3", bucket);
  server.stop = [&running] { running.ceph->stop_gateway(); };
  server.start = [&running] { running.ceph->start_gateway(); };
  server.signal = [&running](int number) { running.ceph->signal_gateway(number); };
}

void start_memcached(Running& running) {
  const std::string path = require("memcached").string();
  start(running, {.command =
                      [path](int port) {
                        std::vector<std::string> command = {
                            path, "-l", kLocalhost, "-p",  std::to_string(port),
                            "-U", "0",  "-m",       "1024"};
                        // It does not run as root without being told to.
                        if (::geteuid() == 0) command.insert(command.end(), {"-u", "root"});
                        return command;
                      },
                  .greeting = "version\r\n",
                  .answer = "VERSION "});
  running.server.uri = fmt::format("memcached://{}:{}", kLocalhost, running.server.port);
}

void start_redis(Running& running) {
  const std::string path = require("redis-server").string();
  start(running, {.command =
                      [path](int port) {
                        return std::vector<std::string>{
                            path,     "--bind", kLocalhost,     "--port", std::to_string(port),
                            "--save", "",       "--appendonly", "no"};
                      },
                  .greeting = "PING\r\n",
                  .answer = "+PONG"});
  running.server.uri = fmt::format("redis://{}:{}/0", kLocalhost, running.server.port);
}

/// The folder with a certificate for localhost and 127.0.0.1 by a CA of its own (ca.pem, cert.pem,
/// key.pem), the same for all servers of this process.
const fs::path& certificates() {
  static const Scratch folder("lambdaml-servers-");
  if (fs::exists(folder.path() / "cert.pem")) return folder.path();
  const std::string openssl = require("openssl").string();
  const auto make = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                                         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"});
    run(arguments, folder.path(), "openssl.log", Deadline::in(kPatience));
  };
  make({"-subj", "/CN=LambdaML test CA", "-keyout", "ca.key", "-out", "ca.pem"});
  make({"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext",
        "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout",
        "key.pem", "-out", "cert.pem"});
  return folder.path();
}

/// A server for encrypted connections; its certificate's CA is trusted from now on.
void start_encrypted(Running& running, const std::function<std::vector<std::string>(int)>& command,
                     const std::function<void()>& await) {
  Server& server = running.server;
  server.host = kLocalhost;
  server.port = free_port();
  server.start = [&running, command, await] {
    running.process =
        std::make_unique<Process>(command(running.server.port), running.folder.path(), "log");
    await();
  };
  server.start();
  server.stop = [&running] { running.process.reset(); };
  server.signal = [&running](int number) {
    if (running.process) running.process->signal(number);
  };
  server.uri = fmt::format("{}://{}:{}", server.name, kLocalhost, server.port);
  server.environment = {"SSL_CERT_FILE=" + (certificates() / "ca.pem").string()};
  set_environment(server.environment);
}

void start_rediss(Running& running) {
  const std::string path = require("redis-server").string();
  // Whether it is there is asked without TLS.
  const int plain = free_port();
  start_encrypted(
      running,
      [path, plain](int port) {
        return std::vector<std::string>{path,
                                        "--bind",
                                        kLocalhost,
                                        "127.0.0.2",
                                        "--port",
                                        std::to_string(plain),
                                        "--tls-port",
                                        std::to_string(port),
                                        "--tls-cert-file",
                                        (certificates() / "cert.pem").string(),
                                        "--tls-key-file",
                                        (certificates() / "key.pem").string(),
                                        "--tls-auth-clients",
                                        "no",
                                        "--save",
                                        "",
                                        "--appendonly",
                                        "no"};
      },
      [&running, plain] {
        await_answer(*running.process, plain, "PING\r\n", "+PONG", Deadline::in(kPatience));
      });
  running.server.uri += "/0";
}

void start_memcacheds(Running& running) {
  const std::string path = require("memcached").string();
  const int plain = free_port();
  start_encrypted(
      running,
      [path, plain](int port) {
        std::vector<std::string> command = {
            path,
            "-Z",
            "-o",
            fmt::format("ssl_chain_cert={0}/cert.pem,ssl_key={0}/key.pem", certificates().string()),
            "-l",
            fmt::format("{0}:{1},127.0.0.2:{1},notls:{0}:{2}", kLocalhost, port, plain),
            "-U",
            "0",
            "-m",
            "1024"};
        if (::geteuid() == 0) command.insert(command.end(), {"-u", "root"});
        return command;
      },
      [&running, plain] {
        await_answer(*running.process, plain, "version\r\n", "VERSION ", Deadline::in(kPatience));
      });
}

void start_cluster(Running& running, bool has_replicas) {
  running.cluster =
      std::make_unique<RedisCluster>(require("redis-server"), running.folder.path(), has_replicas);
  Server& server = running.server;
  server.host = kLocalhost;
  server.port = running.cluster->port();
  server.cluster = running.cluster.get();
  server.stop = [&running] { running.cluster->stop(); };
  server.start = [&running] { running.cluster->start(); };
  server.signal = [&running](int number) { running.cluster->signal(number); };
  server.uri = fmt::format("redis://{}:{}/0", kLocalhost, server.port);
}

void start_express(Running& running) {
  running.express = std::make_unique<Express>();
  Server& server = running.server;
  server.host = kLocalhost;
  server.port = running.express->port();
  server.environment = aws_environment("AWS_ENDPOINT_URL_S3=" + running.express->url());
  set_environment(server.environment);
  server.uri = std::string("s3://") + Express::kBucket;
}

void create_table(const Server& server) {
  const std::string table =
      fmt::format(R"({{"TableName":"{}","BillingMode":"PAY_PER_REQUEST",)"
                  R"("AttributeDefinitions":[{{"AttributeName":"key","AttributeType":"S"}}],)"
                  R"("KeySchema":[{{"AttributeName":"key","KeyType":"HASH"}}]}})",
                  kPlace);
  aws::Request request;
  request.method = "POST";
  request.headers = {{"content-type", "application/x-amz-json-1.0"},
                     {"x-amz-target", "DynamoDB_20120810.CreateTable"}};
  request.body = as_bytes(table);
  ask_aws(server, "dynamodb", request);
}

void start_dynamodb(Running& running) {
  const std::string node = require("node").string();
  const fs::path script =
      fs::path(LAMBDAML_SOURCE_DIR) / "build" / "npm" / "node_modules" / "dynalite" / "cli.js";
  const fs::path guard =
      fs::path(LAMBDAML_SOURCE_DIR) / "tests" / "integration" / "survive_aborts.js";
  if (!fs::exists(script))
    throw Missing("no dynalite in build/npm; packages/install.sh test installs it");
  start(running, {.command =
                      [node, script, guard, &running](int port) {
                        return std::vector<std::string>{node,
                                                        "--require",
                                                        guard.string(),
                                                        script.string(),
                                                        "--host",
                                                        kLocalhost,
                                                        "--port",
                                                        std::to_string(port),
                                                        "--path",
                                                        (running.folder.path() / "tables").string(),
                                                        "--createTableMs",
                                                        "0",
                                                        "--deleteTableMs",
                                                        "0"};
                      },
                  .greeting = "GET / HTTP/1.0\r\n\r\n",
                  .answer = "HTTP/1."});
  Server& server = running.server;
  server.environment = aws_environment(
      fmt::format("AWS_ENDPOINT_URL_DYNAMODB=http://{}:{}", server.host, server.port));
  server.uri = "dynamodb://" + kPlace;
  set_environment(server.environment);
  create_table(server);
}

void start_ps(Running& running) {
  const std::string path = LAMBDAML_BIN_DIR "/lambdaml";
  // Thrift's ping, and how the answer to it begins.
  const std::string ping("\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x00\x00", 17);
  const std::string answer("\x80\x01\x00\x02", 4);
  start(running, {.command =
                      [path](int port) {
                        return std::vector<std::string>{path, "ps", "--port", std::to_string(port)};
                      },
                  .greeting = ping,
                  .answer = answer});
  running.server.uri = fmt::format("ps://{}:{}", kLocalhost, running.server.port);
}

std::unique_ptr<Running> started(const std::string& scheme) {
  auto running = std::make_unique<Running>();
  running->server.name = scheme;
  if (scheme == "s3")
    start_s3(*running);
  else if (scheme == "memcached")
    start_memcached(*running);
  else if (scheme == "redis")
    start_redis(*running);
  else if (scheme == "rediss")
    start_rediss(*running);
  else if (scheme == "memcacheds")
    start_memcacheds(*running);
  else if (scheme == "cluster")
    start_cluster(*running, true);
  else if (scheme == "masters")
    start_cluster(*running, false);
  else if (scheme == "express")
    start_express(*running);
  else if (scheme == "dynamodb")
    start_dynamodb(*running);
  else if (scheme == "ps")
    start_ps(*running);
  else
    fail(Code::invalid_argument, "no test server '{}'", scheme);
  return running;
}

/// All that run in this process. They end with it, not with one that was forked from it.
struct All {
  std::map<std::string, std::unique_ptr<Running>> running;
  std::map<std::string, std::exception_ptr> failures;
  pid_t owner = ::getpid();

  ~All() {
    if (::getpid() == owner) return;
    for (auto& [name, server] : running) (void)server.release();
  }
};

}  // namespace

const Server& get(const std::string& scheme) {
  static All all;
  std::unique_ptr<Running>& running = all.running[scheme];
  if (running) return running->server;
  // One that did not start is not waited for again.
  std::exception_ptr& failure = all.failures[scheme];
  if (failure) std::rethrow_exception(failure);
  try {
    running = started(scheme);
  } catch (...) {
    failure = std::current_exception();
    throw;
  }
  return running->server;
}

std::string why_missing(const std::string& scheme) {
  try {
    (void)get(scheme);
    return {};
  } catch (const Missing& missing) {
    return missing.what();
  }
}

}  // namespace lambdaml::servers
