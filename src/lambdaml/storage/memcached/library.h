#pragma once

#include <libmemcached/memcached.h>

#include "lambdaml/base/programs/shared_library.h"
#include "lambdaml/base/sonames.h"

namespace lambdaml::storage::memcached {

/// The functions of libmemcached that spread items over several servers, by their names without
/// `memcached_`.
struct MemcachedLibrary : SharedLibrary {
  MemcachedLibrary()
      : SharedLibrary(soname::kMemcached, "a memcached:// store of several servers") {}

  decltype(&::memcached_behavior_set) behavior_set = find("memcached_behavior_set");
  decltype(&::memcached_create) create = find("memcached_create");
  decltype(&::memcached_free) free = find("memcached_free");
  decltype(&::memcached_generate_hash) generate_hash = find("memcached_generate_hash");
  decltype(&::memcached_server_add) server_add = find("memcached_server_add");
};

/// Loaded on the first call; thread-safe. Throws unavailable if this machine has no libmemcached.
inline const MemcachedLibrary& lib() {
  static const MemcachedLibrary library;
  return library;
}

}  // namespace lambdaml::storage::memcached
