#pragma once

#include "lambdaml/faas/runtime.h"

namespace lambdaml::faas::http {

/// Whether PORT or FUNCTIONS_CUSTOMHANDLER_PORT names the port to listen on.
bool is_started_by_host();

/// Serves events that are POSTed to any path, one at a time: a second one gets 429, so that the
/// platform gives it to another instance. GET answers what listens there. `POST /init` and
/// `POST /run` are those of OpenWhisk. SIGTERM ends it once the event in progress has ended.
///
/// Listens on all addresses of this machine, or only on that in LAMBDAML_HTTP_HOST; behind
/// FUNCTIONS_CUSTOMHANDLER_PORT on 127.0.0.1. If LAMBDAML_HTTP_TOKEN is set, events need
/// `Authorization: Bearer` with it: whoever may send events may make this process read and write
/// whatever it can.
///
/// Returns the exit code. Throws what HttpServer throws, and invalid_argument for a bad port.
int serve(const Handler& handler);

}  // namespace lambdaml::faas::http
