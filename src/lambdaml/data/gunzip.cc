#include <algorithm>
#include <limits>

#include <zlib.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/source.h"

namespace lambdaml::data {
namespace {

bool is_gzip(Bytes bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

class Inflater {
 public:
  Inflater() {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream); }

  z_stream stream{};
};

/// zlib uses 32-bit counts.
uInt clipped(std::size_t n) {
  return static_cast<uInt>(std::min<std::size_t>(n, std::numeric_limits<uInt>::max()));
}

}  // namespace

std::shared_ptr<const Buffer> gunzip(std::shared_ptr<const Buffer> bytes, const std::string& what,
                                     std::uint64_t limit) {
  if (!is_gzip(*bytes)) return bytes;
  const Bytes in = *bytes;
  Inflater inflater;
  z_stream& stream = inflater.stream;
  limit = std::min(limit, machine_memory_bytes() / 4 * 3);
  // Allows one byte beyond the limit, which shows that it is exceeded.
  const std::uint64_t most = limit + 1;
  Buffer out(static_cast<std::size_t>(std::min<std::uint64_t>(in.size() * 4 + 1024, most)));
  std::size_t used = 0;
  std::size_t written = 0;
  while (true) {
    if (written == out.size()) {
      if (written == most)
        fail(Code::resource_exhausted,
             "unzipping {}: the content is larger than the limit of {}; unzip it by hand", what,
             human_bytes(limit));
      Buffer larger(static_cast<std::size_t>(std::min<std::uint64_t>(out.size() * 2, most)));
      std::memcpy(larger.data(), out.data(), written);
      out = std::move(larger);
    }
    const uInt in_step = clipped(in.size() - used);
    const uInt out_step = clipped(out.size() - written);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data() + used));
    stream.avail_in = in_step;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + written);
    stream.avail_out = out_step;
    const int result = inflate(&stream, Z_NO_FLUSH);
    used += in_step - stream.avail_in;
    written += out_step - stream.avail_out;
    if (result == Z_STREAM_END) {
      // Tape blocks are padded with zeros; anything else must be another member.
      const auto rest = in.subspan(used);
      if (std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; }))
        break;
      if (!is_gzip(rest) || inflateReset(&stream) != Z_OK)
        fail(Code::data_corrupt, "unzipping {}: bytes that are no gzip follow at byte {}", what,
             used);
    } else if (result == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (result == Z_BUF_ERROR ||
               (result == Z_OK && used == in.size() && written != out.size())) {
      fail(Code::data_corrupt, "unzipping {}: the file ends early; fetch it again", what);
    } else if (result != Z_OK) {
      fail(Code::data_corrupt, "unzipping {}: damaged at byte {} ({}); fetch it again", what, used,
           stream.msg != nullptr ? stream.msg : "bad data");
    }
  }
  if (written > limit)
    fail(Code::resource_exhausted,
         "unzipping {}: the content is larger than the limit of {}; unzip it by hand", what,
         human_bytes(limit));
  out.truncate(written);
  return std::make_shared<const Buffer>(std::move(out));
}

}  // namespace lambdaml::data
