#include "lambdaml/data/compression/compression.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "lambdaml/base/error.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/compression/codec.h"

namespace lambdaml::data {
namespace {

using compression::Codec;

const std::array<Codec, 4>& codecs() {
  static const std::array<Codec, 4> all = {compression::gzip(), compression::bzip2(),
                                           compression::xz(), compression::zstd()};
  return all;
}

/// Grows to a limit, and one byte more, which shows that it is exceeded.
class Unpacked {
 public:
  Unpacked(std::size_t packed, std::uint64_t limit, const std::string& what)
      : limit_(std::min(limit, machine_memory_bytes() / 4 * 3)),
        what_(what),
        bytes_(static_cast<std::size_t>(std::min<std::uint64_t>(packed * 4 + 1024, limit_ + 1))) {}

  /// Room that is not empty.
  std::span<std::byte> room() {
    if (written_ == bytes_.size()) {
      require_below_limit();
      Buffer larger(
          static_cast<std::size_t>(std::min<std::uint64_t>(bytes_.size() * 2, limit_ + 1)));
      std::memcpy(larger.data(), bytes_.data(), written_);
      bytes_ = std::move(larger);
    }
    return {bytes_.data() + written_, bytes_.size() - written_};
  }
  void add(std::size_t bytes) { written_ += bytes; }
  Buffer take() {
    require_below_limit();
    bytes_.truncate(written_);
    return std::move(bytes_);
  }

 private:
  void require_below_limit() const {
    if (written_ > limit_)
      fail(Code::resource_exhausted,
           "unzipping {}: the content is larger than the limit of {}; unzip it by hand", what_,
           human_bytes(limit_));
  }

  std::uint64_t limit_;
  const std::string& what_;
  Buffer bytes_;
  std::size_t written_ = 0;
};

Buffer unpack(const Codec& codec, Bytes in, const std::string& what, std::uint64_t limit) {
  const std::unique_ptr<compression::Decoder> decoder = codec.decoder();
  Unpacked out(in.size(), limit, what);
  std::size_t used = 0;
  while (true) {
    compression::Step step;
    try {
      step = decoder->step(in.subspan(used), out.room());
    } catch (const compression::Damaged& damaged) {
      fail(Code::data_corrupt, "unzipping {}: damaged at byte {} ({}); fetch it again", what, used,
           damaged.why);
    }
    used += step.read;
    out.add(step.written);
    if (!step.ended) {
      if (step.read == 0 && step.written == 0)
        fail(Code::data_corrupt, "unzipping {}: the file ends early; fetch it again", what);
      continue;
    }
    // Tape blocks are padded with zeros; anything else must be another member.
    const Bytes rest = in.subspan(used);
    if (std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; }))
      return out.take();
    if (!codec.recognizes(rest))
      fail(Code::data_corrupt, "unzipping {}: bytes that are no {} follow at byte {}", what,
           codec.name, used);
    decoder->restart();
  }
}

}  // namespace

std::shared_ptr<const Buffer> decompress(std::shared_ptr<const Buffer> bytes,
                                         const std::string& what, std::uint64_t limit) {
  for (const Codec& codec : codecs())
    if (codec.recognizes(*bytes))
      return std::make_shared<const Buffer>(unpack(codec, *bytes, what, limit));
  return bytes;
}

bool is_compressed(Bytes begin) {
  return std::any_of(codecs().begin(), codecs().end(),
                     [&](const Codec& codec) { return codec.recognizes(begin); });
}

Buffer decompressed_head(Bytes begin, const std::string& what, std::size_t limit) {
  const auto codec = std::find_if(codecs().begin(), codecs().end(),
                                  [&](const Codec& c) { return c.recognizes(begin); });
  if (codec == codecs().end()) return Buffer(begin.first(std::min(limit, begin.size())));
  const std::unique_ptr<compression::Decoder> decoder = codec->decoder();
  Buffer out(limit);
  std::size_t used = 0, written = 0;
  compression::Step step;
  do {
    try {
      step = decoder->step(begin.subspan(used), std::span(out.data(), out.size()).subspan(written));
    } catch (const compression::Damaged& damaged) {
      fail(Code::data_corrupt, "unzipping {}: damaged at byte {} ({}); fetch it again", what, used,
           damaged.why);
    }
    used += step.read;
    written += step.written;
    if (step.ended && used < begin.size() && codec->recognizes(begin.subspan(used)))
      decoder->restart();
    else if (step.ended)
      break;
  } while (written < limit && (step.read > 0 || step.written > 0));
  out.truncate(written);
  return out;
}

std::string_view without_ending(std::string_view name) {
  for (const Codec& codec : codecs())
    if (name.ends_with(codec.ending)) name.remove_suffix(codec.ending.size());
  return name;
}

}  // namespace lambdaml::data
