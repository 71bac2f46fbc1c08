#include <algorithm>
#include <memory>

#include "lambdaml/aws/wire.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/http/http_host.h"
#include "lambdaml/faas/http/http_invocations.h"
#include "lambdaml/faas/registry.h"

/// Functions behind an HTTP address: Knative, Cloud Run, OpenFaaS, Azure custom handlers, or
/// workers that somebody started with PORT set. docs/how-to/platforms.md says what each needs.
namespace lambdaml::faas::http {
namespace {

constexpr double kExamination_s = 5;

Target target_of(const Options& options) {
  if (options.text("url").empty())
    fail(Code::invalid_argument,
         "the platform http sends events to a function's address: give it with --url");
  Target target{.urls = urls_of(options.text("url")), .token = {}};
  const std::string& path = options.text("url_token_file");
  if (path.empty()) return target;
  const std::optional<Buffer> bytes = read_file(path);
  if (!bytes) fail(Code::not_found, "--url-token-file {}: no such file", path);
  target.token = trim(bytes->text().substr(0, bytes->text().find('\n')));
  if (target.token.empty())
    fail(Code::invalid_argument, "--url-token-file {}: its first line is empty", path);
  return target;
}

/// Asks each address what listens there.
std::string examine(const Options& options) {
  const Target target = target_of(options);
  lambdaml::aws::Wire wire({.connect_timeout_s = kExamination_s});
  for (const std::string& url : target.urls) {
    lambdaml::aws::Exchange exchange;
    exchange.method = "GET";
    exchange.url = url;
    if (!target.token.empty())
      exchange.headers.emplace_back("authorization", "Bearer " + target.token);
    wire.perform(exchange, kExamination_s);
    if (!exchange.failure.empty())
      fail(exchange.failure_code, "function at {}: {}", without_query(url), exchange.failure);
    if (!exchange.response.body.text().starts_with("lambdaml-worker"))
      fail(Code::unavailable, "function at {}: what answers ({}) is no lambdaml-worker",
           without_query(url), exchange.response.status);
  }
  std::vector<std::string> shown;
  for (const std::string& url : target.urls) shown.push_back(without_query(url));
  return "lambdaml-worker at " + join(shown, ", ");
}

/// Workers on this machine see its files.
bool is_here(const Options& options) {
  const std::vector<std::string> urls = split(options.text("url"), ',');
  return std::ranges::all_of(urls, [](const std::string& url) {
    constexpr std::string_view kScheme = "http://";
    const std::string_view address = trim(url);
    if (!address.starts_with(kScheme)) return false;
    const std::string_view rest = address.substr(kScheme.size());
    const std::string_view host = rest.substr(0, rest.find_first_of(":/?"));
    return host == "127.0.0.1" || host == "localhost";
  });
}

class HttpInvoker : public Invoker {
 public:
  explicit HttpInvoker(Target target) : target_(std::move(target)) {}
  std::unique_ptr<Invocations> invoke_all(const Function& function,
                                          std::vector<std::string> payloads,
                                          FailureObserver observer) override {
    return invoke_by_http(function, target_, std::move(payloads), std::move(observer));
  }

 private:
  const Target target_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "http",
       .help = "a function behind an HTTP address: Knative, Cloud Run, OpenFaaS, Azure",
       .options = {{.name = "url",
                    .default_value = std::string(),
                    .help = "address of the function, for the platform http; of several with "
                            "commas, each worker gets one",
                    .execution_only = true},
                   {.name = "url_token_file",
                    .default_value = std::string(),
                    .help = "file with the token that the function at --url wants from callers",
                    .execution_only = true}},
       .separate_processes = true,
       .remote = true,
       .runs_here = is_here,
       .check = [](const Options& options) { target_of(options); },
       .examine = examine,
       .has_started_this = is_started_by_host,
       .serve = serve,
       .make =
           [](const Options& options) {
             return std::make_unique<HttpInvoker>(target_of(options));
           }});
}

}  // namespace lambdaml::faas::http
