#pragma once

#include <libmemcached/memcached.h>

#include "lambdaml/base/shared_library.h"
#include "lambdaml/base/sonames.h"

namespace lambdaml::storage::memcached {

/// The functions of libmemcached that the client calls, by their names without `memcached_`.
struct MemcachedLibrary : SharedLibrary {
  MemcachedLibrary() : SharedLibrary(soname::kMemcached, "a memcached:// store") {}

  decltype(&::memcached_add) add = find("memcached_add");
  decltype(&::memcached_append) append = find("memcached_append");
  decltype(&::memcached_behavior_set) behavior_set = find("memcached_behavior_set");
  decltype(&::memcached_cas) cas = find("memcached_cas");
  decltype(&::memcached_create) create = find("memcached_create");
  decltype(&::memcached_delete) remove = find("memcached_delete");
  decltype(&::memcached_fetch_result) fetch_result = find("memcached_fetch_result");
  decltype(&::memcached_free) free = find("memcached_free");
  decltype(&::memcached_last_error) last_error = find("memcached_last_error");
  decltype(&::memcached_last_error_errno) last_error_errno = find("memcached_last_error_errno");
  decltype(&::memcached_mget) mget = find("memcached_mget");
  decltype(&::memcached_replace) replace = find("memcached_replace");
  decltype(&::memcached_result_cas) result_cas = find("memcached_result_cas");
  decltype(&::memcached_result_create) result_create = find("memcached_result_create");
  decltype(&::memcached_result_free) result_free = find("memcached_result_free");
  decltype(&::memcached_result_key_length) result_key_length = find("memcached_result_key_length");
  decltype(&::memcached_result_key_value) result_key_value = find("memcached_result_key_value");
  decltype(&::memcached_result_length) result_length = find("memcached_result_length");
  decltype(&::memcached_result_value) result_value = find("memcached_result_value");
  decltype(&::memcached_server_add) server_add = find("memcached_server_add");
  decltype(&::memcached_server_count) server_count = find("memcached_server_count");
  decltype(&::memcached_server_get_last_disconnect) server_get_last_disconnect =
      find("memcached_server_get_last_disconnect");
  decltype(&::memcached_server_name) server_name = find("memcached_server_name");
  decltype(&::memcached_server_port) server_port = find("memcached_server_port");
  decltype(&::memcached_set) set = find("memcached_set");
  decltype(&::memcached_stat_execute) stat_execute = find("memcached_stat_execute");
  decltype(&::memcached_strerror) strerror = find("memcached_strerror");
};

/// Loaded at the first call; any thread may call. Throws unavailable when this machine has none.
inline const MemcachedLibrary& lib() {
  static const MemcachedLibrary library;
  return library;
}

}  // namespace lambdaml::storage::memcached
