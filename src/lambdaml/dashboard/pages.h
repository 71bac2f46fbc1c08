#pragma once

#include <string>

namespace lambdaml::dashboard {

/// The page, with the components of reports (report/page.h) and the dashboard's own scripts.
std::string main_page();
/// A form that asks for the token; `message` is text.
std::string login_page(const std::string& message);
/// The script of the worker that all pages of a browser share: it receives the events.
std::string worker_script();

/// The Content-Security-Policy of all of them: nothing from elsewhere.
inline constexpr const char* kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'self'; "
    "img-src data: blob:; connect-src 'self'; worker-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'";

}  // namespace lambdaml::dashboard
