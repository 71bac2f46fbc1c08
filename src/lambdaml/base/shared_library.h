#pragma once

#include <string>

namespace lambdaml {

/// A library of this machine that is loaded when it is first needed and then stays. With its own
/// libraries one costs a process milliseconds of its start, and few workers need any.
///
/// Who needs one derives a struct of the functions that it calls,
///
///     struct Zip : SharedLibrary {
///       Zip() : SharedLibrary(soname::kZip, "unpacking a function") {}
///       decltype(&::zip_open) open = find("zip_open");
///     };
///
/// and holds it in a function's static variable, so that any thread may be the first. The files'
/// names stand in sonames.h, which the build makes.
class SharedLibrary {
 public:
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;

 protected:
  /// `purpose` completes "which … needs". Throws unavailable when there is none.
  SharedLibrary(const char* soname, const char* purpose);
  ~SharedLibrary() = default;

  struct Address {
    void* address;
    template <class Function>
    operator Function*() const {
      return reinterpret_cast<Function*>(address);
    }
  };
  /// Throws unavailable when the library is too old to have it.
  Address find(const char* name) const;

 private:
  std::string soname_;
  void* handle_;
};

}  // namespace lambdaml
