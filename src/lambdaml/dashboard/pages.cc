#include "lambdaml/dashboard/pages.h"

#include "lambdaml/report/page.h"

namespace lambdaml::dashboard {

/// Files of page/, embedded by the build.
extern const char* const kMainPage;
extern const char* const kLoginPage;
extern const char* const kWorkerScript;

std::string main_page() { return report::with_components(kMainPage); }

std::string login_page(const std::string& message) {
  std::string page = kLoginPage;
  constexpr std::string_view kMark = "<!--MESSAGE-->";
  return page.replace(page.find(kMark), kMark.size(), message);
}

std::string worker_script() { return kWorkerScript; }

}  // namespace lambdaml::dashboard
