#include "lambdaml/aws/curl_library.h"

#include <type_traits>

#include <dlfcn.h>

#include "lambdaml/base/error.h"

namespace lambdaml::aws {
namespace {

CurlLibrary load() {
  // Never closed: its threads and TLS state may outlive any caller.
  void* const handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr)
    fail(Code::unavailable, "cannot load libcurl, which AWS's services need: {}; install libcurl4",
         dlerror());
  CurlLibrary library{};
  const auto find = [&](const char* name, auto& function) {
    void* const address = dlsym(handle, name);
    if (address == nullptr)
      fail(Code::unavailable, "this machine's libcurl has no {}: install 7.85 or later", name);
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
  };
  find("curl_global_init", library.global_init);
  find("curl_getdate", library.getdate);
  find("curl_slist_append", library.slist_append);
  find("curl_slist_free_all", library.slist_free_all);
  find("curl_easy_init", library.easy_init);
  find("curl_easy_cleanup", library.easy_cleanup);
  find("curl_easy_setopt", library.easy_setopt);
  find("curl_easy_getinfo", library.easy_getinfo);
  find("curl_easy_strerror", library.easy_strerror);
  find("curl_multi_init", library.multi_init);
  find("curl_multi_cleanup", library.multi_cleanup);
  find("curl_multi_setopt", library.multi_setopt);
  find("curl_multi_add_handle", library.multi_add_handle);
  find("curl_multi_remove_handle", library.multi_remove_handle);
  find("curl_multi_poll", library.multi_poll);
  find("curl_multi_perform", library.multi_perform);
  find("curl_multi_info_read", library.multi_info_read);
  if (library.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    fail(Code::internal, "libcurl cannot be initialised");
  return library;
}

}  // namespace

const CurlLibrary& libcurl() {
  static const CurlLibrary library = load();
  return library;
}

}  // namespace lambdaml::aws
