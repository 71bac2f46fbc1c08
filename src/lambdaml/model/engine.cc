#include "lambdaml/model/engine.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <dlfcn.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/programs/own_file.h"

namespace lambdaml::model {
namespace {

constexpr const char* kLibrary = "liblambdaml_torch.so";

std::atomic<bool> g_is_kept_out{false};

/// Settings that libtorch reads when it is loaded. Does not override the user's.
void prepare_environment() {
  // Waiting threads must sleep: function hosts sell processor time as a quota.
  setenv("OMP_WAIT_POLICY", "passive", 0);
#if defined(__x86_64__)
  // Debian's libtorch contains kernels for AVX-512 but does not select them by itself.
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("fma"))
    setenv("ATEN_CPU_CAPABILITY", "avx512", 0);
#endif
}

const EngineLibrary& load() {
  prepare_environment();
  // Found through this executable's run path, where the loader searches, or where this software is
  // installed. Never closed.
  void* handle = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const std::filesystem::path path = own_file(kLibrary);
    std::error_code error;
    // Otherwise the loader's first message is the one to show.
    if (std::filesystem::exists(path, error)) handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  if (handle == nullptr)
    fail(Code::unavailable,
         "cannot load the library that runs deep models: {}; it lies beside lambdaml and needs "
         "libtorch (Debian: libtorch1.13)",
         dlerror());
  using Entry = const EngineLibrary* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(handle, "lambdaml_engine_library"));
  const EngineLibrary* const library = entry == nullptr ? nullptr : entry();
  if (library == nullptr || library->version != EngineLibrary::kVersion)
    fail(Code::unavailable, "{} is of another version of lambdaml; build both together", kLibrary);
  return *library;
}

}  // namespace

void require_engine_library(const std::string& model) {
#ifndef LAMBDAML_TORCH
  fail(Code::invalid_argument,
       "{}: this build has no deep models; install libtorch-dev and build again with "
       "-DLAMBDAML_TORCH=ON",
       model);
#else
  (void)model;
#endif
}

void keep_engine_library_out() { g_is_kept_out = true; }
bool engine_library_is_kept_out() { return g_is_kept_out; }

const EngineLibrary& engine_library() {
  require_engine_library("deep models");
  if (g_is_kept_out)
    fail(Code::unavailable,
         "deep models run in processes of lambdaml-worker, and this process keeps libtorch out: "
         "predict with the command lambdaml predict, or load the run's model.pt in PyTorch");
  static const EngineLibrary& library = load();
  return library;
}

}  // namespace lambdaml::model
