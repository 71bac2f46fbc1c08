#pragma once

#include <string_view>

#include "lambdaml/base/uri.h"

namespace lambdaml::storage {

/// Throws permission_denied if another user of this machine could read, change or forge what is
/// written there (base/own_folder.h). Lets a caller check before it does anything; calls that write
/// perform the same check. Costs no request.
void require_own_place(const Uri& uri);

}  // namespace lambdaml::storage
