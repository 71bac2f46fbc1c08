#include "lambdaml/storage/pool.h"

#include <fmt/core.h>

#include "lambdaml/base/text.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::storage {

void fail_doing(const Doing& doing, const Error& error) {
  fail(error.code(), "{}{}{}{}: {}", doing.store == nullptr ? "" : doing.store->describe() + ": ",
       doing.what, doing.key.empty() ? "" : fmt::format(" '{}'", printable(doing.key)),
       doing.keys > 1 ? fmt::format(" and {} more", doing.keys - 1) : "", error.what());
}

}  // namespace lambdaml::storage
