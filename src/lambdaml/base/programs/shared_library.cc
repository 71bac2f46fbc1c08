#include "lambdaml/base/programs/shared_library.h"

#include <dlfcn.h>

#include "lambdaml/base/error.h"

namespace lambdaml {

SharedLibrary::SharedLibrary(const char* soname, const char* purpose)
    : soname_(soname), handle_(dlopen(soname, RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr)
    fail(Code::unavailable, "cannot load {}, which {} needs: {}", soname, purpose, dlerror());
}

SharedLibrary::Address SharedLibrary::find(const char* name) const {
  void* const address = dlsym(handle_, name);
  if (address == nullptr)
    fail(Code::unavailable, "this machine's {} has no {}: install a newer one", soname_, name);
  return {address};
}

}  // namespace lambdaml
