#include <algorithm>
#include <iterator>
#include <span>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/align.h"
#include "lambdaml/data/blocks/agreeing.h"
#include "lambdaml/data/blocks/columns.h"
#include "lambdaml/data/blocks/findings.h"
#include "lambdaml/data/column_notices.h"

namespace lambdaml::data {

using namespace agreeing;
using nlohmann::json;

std::string Agreement::to_json() const {
  if (!error.empty()) return json_text(json{{"error", error}, {"code", to_string(code)}});
  if (!not_lines.empty()) return json_text(json{{"not_lines", list_of(not_lines)}});
  json all{{"features", features},
           {"labelled", labelled},
           {"targets", targets},
           {"sparse", form == Form::sparse},
           {"part_rows", list_of(part_rows)},
           {"id", checksum_text(id)},
           {"notices", list_of(notices)},
           {"checksums", json::array()}};
  for (const std::uint64_t sum : checksums) all["checksums"].push_back(checksum_text(sum));
  if (names) all["names"] = names_text(*names);
  if (!tensors.empty()) all["tensors"] = tensors_text(tensors);
  return json_text(all);
}

Agreement Agreement::from_json(std::string_view text, const std::string& what) {
  return from_text(text, what, [&](const json& all) {
    Agreement out;
    out.error = all.value("error", "");
    if (!out.error.empty()) {
      out.code = code_from_string(all.at("code").get<std::string>());
      return out;
    }
    out.not_lines = whole_numbers(all.value("not_lines", json::array()));
    if (!out.not_lines.empty()) return out;
    out.features = whole_number(all.at("features"));
    all.at("labelled").get_to(out.labelled);
    all.at("targets").get_to(out.targets);
    out.form = all.at("sparse").get<bool>() ? Form::sparse : Form::dense;
    out.part_rows = whole_numbers(all.at("part_rows"));
    out.id = checksum_from(all.at("id").get<std::string>()).value();
    all.at("notices").get_to(out.notices);
    for (const json& sum : all.at("checksums"))
      out.checksums.push_back(checksum_from(sum.get<std::string>()).value());
    out.tensors = tensors_from(all.value("tensors", ""), what);
    if (all.contains("names"))
      out.names = names_from(all["names"].get<std::string>(), out.features, what);
    return out;
  });
}

namespace {

/// More different texts of a column are no categories: as within one file.
constexpr std::size_t kMostCategories = 10'000;
/// Columns are numbered by 32 bits.
constexpr std::uint64_t kMostCols = std::uint64_t{1} << 32U;

/// Combines findings.
class Combination {
 public:
  Combination(const std::vector<Findings>& all, const BlockPlan& plan, const BlockParts& parts,
              const BlockSource& source)
      : plan_(plan), parts_(parts), source_(source), blocks_(parts.blocks().size()) {
    std::vector<std::shared_ptr<const Names>> names;
    std::vector<std::string> whose;
    for (const Findings& own : all) {
      require_of_this_plan(own);
      take_blocks(own.blocks);
      features_ = std::max(features_, own.features);
      nonzeros_ += own.nonzeros;
      any_sparse_ |= own.any_sparse;
      targets_ |= own.targets;
      earlier(labelled_, own.labelled);
      earlier(unlabelled_, own.unlabelled);
      earlier(weighted_, own.weighted);
      earlier(unweighted_, own.unweighted);
      earlier(tensors_, own.tensors);
      if (own.fault && (!fault_ || is_before(*own.fault, *fault_))) fault_ = own.fault;
      for (const std::uint64_t file : own.not_lines) not_lines_.push_back(file);
      for (const auto& [name, sum] : own.sums) {
        sums_[name].sum += sum.sum;
        sums_[name].count += sum.count;
      }
      if (own.constants) keep_common(constants_, *own.constants);
      if (!own.labelled && !own.unlabelled) continue;
      names.push_back(own.names);
      whose.push_back(plan.files.front().display());
    }
    if (!names.empty()) names_ = united(names, whose);
  }

  Agreement result() {
    Agreement out;
    out.not_lines = not_lines_;
    std::sort(out.not_lines.begin(), out.not_lines.end());
    out.not_lines.erase(std::unique(out.not_lines.begin(), out.not_lines.end()),
                        out.not_lines.end());
    if (!out.not_lines.empty()) return out;
    if (fault_) read_fault();
    require_all_blocks();
    require_labels();
    require_weights();
    require_tensors();
    out.labelled = labelled_.has_value() && !plan_.model.ignore_labels;
    out.targets = targets_ && out.labelled;
    if (!tensors_.empty()) out.tensors = tensors_from(tensors_.begin()->first, "findings");
    if (plan_.is_for_model()) {
      out.features = plan_.model.features;
      out.tensors.inputs = plan_.model.tensors;
      out.names = plan_.model.names ? plan_.model.names : names_of_cols(names_, out.features);
      notice_unknown_categories(out);
    } else {
      require_categories();
      out.features = names_ && !names_->features.empty() ? names_->features.size() : features_;
      out.names = with_fills();
    }
    std::uint64_t rows = 0;
    for (std::size_t part = 0; part < parts_.parts(); ++part) {
      out.part_rows.push_back(rows_of_part(part));
      rows += out.part_rows.back();
    }
    require_rows(out.part_rows, rows);
    out.form = source_.form_of(rows, features_, nonzeros_, any_sparse_);
    notice_constants(out, rows);
    notice_texts(out, rows);
    identify(out);
    return out;
  }

 private:
  const Block& block(std::uint64_t at) const {
    return parts_.blocks().at(static_cast<std::size_t>(at));
  }
  const StoredFile& file_of(std::uint64_t at) const { return plan_.files[block(at).file]; }
  bool is_before(std::uint64_t a, std::uint64_t b) const {
    return std::pair(block(a).file, block(a).begin) < std::pair(block(b).file, block(b).begin);
  }

  /// Throws data_corrupt for findings that cannot be of this plan's blocks.
  void require_of_this_plan(const Findings& own) const {
    constexpr std::uint64_t kMostRows = std::uint64_t{1} << 40U;
    const auto require = [](bool possible) {
      if (!possible) fail(Code::data_corrupt, "what a worker has found is of other data");
    };
    for (const Findings::OfBlock& found : own.blocks)
      require(found.block < blocks_.size() && found.rows <= kMostRows);
    for (const auto& named :
         {own.labelled, own.unlabelled, own.weighted, own.unweighted, own.fault})
      require(!named || *named < blocks_.size());
    for (const auto& [shapes, named] : own.tensors) require(named < blocks_.size());
    for (const std::uint64_t file : own.not_lines) require(file < plan_.files.size());
    require(own.features <= kMostCols);
  }

  void take_blocks(const std::vector<Findings::OfBlock>& own) {
    for (const Findings::OfBlock& found : own)
      blocks_[static_cast<std::size_t>(found.block)] = found;
  }

  void require_all_blocks() const {
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      if (!blocks_[i])
        fail(Code::data_corrupt, "no worker says what it read in block {} of the data", i);
  }

  /// Throws the error of the first block by file that cannot be read.
  void read_fault() {
    const Block& at = block(*fault_);
    std::uint64_t lines = 0, rows = 0;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (!blocks_[i] || block(i).file != at.file || block(i).begin >= at.begin) continue;
      lines += blocks_[i]->line_ends;
      rows += blocks_[i]->rows;
    }
    source_.rows_of(at, source_.load(at), lines, rows);
    fail(Code::data_corrupt,
         "reading {}: its bytes {} to {} could not be read, and then could: it was changed "
         "meanwhile; begin again",
         file_of(*fault_).display(), at.begin, at.end);
  }

  std::string place(std::uint64_t at) const {
    return fmt::format("{}, bytes {} to {}", file_of(at).display(), block(at).begin, block(at).end);
  }

  void require_labels() const {
    if (plan_.model.ignore_labels || !labelled_ || !unlabelled_) return;
    fail(Code::data_corrupt,
         "{}: rows have labels, while those of {} have none: label all rows or "
         "none",
         place(*labelled_), place(*unlabelled_));
  }

  void require_weights() const {
    if (weighted_ && unweighted_)
      fail(Code::invalid_argument,
           "{}: its rows have no weights, unlike those of other files of the set",
           file_of(*unweighted_).display());
  }

  void require_tensors() const {
    if (tensors_.size() < 2) return;
    const auto a = tensors_.begin(), b = std::next(a);
    const auto kind = [](const std::string& text) {
      return text.empty() ? std::string("features") : tensors_from(text, "findings").text();
    };
    fail(Code::invalid_argument,
         "{}: its rows are {}, and those of {} are {}: rows of one set have the same tensors "
         "(images are brought to one size by --image-size)",
         file_of(a->second).display(), kind(a->first), file_of(b->second).display(),
         kind(b->first));
  }

  void require_categories() const {
    if (!names_) return;
    const std::shared_ptr<const Names> columns = names_of_reader();
    const NumberColumns numbers(columns.get());
    std::unordered_map<std::string_view, std::size_t> counts;
    std::size_t most = names_->labels.size();
    std::string column = names_->label;
    for (const std::string& feature : names_->features)
      if (!numbers.has(feature) && ++counts[column_of_feature(feature)] > most) {
        most = counts[column_of_feature(feature)];
        column = column_of_feature(feature);
      }
    if (most > kMostCategories)
      fail(Code::data_corrupt,
           "{}: column '{}': it has more than {} different texts: they are no categories; remove "
           "the column",
           plan_.files.front().display(), printable(column, 60), human_count(kMostCategories));
    if (names_->features.size() > kMostNames)
      fail(Code::resource_exhausted, "{}: {} features with names are more than {}",
           plan_.files.front().display(), names_->features.size(), kMostNames);
  }

  void notice_constants(Agreement& out, std::uint64_t rows) const {
    if (plan_.is_for_model() || !constants_) return;
    // Rows of a block may be dense where all rows are sparse, and 0 is no value then.
    const auto is_told = [&](float value) { return value != 0 || out.form == Form::dense; };
    std::vector<std::string> columns;
    if (out.names && !out.names->features.empty()) {
      const std::vector<std::string>& names = out.names->features;
      for (std::size_t c = 0; c < names.size(); ++c)
        if (const auto at = constants_->find(names[c]);
            at != constants_->end() && is_told(at->second))
          columns.push_back(column_text(out.names.get(), c));
    } else {
      for (const auto& [column, value] : *constants_)
        if (const auto* index = std::get_if<std::uint64_t>(&column); index && is_told(value))
          columns.push_back(column_text(nullptr, static_cast<std::size_t>(*index)));
    }
    const std::string& what = plan_.files.front().display();
    if (auto notice = notice_of_constants(what, rows, columns))
      out.notices.push_back(*std::move(notice));
  }

  void notice_texts(Agreement& out, std::uint64_t rows) const {
    if (plan_.is_for_model()) return;
    if (auto notice = notice_of_texts(plan_.files.front().display(), rows, out.names.get()))
      out.notices.push_back(*std::move(notice));
  }

  void notice_unknown_categories(Agreement& out) const {
    if (!names_ || !plan_.model.names) return;
    std::string unknown;
    std::size_t count = 0;
    const std::vector<std::string>& known = plan_.model.names->features;
    for (const std::string& feature : names_->features)
      if (is_category(feature) && std::find(known.begin(), known.end(), feature) == known.end() &&
          ++count <= 5)
        unknown += fmt::format("{}'{}'", count > 1 ? ", " : "", printable(feature, 40));
    if (count > 0)
      out.notices.push_back(fmt::format(
          "{}: the model does not know {}{}; such rows have none of the column's categories",
          plan_.files.front().display(), unknown, count > 5 ? " …" : ""));
  }

  /// What the columns are called, texts with a `=` behind; null if they have no names.
  std::shared_ptr<const Names> names_of_reader() const {
    return source_.reader() == nullptr ? nullptr : source_.reader()->names();
  }

  std::shared_ptr<const Names> with_fills() const {
    const BlockReader* reader = source_.reader();
    if (!names_ || reader == nullptr || reader->fill() == BlockReader::Fill::nothing) return names_;
    const std::shared_ptr<const Names> columns = names_of_reader();
    const NumberColumns numbers(columns.get());
    auto out = std::make_shared<Names>(*names_);
    out->fills.clear();
    for (const std::string& feature : out->features) {
      const auto sum = sums_.find(feature);
      const bool of_numbers = numbers.has(feature);
      if (of_numbers && (sum == sums_.end() || sum->second.count == 0))
        fail(Code::data_corrupt, "{}: column '{}': every value is missing: remove the column",
             plan_.files.front().display(), printable(feature, 60));
      const bool is_mean = of_numbers && reader->fill() == BlockReader::Fill::mean;
      out->fills.push_back(is_mean ? static_cast<float>(sum->second.sum / sum->second.count)
                                   : 0.0F);
    }
    return out;
  }

  std::uint64_t rows_of_part(std::size_t part) const {
    std::uint64_t rows = 0;
    for (const Piece& piece : parts_.of_part(part)) {
      const auto [first, last] = piece.rows_of(blocks_[piece.block]->rows, block(piece.block));
      rows += last - first;
    }
    return rows;
  }

  void require_rows(const std::vector<std::uint64_t>& part_rows, std::uint64_t rows) const {
    if (rows == 0)
      fail(Code::data_corrupt, "reading {}: the data set is empty; give one with rows",
           plan_.files.front().display());
    const auto empty = std::find(part_rows.begin(), part_rows.end(), 0U);
    if (empty != part_rows.end())
      fail(Code::invalid_argument,
           "{}: {} rows ({} blocks of text) are too few for {} parts; use fewer with --workers or "
           "--parts",
           plan_.files.front().display(), rows, blocks_.size(), part_rows.size());
  }

  void identify(Agreement& out) const {
    RunningChecksum set;
    const auto add = [](RunningChecksum& sum, std::uint64_t number) {
      sum.add(std::as_bytes(std::span(&number, 1)));
    };
    for (const auto& found : blocks_) add(set, found->checksum);
    add(set, parts_.parts());
    if (out.names) set.add(as_bytes(names_text(*out.names)));
    out.id = set.value();
    std::vector<std::size_t> by_file(blocks_.size());
    for (std::size_t i = 0; i < by_file.size(); ++i) by_file[i] = i;
    std::sort(by_file.begin(), by_file.end(),
              [&](std::size_t a, std::size_t b) { return is_before(a, b); });
    std::vector<RunningChecksum> files(plan_.files.size());
    for (const std::size_t i : by_file) add(files[block(i).file], blocks_[i]->checksum);
    for (const RunningChecksum& file : files) out.checksums.push_back(file.value());
  }

  const BlockPlan& plan_;
  const BlockParts& parts_;
  const BlockSource& source_;
  std::vector<std::optional<Findings::OfBlock>> blocks_;
  std::uint64_t features_ = 0;
  std::uint64_t nonzeros_ = 0;
  bool any_sparse_ = false;
  bool targets_ = false;
  std::shared_ptr<const Names> names_;
  std::optional<std::uint64_t> labelled_, unlabelled_, weighted_, unweighted_, fault_;
  std::map<std::string, std::uint64_t> tensors_;
  std::vector<std::uint64_t> not_lines_;
  std::map<std::string, Findings::Sum> sums_;
  std::optional<std::map<Findings::Column, float>> constants_;
};

}  // namespace

Agreement agree(const std::vector<Findings>& all, const BlockPlan& plan, const BlockParts& parts,
                const BlockSource& source) {
  try {
    return Combination(all, plan, parts, source).result();
  } catch (const Error& error) {
    if (!is_bad_input(error.code()) && error.code() != Code::resource_exhausted) throw;
    return {.error = error.what(), .code = error.code()};
  }
}

}  // namespace lambdaml::data
