#include "lambdaml/aws/curl_library.h"

#include "lambdaml/base/error.h"
#include "lambdaml/base/sonames.h"

namespace lambdaml::aws {

CurlLibrary::CurlLibrary() : SharedLibrary(soname::kCurl, "a service of AWS") {
  const decltype(&::curl_global_init) global_init = find("curl_global_init");
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    fail(Code::internal, "libcurl cannot be initialised");
}

const CurlLibrary& libcurl() {
  static const CurlLibrary library;
  return library;
}

}  // namespace lambdaml::aws
