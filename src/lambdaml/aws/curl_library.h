#pragma once

#include <curl/curl.h>

/// libcurl, loaded when it is first needed: with its thirty libraries it costs a process more time
/// than all the rest of its start, and a worker that uses no service of AWS needs none of it.
namespace lambdaml::aws {

/// The functions of libcurl that this layer calls, by their names without `curl_`.
struct CurlLibrary {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_getdate) getdate;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_multi_init) multi_init;
  decltype(&::curl_multi_cleanup) multi_cleanup;
  decltype(&::curl_multi_setopt) multi_setopt;
  decltype(&::curl_multi_add_handle) multi_add_handle;
  decltype(&::curl_multi_remove_handle) multi_remove_handle;
  decltype(&::curl_multi_poll) multi_poll;
  decltype(&::curl_multi_perform) multi_perform;
  decltype(&::curl_multi_info_read) multi_info_read;
};

/// Loads and sets up libcurl at the first call; any thread may call. Throws unavailable when this
/// machine has none.
const CurlLibrary& libcurl();

}  // namespace lambdaml::aws
