#pragma once

#include <curl/curl.h>

#include "lambdaml/base/programs/shared_library.h"

namespace lambdaml::aws {

/// The functions of libcurl that this layer calls, by their names without `curl_`.
struct CurlLibrary : SharedLibrary {
  CurlLibrary();

  decltype(&::curl_getdate) getdate = find("curl_getdate");
  decltype(&::curl_slist_append) slist_append = find("curl_slist_append");
  decltype(&::curl_slist_free_all) slist_free_all = find("curl_slist_free_all");
  decltype(&::curl_easy_init) easy_init = find("curl_easy_init");
  decltype(&::curl_easy_cleanup) easy_cleanup = find("curl_easy_cleanup");
  decltype(&::curl_easy_setopt) easy_setopt = find("curl_easy_setopt");
  decltype(&::curl_easy_getinfo) easy_getinfo = find("curl_easy_getinfo");
  decltype(&::curl_easy_strerror) easy_strerror = find("curl_easy_strerror");
  decltype(&::curl_multi_init) multi_init = find("curl_multi_init");
  decltype(&::curl_multi_cleanup) multi_cleanup = find("curl_multi_cleanup");
  decltype(&::curl_multi_setopt) multi_setopt = find("curl_multi_setopt");
  decltype(&::curl_multi_add_handle) multi_add_handle = find("curl_multi_add_handle");
  decltype(&::curl_multi_remove_handle) multi_remove_handle = find("curl_multi_remove_handle");
  decltype(&::curl_multi_poll) multi_poll = find("curl_multi_poll");
  decltype(&::curl_multi_perform) multi_perform = find("curl_multi_perform");
  decltype(&::curl_multi_info_read) multi_info_read = find("curl_multi_info_read");
};

/// Loads and initializes libcurl on the first call; thread-safe. Throws unavailable if this machine
/// has no libcurl.
const CurlLibrary& libcurl();

}  // namespace lambdaml::aws
