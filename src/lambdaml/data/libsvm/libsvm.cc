#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/data/libsvm/assembly.h"
#include "lambdaml/data/libsvm/block.h"
#include "lambdaml/data/libsvm/write.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/text/blocks.h"

/// LIBSVM text: `label index:value …` per row, indices ascending, from 1 or from 0. Labels are
/// integers or, if one is not, real targets.
namespace lambdaml::data::libsvm {
namespace {

std::string says_base_0(const std::string& what) {
  return fmt::format(
      "{}: its feature indices begin at 0; --index-base 0 says so, also for files without a 0",
      what);
}

struct Piece {
  std::size_t begin = 0;  ///< in the file
  std::string_view text;
  std::string tail;
  Block block;
  Place place;
};

class Reader {
 public:
  /// `index_base`: the first feature's index; nullopt: 1, unless there is a 0.
  Reader(std::string_view text, const ReadOptions& options, std::optional<int> index_base)
      : text_(text),
        options_(options),
        threads_(std::max<std::size_t>(options.threads, 1)),
        detect_base_(!index_base),
        index_base_(index_base.value_or(1)) {}

  Dataset read() {
    try {
      return read_rows();
    } catch (const IndexZero&) {
      log::warn_once(says_base_0(options_.what));
      index_base_ = 0;
      return read_rows();
    }
  }

 private:
  struct IndexZero {};

  /// The first block determines the form in which rows are collected. If a dense matrix turns out
  /// wider or emptier than its first block, parsing starts again with a sparse one, which accepts
  /// everything; so the result does not depend on block boundaries.
  Dataset read_rows() {
    if (options_.form != Form::sparse && !text_.empty()) {
      Piece first;
      first.text = BlockCutter(text_, options_.what).next(first.tail);
      parse_block(first.text, first.block, index_base_);
      check_base(first.block);
      const Block& block = first.block;
      if (options_.form == Form::dense ||
          natural_form(block.rows, block.cols, block.entries) == Form::dense) {
        DenseAssembly dense(block.cols);
        const auto fits = [&](std::size_t cols, std::size_t rows, std::size_t entries) {
          dense_bytes(rows, block.cols, options_.what);
          return cols <= block.cols && (options_.form == Form::dense ||
                                        natural_form(rows, block.cols, entries) == Form::dense);
        };
        if (collect(dense, fits)) return dense.finish(labelled_);
      }
    }
    SparseAssembly sparse;
    collect(sparse, [](std::size_t, std::size_t, std::size_t) { return true; });
    return in_form(sparse.finish(labelled_), options_.form);
  }

  /// False if the columns, rows and entries so far do not suit the assembly.
  template <class Assembly, class Fits>
  bool collect(Assembly& assembly, const Fits& fits) {
    BlockCutter cutter(text_, options_.what);
    std::vector<Piece> pieces(threads_ == 1 ? 1 : threads_ * BlockCutter::kBlocksPerThread);
    std::size_t begin = 0;
    std::size_t rows = 0;
    std::size_t entries = 0;
    while (!cutter.done()) {
      const bool first_wave = begin == 0;
      std::size_t n = 0;
      for (; n < pieces.size() && !cutter.done(); ++n) {
        pieces[n].begin = begin;
        pieces[n].text = cutter.next(pieces[n].tail);
        begin = cutter.position();
      }
      parallel_for(n, threads_, [&](std::size_t i) {
        parse_block(pieces[i].text, pieces[i].block, index_base_);
      });
      for (std::size_t i = 0; i < n; ++i) {
        const Block& block = pieces[i].block;
        check(pieces[i], rows == 0);
        rows += block.rows;
        entries += block.entries;
        if (!fits(block.cols, rows, entries)) return false;
      }
      if (first_wave) {
        // Untouched reserved memory costs nothing, so estimate generously.
        const double factor = 1.03 * static_cast<double>(text_.size()) / static_cast<double>(begin);
        assembly.reserve(static_cast<std::size_t>(static_cast<double>(rows) * factor) + 16,
                         static_cast<std::size_t>(static_cast<double>(entries) * factor) + 16,
                         text_.size());
      }
      for (std::size_t i = 0; i < n; ++i) pieces[i].place = assembly.extend(pieces[i].block);
      parallel_for(n, threads_,
                   [&](std::size_t i) { assembly.place(pieces[i].place, pieces[i].block); });
    }
    return true;
  }

  void check_base(const Block& block) const {
    if (block.fault && block.fault->index_0 && detect_base_ && index_base_ == 1) throw IndexZero{};
  }

  void check(const Piece& piece, bool first) {
    const Block& block = piece.block;
    check_base(block);
    if (block.rows != 0) {
      if (first) labelled_ = block.labelled;
      if (block.labelled != labelled_)
        fail_at(piece, {block.first_row, labelling_fault(block.labelled)});
    }
    if (block.fault) fail_at(piece, *block.fault);
  }

  [[noreturn]] void fail_at(const Piece& piece, const Fault& fault) const {
    const std::size_t offset = piece.begin + static_cast<std::size_t>(fault.at - piece.text.data());
    fail(Code::data_corrupt, "{}:{}: {}", options_.what,
         options_.lines_before + line_of(text_, offset), fault.message);
  }

  std::string_view text_;
  const ReadOptions& options_;
  std::size_t threads_;
  bool detect_base_;
  int index_base_;
  bool labelled_ = true;
};

/// nullopt: to be found.
std::optional<int> wanted_index_base(const ReadOptions& options) {
  // Read by itself, without its options, by tests and benchmarks.
  const bool given = options.options.find("index_base") != nullptr;
  const std::string base = given ? options.options.text("index_base") : "auto";
  return base == "auto" ? std::nullopt : std::optional<int>(base == "0" ? 0 : 1);
}

Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  return Reader(without_mark(bytes->text()), options, wanted_index_base(options)).read();
}

class Blocks : public BlockReader {
 public:
  Blocks(std::string_view head, const ReadOptions& options) {
    const std::string_view text = without_mark(head);
    first_row_ = head.size() - text.size();
    const std::optional<int> wanted = wanted_index_base(options);
    index_base_ = wanted.value_or(1);
    if (wanted || text.empty()) return;
    BlockCutter cutter(text, options.what);
    std::string tail;
    Block block;
    parse_block(cutter.next(tail), block, 1);
    if (!block.fault || !block.fault->index_0) return;
    index_base_ = 0;
    notice_ = says_base_0(options.what);
  }

  std::uint64_t first_row() const override { return first_row_; }
  std::vector<std::string> notices() const override {
    return notice_.empty() ? std::vector<std::string>() : std::vector<std::string>{notice_};
  }
  Dataset read(std::string_view lines, const ReadOptions& options) const override {
    return Reader(lines, options, index_base_).read();
  }
  Form form_of(std::uint64_t rows, std::uint64_t cols, std::uint64_t nonzeros) const override {
    return natural_form(rows, cols, nonzeros);
  }

 private:
  std::uint64_t first_row_ = 0;
  int index_base_ = 1;
  std::string notice_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "libsvm",
                .formats = {"dense_libsvm", "sparse_libsvm"},
                .help = "text, `label index:value …` a row",
                .recognizes = is_text,
                .read = read,
                .write = write,
                .blocks = [](std::string_view head,
                             const ReadOptions& options) -> std::unique_ptr<BlockReader> {
                  return std::make_unique<Blocks>(head, options);
                },
                .options = {{.name = "index_base",
                             .default_value = std::string("auto"),
                             .help = "index of the first feature in LIBSVM text; auto is 0 if one "
                                     "occurs, else 1",
                             .choices = {"auto", "0", "1"}}}});
}

}  // namespace lambdaml::data::libsvm
