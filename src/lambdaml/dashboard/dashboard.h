#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// A live page over the jobs and searches of folders and stores, which `lambdaml dashboard` serves.
namespace lambdaml::dashboard {

struct Settings {
  /// Folders of runs and searches, checkpoint URIs, or single runs and searches, as JobView and
  /// report::Source name them. A folder need not exist yet.
  std::vector<std::string> places = {};
  std::string host = {};   ///< empty: loopback
  std::uint16_t port = 0;  ///< 0 picks a free one
  /// What clients must know. Empty: only processes and browsers of this user are served.
  std::string token = {};
  /// The path of `lambdaml`, which resumes jobs; empty: the page resumes none.
  std::string program = {};
};

/// Serves from construction to destruction, in threads of its own. The places are read only while
/// somebody looks: an open page, or a client of /metrics.
class Dashboard {
 public:
  /// Throws invalid_argument for a host without a token, already_exists if the port is in use, and
  /// what faas::sandbox::HttpServer throws.
  explicit Dashboard(const Settings& settings);
  ~Dashboard();
  Dashboard(const Dashboard&) = delete;
  Dashboard& operator=(const Dashboard&) = delete;

  std::uint16_t port() const;

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

}  // namespace lambdaml::dashboard
