#include <algorithm>
#include <limits>
#include <new>

#include <zlib.h>

#include "lambdaml/data/compression/codec.h"

namespace lambdaml::data::compression {
namespace {

bool is_gzip(Bytes bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

/// zlib uses 32-bit counts.
uInt clipped(std::size_t n) {
  return static_cast<uInt>(std::min<std::size_t>(n, std::numeric_limits<uInt>::max()));
}

class Inflater : public Decoder {
 public:
  Inflater() {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() override { inflateEnd(&stream_); }

  Step step(Bytes in, std::span<std::byte> out) override {
    const uInt in_step = clipped(in.size());
    const uInt out_step = clipped(out.size());
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = in_step;
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = out_step;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      throw Damaged{stream_.msg != nullptr ? stream_.msg : "bad data"};
    return {in_step - stream_.avail_in, out_step - stream_.avail_out, result == Z_STREAM_END};
  }
  void restart() override {
    if (inflateReset(&stream_) != Z_OK) throw std::bad_alloc();
  }

 private:
  z_stream stream_{};
};

}  // namespace

Codec gzip() {
  return {"gzip", ".gz", is_gzip,
          []() -> std::unique_ptr<Decoder> { return std::make_unique<Inflater>(); }};
}

}  // namespace lambdaml::data::compression
