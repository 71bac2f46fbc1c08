#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"
#include "lambdaml/data/text/number.h"

/// Cutting a text into pieces that are parsed in parallel; for the layer's text formats.
namespace lambdaml::data {

/// Cuts a text into blocks of whole lines or, if a quoted field may hold line ends, whole records.
class BlockCutter {
 public:
  /// Bytes of a block: what is parsed from it stays in the second-level cache until it is copied to
  /// its place. A block ends at the first line end after that.
  static constexpr std::size_t kBlockBytes = 128 * 1024;
  static constexpr std::size_t kMaxLine = std::size_t{1} << 32;
  /// How many blocks each thread parses before they are put in their places.
  static constexpr std::size_t kBlocksPerThread = 4;

  /// `what` names the text in errors, and must outlive the cutter. `quoted`: a line end between
  /// quotes (an odd number of them before it) ends no line.
  BlockCutter(std::string_view text, const std::string& what, bool quoted = false)
      : text_(text), what_(what), quoted_(quoted) {}

  bool done() const { return begin_ == text_.size(); }
  std::size_t position() const { return begin_; }

  /// The next block, followed by kReadable readable bytes. For that, the end of the text is copied
  /// to `tail` and completed with a newline if necessary. Throws data_corrupt for a line longer
  /// than 4 GiB.
  std::string_view next(std::string& tail) {
    const std::size_t end = block_end();
    if (end - begin_ > kMaxLine)
      fail(Code::data_corrupt, "{}: a line is longer than 4 GiB: this is no text of rows", what_);
    std::string_view block = text_.substr(begin_, end - begin_);
    if (end + kReadable > text_.size()) {
      block = text_.substr(begin_);
      // A block of many lines near the end would be copied as a whole: split off its last lines.
      const std::size_t near_end = block.size() > 2 * kReadable ? block.size() - 2 * kReadable : 0;
      const std::size_t last_lines = quoted_ ? std::string_view::npos : block.rfind('\n', near_end);
      if (last_lines != std::string_view::npos && last_lines + 1 < block.size()) {
        block = block.substr(0, last_lines + 1);
      } else {
        tail.assign(block);
        if (tail.back() != '\n') tail.push_back('\n');
        const std::size_t size = tail.size();
        tail.append(kReadable, '\n');
        begin_ = text_.size();
        return std::string_view(tail).substr(0, size);
      }
    }
    begin_ += block.size();
    return block;
  }

 private:
  std::size_t line_end(std::size_t from) const {
    return std::min(text_.find('\n', std::min(from, text_.size())), text_.size() - 1) + 1;
  }
  std::size_t block_end() const {
    std::size_t end = line_end(begin_ + kBlockBytes);
    if (!quoted_) return end;
    std::size_t counted = begin_;
    bool inside = false;
    while (true) {
      const std::string_view more = text_.substr(counted, end - counted);
      inside ^= std::count(more.begin(), more.end(), '"') % 2 != 0;
      counted = end;
      if (!inside) return end;
      const std::size_t quote = text_.find('"', end);
      if (quote == std::string_view::npos) return text_.size();
      end = line_end(quote);
    }
  }

  std::string_view text_;
  const std::string& what_;
  bool quoted_;
  std::size_t begin_ = 0;
};

/// The text without the mark of UTF-8 at its begin.
inline std::string_view without_mark(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return text;
}

/// Whether a file's first bytes may be text: no control characters except white space.
inline bool is_text(Bytes head) {
  return std::none_of(head.begin(), head.end(), [](std::byte b) {
    const auto c = std::to_integer<unsigned>(b);
    return c < 0x20 && c != '\t' && c != '\n' && c != '\r';
  });
}

/// The number of the line in which text[offset] is, from 1.
inline std::size_t line_of(std::string_view text, std::size_t offset) {
  return 1 + static_cast<std::size_t>(std::count(text.begin(), text.begin() + offset, '\n'));
}

}  // namespace lambdaml::data
