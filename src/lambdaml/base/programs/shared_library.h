#pragma once

#include <string>

namespace lambdaml {

/// A library of this machine that is loaded on first use and then stays loaded. Loading one with
/// its dependencies takes milliseconds of a process's start, and few workers need any.
///
/// To use one, derive a struct of the functions that are called,
///
///     struct Zip : SharedLibrary {
///       Zip() : SharedLibrary(soname::kZip, "unpacking a function") {}
///       decltype(&::zip_open) open = find("zip_open");
///     };
///
/// and hold it in a function's static variable, so that any thread may be the first. The file names
/// are in sonames.h, which the build generates.
class SharedLibrary {
 public:
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;

 protected:
  /// `purpose` completes "which … needs". Throws unavailable if the library is missing.
  SharedLibrary(const char* soname, const char* purpose);
  ~SharedLibrary() = default;

  struct Address {
    void* address;
    template <class Function>
    operator Function*() const {
      return reinterpret_cast<Function*>(address);
    }
  };
  /// Throws unavailable if the library is too old to have the function.
  Address find(const char* name) const;

 private:
  std::string soname_;
  void* handle_;
};

}  // namespace lambdaml
