#pragma once

#include <string_view>

#include "lambdaml/base/uri.h"

namespace lambdaml::storage {

/// Throws permission_denied where another user of this machine could read, change or make up what
/// is written there (base/own_folder.h), for who wants to know before anything is done; every call
/// that writes throws it too. Costs no request.
void require_own_place(const Uri& uri);

}  // namespace lambdaml::storage
