#include "lambdaml/data/csv/sample.h"

#include <algorithm>
#include <array>
#include <set>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/csv/columns.h"
#include "lambdaml/data/text/blocks.h"

namespace lambdaml::data::csv {
namespace {

constexpr std::size_t kRecordsForDelimiter = 20;
constexpr std::array kDelimiters = {'\t', ';', '|', ','};

/// The first delimiter by which all records have the same number of fields; otherwise the one that
/// is most frequent in the first record; none if there is none in it.
std::optional<char> find_delimiter(std::string_view text) {
  std::optional<char> frequent;
  std::size_t fields = 1;
  for (const char delimiter : kDelimiters) {
    const Sample sample = sample_of(text, delimiter, kRecordsForDelimiter);
    if (sample.records.empty()) continue;
    const std::size_t n = sample.records[0].size();
    const bool even = std::all_of(sample.records.begin(), sample.records.end(),
                                  [n](const Record& record) { return record.size() == n; });
    if (even && n > 1) return delimiter;
    if (n <= fields) continue;
    fields = n;
    frequent = delimiter;
  }
  return frequent;
}

/// What the sampled records say about a column, the first one left out.
struct Content {
  std::size_t numbers = 0, texts = 0;
  bool first_is_number = false, first_is_missing = false, first_again = false;
};

Content content_of(const std::vector<Record>& records, std::size_t column) {
  Content out;
  const std::string& first = records[0][column];
  out.first_is_number = is_number_like(first);
  out.first_is_missing = is_missing(first, true);
  for (std::size_t r = 1; r < records.size(); ++r) {
    if (column >= records[r].size()) continue;
    const std::string& text = records[r][column];
    out.first_again |= text == first;
    if (is_missing(text, true)) continue;
    ++(is_number_like(text) ? out.numbers : out.texts);
  }
  return out;
}

}  // namespace

Sample sample_of(std::string_view text, char delimiter, std::size_t most) {
  Sample out;
  const char* p = text.data();
  const char* const end = p + text.size();
  std::string unquoted;
  try {
    while (p != end && out.records.size() < most) {
      if (*p == '\n' || (*p == '\r' && p[1] == '\n')) {
        p += *p == '\n' ? 1 : 2;
        continue;
      }
      Record record;
      while (true) {
        const Field field = read_field(p, end, delimiter, unquoted);
        record.emplace_back(field.text);
        p = field.end + 1;
        if (*field.end == '\n') break;
      }
      out.records.push_back(std::move(record));
      out.ends.push_back(static_cast<std::size_t>(p - text.data()));
    }
  } catch (Fault& fault) {
    out.fault = std::move(fault);
  }
  return out;
}

char delimiter_for(std::string_view text, const ReadOptions& options) {
  const std::string& wanted = options.options.text("delimiter");
  if (wanted == "tab" || wanted == "\\t") return '\t';
  if (wanted.size() == 1 && wanted != "\"" && wanted != "\n") return wanted[0];
  if (wanted != "auto")
    fail(Code::invalid_argument, "--delimiter '{}': write one character, tab or auto",
         printable(wanted, 20));
  return find_delimiter(text).value_or(',');
}

bool is_number_like(const std::string& text) {
  constexpr std::array<std::string_view, 6> kInfinite = {"inf",  "-inf",     "Inf",
                                                         "-Inf", "Infinity", "-Infinity"};
  return number_in(text).has_value() || has_comma_in_number(text) || to_real(text).has_value() ||
         std::find(kInfinite.begin(), kInfinite.end(), text) != kInfinite.end();
}

bool has_header(const std::vector<Record>& records, const ReadOptions& options) {
  const std::string& wanted = options.options.text("header");
  if (wanted != "auto") return wanted == "yes";
  if (options.names) {
    const std::vector<std::string> known = columns_named(*options.names);
    const auto is_known = [&](const std::string& text) {
      return std::find(known.begin(), known.end(), text) != known.end();
    };
    if (std::any_of(records[0].begin(), records[0].end(), is_known)) return true;
  }
  bool all_texts = true;
  bool none_again = true;
  for (std::size_t c = 0; c < records[0].size(); ++c) {
    const Content content = content_of(records, c);
    const bool is_text = !content.first_is_number && !content.first_is_missing;
    if (is_text && content.numbers > 0 && content.texts == 0) return true;
    all_texts &= is_text;
    none_again &= !content.first_again;
  }
  const std::set<std::string> different(records[0].begin(), records[0].end());
  return all_texts && none_again && different.size() == records[0].size();
}

bool looks_like_csv(std::string_view head) {
  head = without_mark(head);
  // A line that the head cuts off says little, unless it is the only one.
  std::string lines(head.substr(0, head.rfind('\n') + 1));
  if (lines.find_first_not_of("\r\n") == std::string::npos) lines = std::string(head) + "\n";
  lines.append(32, '\n');
  const std::string_view text(lines);
  // LIBSVM: after at most one token, an index and a colon.
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos || text[begin] == '#') return false;
  const std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
  std::size_t from = 0;
  for (int token = 0; token < 2 && from < line.size(); ++token) {
    const std::size_t end = std::min(line.find_first_of(" \t\r", from), line.size());
    const std::string_view word = line.substr(from, end - from);
    const std::size_t colon = word.find(':');
    if (word.starts_with("qid:") ||
        (colon != std::string_view::npos && colon != 0 &&
         word.substr(0, colon).find_first_not_of("0123456789") == std::string_view::npos))
      return false;
    from = std::min(line.find_first_not_of(" \t\r", end), line.size());
  }
  return find_delimiter(text).has_value();
}

}  // namespace lambdaml::data::csv
