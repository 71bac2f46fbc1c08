#include <new>

#include <lzma.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/programs/shared_library.h"
#include "lambdaml/base/sonames.h"
#include "lambdaml/data/compression/codec.h"

namespace lambdaml::data::compression {
namespace {

struct LzmaLibrary : SharedLibrary {
  LzmaLibrary() : SharedLibrary(soname::kLzma, "reading an xz file") {}

  decltype(&::lzma_stream_decoder) decoder = find("lzma_stream_decoder");
  decltype(&::lzma_code) code = find("lzma_code");
  decltype(&::lzma_end) end = find("lzma_end");
};

const LzmaLibrary& liblzma() {
  static const LzmaLibrary library;
  return library;
}

/// `xz -9` needs 65 MB.
constexpr std::uint64_t kMostMemory = 1U << 30U;

bool is_xz(Bytes bytes) { return as_text(bytes).starts_with(std::string_view("\xfd\x37zXZ\0", 6)); }

class Unxz : public Decoder {
 public:
  Unxz() { begin(); }
  ~Unxz() override { liblzma().end(&stream_); }

  Step step(Bytes in, std::span<std::byte> out) override {
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret result = liblzma().code(&stream_, LZMA_RUN);
    if (result == LZMA_MEM_ERROR) throw std::bad_alloc();
    if (result == LZMA_MEMLIMIT_ERROR)
      fail(Code::resource_exhausted, "an xz file needs more than 1 GiB to be unpacked: use unxz");
    if (result != LZMA_OK && result != LZMA_STREAM_END && result != LZMA_BUF_ERROR)
      throw Damaged{result == LZMA_OPTIONS_ERROR ? "options that liblzma does not know"
                                                 : "its checksum or its codes are wrong"};
    return {in.size() - stream_.avail_in, out.size() - stream_.avail_out,
            result == LZMA_STREAM_END};
  }
  void restart() override { begin(); }

 private:
  void begin() {
    if (liblzma().decoder(&stream_, kMostMemory, 0) != LZMA_OK) throw std::bad_alloc();
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
};

}  // namespace

Codec xz() {
  return {"xz", ".xz", is_xz,
          []() -> std::unique_ptr<Decoder> { return std::make_unique<Unxz>(); }};
}

}  // namespace lambdaml::data::compression
