#include <algorithm>
#include <limits>
#include <new>

#include <bzlib.h>

#include "lambdaml/base/programs/shared_library.h"
#include "lambdaml/base/sonames.h"
#include "lambdaml/data/compression/codec.h"

namespace lambdaml::data::compression {
namespace {

struct Bzip2Library : SharedLibrary {
  Bzip2Library() : SharedLibrary(soname::kBzip2, "reading a bzip2 file") {}

  decltype(&::BZ2_bzDecompressInit) init = find("BZ2_bzDecompressInit");
  decltype(&::BZ2_bzDecompress) decompress = find("BZ2_bzDecompress");
  decltype(&::BZ2_bzDecompressEnd) end = find("BZ2_bzDecompressEnd");
};

const Bzip2Library& libbz2() {
  static const Bzip2Library library;
  return library;
}

/// `BZh`, the size of blocks, then the mark of a block or of the end.
bool is_bzip2(Bytes bytes) {
  const std::string_view text = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 10)));
  return text.size() == 10 && text.starts_with("BZh") && text[3] >= '1' && text[3] <= '9' &&
         (text.substr(4) == "\x31\x41\x59\x26\x53\x59" ||
          text.substr(4) == "\x17\x72\x45\x38\x50\x90");
}

/// libbz2 uses 32-bit counts.
unsigned clipped_32(std::size_t n) {
  return static_cast<unsigned>(std::min<std::size_t>(n, std::numeric_limits<unsigned>::max()));
}

class Bunzip2 : public Decoder {
 public:
  Bunzip2() { begin(); }
  ~Bunzip2() override { libbz2().end(&stream_); }

  Step step(Bytes in, std::span<std::byte> out) override {
    const unsigned in_step = clipped_32(in.size());
    const unsigned out_step = clipped_32(out.size());
    stream_.next_in = reinterpret_cast<char*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = in_step;
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = out_step;
    const int result = libbz2().decompress(&stream_);
    if (result == BZ_MEM_ERROR) throw std::bad_alloc();
    if (result != BZ_OK && result != BZ_STREAM_END)
      throw Damaged{result == BZ_DATA_ERROR ? "its checksum or its codes are wrong" : "bad data"};
    return {in_step - stream_.avail_in, out_step - stream_.avail_out, result == BZ_STREAM_END};
  }
  void restart() override {
    libbz2().end(&stream_);
    stream_ = {};
    begin();
  }

 private:
  void begin() {
    if (libbz2().init(&stream_, 0, 0) != BZ_OK) throw std::bad_alloc();
  }

  bz_stream stream_{};
};

}  // namespace

Codec bzip2() {
  return {"bzip2", ".bz2", is_bzip2,
          []() -> std::unique_ptr<Decoder> { return std::make_unique<Bunzip2>(); }};
}

}  // namespace lambdaml::data::compression
