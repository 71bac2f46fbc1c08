#include <new>

#include <zstd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/programs/shared_library.h"
#include "lambdaml/base/sonames.h"
#include "lambdaml/data/compression/codec.h"

namespace lambdaml::data::compression {
namespace {

struct ZstdLibrary : SharedLibrary {
  ZstdLibrary() : SharedLibrary(soname::kZstd, "reading a zstd file") {}

  decltype(&::ZSTD_createDStream) create = find("ZSTD_createDStream");
  decltype(&::ZSTD_freeDStream) free = find("ZSTD_freeDStream");
  decltype(&::ZSTD_initDStream) init = find("ZSTD_initDStream");
  decltype(&::ZSTD_decompressStream) decompress = find("ZSTD_decompressStream");
  decltype(&::ZSTD_isError) is_error = find("ZSTD_isError");
  decltype(&::ZSTD_getErrorName) error_name = find("ZSTD_getErrorName");
};

const ZstdLibrary& libzstd() {
  static const ZstdLibrary library;
  return library;
}

/// A frame, or one that is skipped (pzstd writes them).
bool is_zstd(Bytes bytes) {
  const std::string_view text = as_text(bytes);
  return text.starts_with("\x28\xb5\x2f\xfd") ||
         (text.size() >= 8 && (static_cast<unsigned char>(text[0]) & 0xf0U) == 0x50 &&
          text.substr(1, 3) == "\x2a\x4d\x18");
}

/// The library's limit of the memory for one frame is 128 MB (`zstd --ultra` up to 22).
class Unzstd : public Decoder {
 public:
  Unzstd() : stream_(libzstd().create()) {
    if (stream_ == nullptr) throw std::bad_alloc();
    libzstd().init(stream_);
  }
  ~Unzstd() override { libzstd().free(stream_); }

  Step step(Bytes in, std::span<std::byte> out) override {
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const std::size_t result = libzstd().decompress(stream_, &to, &from);
    if (libzstd().is_error(result) != 0) throw Damaged{libzstd().error_name(result)};
    return {from.pos, to.pos, result == 0};
  }
  void restart() override { libzstd().init(stream_); }

 private:
  ZSTD_DStream* stream_;
};

}  // namespace

Codec zstd() {
  return {"zstd", ".zst", is_zstd,
          []() -> std::unique_ptr<Decoder> { return std::make_unique<Unzstd>(); }};
}

}  // namespace lambdaml::data::compression
