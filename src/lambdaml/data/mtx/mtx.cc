#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <numeric>
#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/rows.h"
#include "lambdaml/data/shared_options.h"
#include "lambdaml/data/text/blocks.h"
#include "lambdaml/data/text/number.h"

/// Matrix Market text (Boisvert, Pozo, Remington 1996, NISTIR 5935): a header, comments, sizes,
/// then `row column value` per entry, from 1, in any order, or all values of an array column by
/// column.
namespace lambdaml::data::mtx {
namespace {

constexpr std::string_view kMagic = "%%MatrixMarket";
constexpr std::uint64_t kMostCols = std::uint64_t{1} << 31U;
constexpr std::uint64_t kMostRows = std::uint64_t{1} << 40U;

enum class Symmetry { general, symmetric, skew };

struct Header {
  bool coordinate = true;
  bool pattern = false;
  Symmetry symmetry = Symmetry::general;
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
  std::uint64_t entries = 0;  ///< lines of values
};

/// Goes through the numbers of a text, or of a piece of it, line by line. The text must end in a
/// newline and be followed by kReadable bytes.
class Lines {
 public:
  Lines(std::string_view text, const std::string& what) : Lines(text, text, what) {}
  Lines(std::string_view text, std::string_view piece, const std::string& what)
      : text_(text), what_(what), p_(piece.data()), end_(p_ + piece.size()) {}

  [[noreturn]] void corrupt(std::string_view why) const {
    fail(Code::data_corrupt, "{}:{}: {}", what_,
         line_of(text_, static_cast<std::size_t>(p_ - text_.data())), why);
  }
  std::string_view line() {
    if (p_ == end_) corrupt("the file ends early; fetch it again");
    const char* const begin = p_;
    p_ = static_cast<const char*>(std::memchr(p_, '\n', static_cast<std::size_t>(end_ - p_))) + 1;
    return trim({begin, static_cast<std::size_t>(p_ - begin)});
  }
  /// Leaves out empty lines and comments.
  void skip() {
    while (p_ != end_ && (is_blank(*p_) || *p_ == '\n' || *p_ == '%')) {
      if (*p_ == '%')
        line();
      else
        ++p_;
    }
  }
  bool at_end() const { return p_ == end_; }
  /// The rest, cut into so many pieces of whole lines.
  std::vector<Lines> pieces(std::size_t n) const {
    std::vector<Lines> out;
    const char* begin = p_;
    for (std::size_t i = 1; i <= n; ++i) {
      const char* end = std::max(begin, p_ + (end_ - p_) * static_cast<std::ptrdiff_t>(i) /
                                                 static_cast<std::ptrdiff_t>(n));
      if (end != end_)
        end =
            static_cast<const char*>(std::memchr(end, '\n', static_cast<std::size_t>(end_ - end))) +
            1;
      out.emplace_back(text_, std::string_view(begin, static_cast<std::size_t>(end - begin)),
                       what_);
      begin = end;
    }
    return out;
  }
  void skip_all() { p_ = end_; }
  std::uint64_t count(std::uint64_t most, const char* kind) {
    skip_blanks();
    std::uint64_t value = 0;
    const char* const begin = p_;
    for (; *p_ >= '0' && *p_ <= '9'; ++p_) {
      value = value * 10 + static_cast<std::uint64_t>(*p_ - '0');
      if (value > most)
        corrupt(
            fmt::format("the {} is beyond {}; correct it, or the sizes in the header", kind, most));
    }
    if (p_ == begin) corrupt(fmt::format("a {} belongs here", kind));
    return value;
  }
  /// The value of a row and a column, counted from 1.
  float number(std::uint64_t row, std::uint64_t col) {
    skip_blanks();
    float value = 0;
    const char* const stop = read_float(p_, value);
    if (stop == nullptr || !(is_blank(*stop) || *stop == '\n')) {
      const char* end = p_;
      while (!is_blank(*end) && *end != '\n') ++end;
      const std::string_view token(p_, static_cast<std::size_t>(end - p_));
      corrupt(fmt::format("row {}, column {}: '{}' is not a finite number: {}", row, col,
                          printable(token, 40), remedy_for_number(token)));
    }
    p_ = stop;
    return value;
  }
  void end_line() {
    skip_blanks();
    if (*p_ != '\n') corrupt("the line goes on where it should end");
    ++p_;
  }

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
  void skip_blanks() {
    while (is_blank(*p_)) ++p_;
  }

  std::string_view text_;
  const std::string& what_;
  const char* p_;
  const char* end_;
};

Header header_of(Lines& lines) {
  Header out;
  std::string first(lines.line());
  std::transform(first.begin(), first.end(), first.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  std::vector<std::string> words;
  for (std::string& word : split(first, ' '))
    if (!word.empty()) words.push_back(std::move(word));
  if (words.size() != 5 || words[1] != "matrix")
    lines.corrupt("the header is not: %%MatrixMarket matrix coordinate|array TYPE SYMMETRY");
  const auto choose = [&](const std::string& word, std::vector<std::string> known) {
    const auto at = std::find(known.begin(), known.end(), word);
    if (at == known.end())
      lines.corrupt(fmt::format("matrices of the kind '{}' are not read; those that are: {}",
                                printable(word, 30), join(known, ", ")));
    return at - known.begin();
  };
  out.coordinate = choose(words[2], {"array", "coordinate"}) == 1;
  out.pattern = choose(words[3], {"real", "double", "integer", "pattern"}) == 3;
  out.symmetry =
      static_cast<Symmetry>(choose(words[4], {"general", "symmetric", "skew-symmetric"}));
  lines.skip();
  out.rows = lines.count(kMostRows, "number of rows");
  out.cols = lines.count(kMostCols, "number of columns");
  if (out.symmetry != Symmetry::general && out.rows != out.cols)
    lines.corrupt("a symmetric matrix has as many rows as columns");
  if (out.coordinate) out.entries = lines.count(std::uint64_t{1} << 48U, "number of entries");
  lines.end_line();
  if (!out.coordinate && (out.pattern || out.symmetry != Symmetry::general))
    lines.corrupt("arrays are read if they are general and of numbers");
  return out;
}

Dataset read_array(Lines& lines, const Header& header, const ReadOptions& options,
                   std::size_t text_bytes) {
  if (header.cols != 0 && header.rows > text_bytes / header.cols)
    lines.corrupt("the array is larger than the file");
  Array<float> values(dense_bytes(header.rows, header.cols, options.what) / sizeof(float));
  for (std::uint64_t c = 0; c < header.cols; ++c)
    for (std::uint64_t r = 0; r < header.rows; ++r) {
      lines.skip();
      if (lines.at_end()) lines.corrupt("the file ends early; fetch it again");
      values[r * header.cols + c] = lines.number(r + 1, c + 1);
    }
  return dense_dataset(std::move(values), header.rows, header.cols, {});
}

struct Entry {
  std::uint64_t row;
  std::uint32_t col;
  float value;
};

struct Entries {
  std::vector<Entry> entries = {};
  std::uint64_t lines = 0;
};

/// The entries of a piece of the text, of at most so many lines.
Entries read_piece(Lines& lines, const Header& header,
                   std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
  Entries read;
  std::vector<Entry>& out = read.entries;
  for (lines.skip(); !lines.at_end() && read.lines < most; lines.skip()) {
    const std::uint64_t row = lines.count(header.rows, "row");
    const std::uint64_t col = lines.count(header.cols, "column");
    if (row == 0 || col == 0) lines.corrupt("rows and columns are counted from 1");
    const float value = header.pattern ? 1.0F : lines.number(row, col);
    lines.end_line();
    out.push_back({row - 1, static_cast<std::uint32_t>(col - 1), value});
    if (header.symmetry != Symmetry::general && row != col)
      out.push_back({col - 1, static_cast<std::uint32_t>(row - 1),
                     header.symmetry == Symmetry::skew ? -value : value});
    ++read.lines;
  }
  return read;
}

/// All entries, ordered by rows and otherwise as in the file. Pieces are parsed in parallel; of
/// several errors, the first in the file is reported.
std::vector<Entry> read_entries(Lines& lines, const Header& header, std::size_t threads) {
  constexpr std::size_t kPiecesPerThread = 4;
  const std::size_t n = threads == 1 ? 1 : threads * kPiecesPerThread;
  std::vector<Lines> pieces = lines.pieces(n);
  std::vector<Entries> read(n);
  std::vector<std::exception_ptr> errors(n);
  parallel_for(n, threads, [&](std::size_t i) {
    try {
      read[i] = read_piece(pieces[i], header);
    } catch (const Error&) {
      errors[i] = std::current_exception();
    }
  });
  std::uint64_t left = header.entries;
  std::vector<std::size_t> begins(header.rows + 1);
  for (std::size_t i = 0; i < n; ++i) {
    if (errors[i]) std::rethrow_exception(errors[i]);
    if (read[i].lines > left) {
      Lines surplus = lines.pieces(n)[i];
      read_piece(surplus, header, left);
      surplus.corrupt("more entries than the header states");
    }
    left -= read[i].lines;
    for (const Entry& entry : read[i].entries) ++begins[entry.row + 1];
  }
  lines.skip_all();
  if (left > 0) lines.corrupt("the file ends early; fetch it again");
  std::partial_sum(begins.begin(), begins.end(), begins.begin());
  std::vector<Entry> out(begins.back());
  for (Entries& piece : read) {
    for (const Entry& entry : piece.entries) out[begins[entry.row]++] = entry;
    piece.entries = {};
  }
  return out;
}

Dataset read_coordinates(Lines& lines, const Header& header, const ReadOptions& options,
                         std::size_t text_bytes) {
  // Rows without entries cost memory that no text pays for.
  if (header.rows > 64 * text_bytes + 1000) lines.corrupt("there are far more rows than entries");
  std::vector<Entry> entries =
      read_entries(lines, header, std::max<std::size_t>(options.threads, 1));
  const auto is_before = [](const Entry& a, const Entry& b) {
    return a.row != b.row ? a.row < b.row : a.col < b.col;
  };
  // Usually the columns of a row ascend.
  if (!std::is_sorted(entries.begin(), entries.end(), is_before))
    std::stable_sort(entries.begin(), entries.end(), is_before);
  const auto twice = std::adjacent_find(
      entries.begin(), entries.end(),
      [](const Entry& a, const Entry& b) { return a.row == b.row && a.col == b.col; });
  if (twice != entries.end())
    fail(Code::data_corrupt, "reading {}: row {}, column {}: there are two entries: keep one",
         options.what, twice->row + 1, twice->col + 1);
  Array<std::uint64_t> offsets(header.rows + 1);
  Array<std::uint32_t> indices(entries.size());
  Array<float> values(entries.size());
  std::fill_n(offsets.data(), offsets.size(), std::uint64_t{0});
  for (std::size_t k = 0; k < entries.size(); ++k) {
    ++offsets[entries[k].row + 1];
    indices[k] = entries[k].col;
    values[k] = entries[k].value;
  }
  std::partial_sum(offsets.data(), offsets.data() + offsets.size(), offsets.data());
  return sparse_dataset(std::move(offsets), std::move(indices), std::move(values), header.cols, {});
}

bool recognizes(Bytes head) { return as_text(head).starts_with(kMagic); }

Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  if (!recognizes(*bytes))
    fail(Code::data_corrupt, "{}:1: the first line does not begin with %%MatrixMarket",
         options.what);
  std::string text(bytes->text());
  if (text.back() != '\n') text.push_back('\n');
  const std::size_t size = text.size();
  text.append(kReadable, '\n');
  Lines lines(std::string_view(text).substr(0, size), options.what);
  const Header header = header_of(lines);
  Dataset out = header.coordinate ? read_coordinates(lines, header, options, size)
                                  : read_array(lines, header, options, size);
  lines.skip();
  if (!lines.at_end()) lines.corrupt("more entries than the header states");
  return in_form(with_label_column(out, options), options.form);
}

Buffer write(const Dataset& dataset) {
  require_features(dataset, "writing Matrix Market text");
  if (!dataset.labels.empty() || !dataset.targets.empty())
    fail(Code::invalid_argument, "writing Matrix Market text: it has no labels");
  const Dataset sparse = in_form(dataset, Form::sparse);
  std::string text =
      fmt::format("%%MatrixMarket matrix coordinate real general\n{} {} {}\n", sparse.rows(),
                  sparse.cols(), tensor::stored_values(sparse.features));
  const auto put = [&](const auto& csr) {
    for (std::size_t r = 0; r < csr.rows; ++r)
      for (std::uint64_t k = csr.offsets[r]; k < csr.offsets[r + 1]; ++k)
        fmt::format_to(std::back_inserter(text), "{} {} {}\n", r + 1,
                       static_cast<std::uint64_t>(csr.indices[k]) + 1, csr.values[k]);
  };
  if (const auto* narrow = std::get_if<tensor::Csr16>(&sparse.features))
    put(*narrow);
  else
    put(std::get<tensor::Csr32>(sparse.features));
  return Buffer(as_bytes(text));
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "mtx",
                .formats = {"mtx"},
                .help = "Matrix Market text; labels in a column or a file of their own",
                .recognizes = recognizes,
                .read = read,
                .write = write,
                .options = {label_option(), labels_file_option()}});
}

}  // namespace lambdaml::data::mtx
