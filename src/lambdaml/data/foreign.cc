#include "lambdaml/data/foreign.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "lambdaml/base/error.h"

namespace lambdaml::data {
namespace {

struct Foreign {
  std::string_view begin;
  std::string_view what;
  std::string_view remedy;  ///< a command; {} is the file's name
};

using namespace std::string_view_literals;

constexpr std::string_view kFromUtf32 = "iconv -f UTF-32 -t UTF-8 {}";
constexpr std::string_view kFromUtf16 = "iconv -f UTF-16 -t UTF-8 {}";
constexpr std::string_view kFromExcel = "libreoffice --headless --convert-to csv {}";

constexpr std::string_view kFromParquet =
    "python3 -c \"import pandas; pandas.read_parquet('{}').to_csv('{}.csv', index=False)\"";
constexpr std::string_view kFromArrow =
    "python3 -c \"import pandas; pandas.read_feather('{}').to_csv('{}.csv', index=False)\"";
constexpr std::string_view kFromHdf =
    "python3 -c \"import pandas; pandas.read_hdf('{}').to_csv('{}.csv', index=False)\"";

constexpr std::string_view kFromSqlite = "sqlite3 -header -csv {} 'SELECT * FROM TABLE' > {}.csv";
/// A pickle is never read here: it may run code.
constexpr std::string_view kFromPickle =
    "numpy.savez or pandas' to_csv, in the Python that made it";

constexpr std::array kForeign{
    Foreign{"PAR1", "it is a Parquet file", kFromParquet},
    Foreign{"ARROW1", "it is an Arrow file", kFromArrow},
    Foreign{"FEA1", "it is a Feather file", kFromArrow},
    Foreign{"\x89HDF\r\n", "it is an HDF5 file", kFromHdf},
    Foreign{"\xd0\xcf\x11\xe0\xa1\xb1", "it is an Excel file", kFromExcel},
    Foreign{"7z\xbc\xaf\x27\x1c", "it is a 7z archive", "7z x {}"},
    Foreign{"\x04\x22\x4d\x18", "it is an LZ4 file", "lz4 -d {}"},
    Foreign{"SQLite format 3\0"sv, "it is an SQLite database", kFromSqlite},
    Foreign{"\x80\x02", "it is a pickled Python object", kFromPickle},
    Foreign{"\x80\x03", "it is a pickled Python object", kFromPickle},
    Foreign{"\x80\x04\x95", "it is a pickled Python object", kFromPickle},
    Foreign{"\x80\x05\x95", "it is a pickled Python object", kFromPickle},
    Foreign{"\xff\xfe\0\0"sv, "its text is UTF-32", kFromUtf32},
    Foreign{"\0\0\xfe\xff"sv, "its text is UTF-32", kFromUtf32},
    Foreign{"\xff\xfe", "its text is UTF-16", kFromUtf16},
    Foreign{"\xfe\xff", "its text is UTF-16", kFromUtf16},
};

/// UTF-16 without its mark: every other byte of text in Latin letters is 0.
std::string_view utf16_without_mark(Bytes head) {
  const std::size_t n = std::min<std::size_t>(head.size() / 2 * 2, 200);
  std::array<std::size_t, 2> zeros{};
  for (std::size_t i = 0; i < n; ++i) zeros[i % 2] += head[i] == std::byte{0} ? 1 : 0;
  if (n < 4) return "";
  if (zeros[0] == 0 && zeros[1] * 4 >= n / 2 * 3) return "iconv -f UTF-16LE -t UTF-8 {}";
  if (zeros[1] == 0 && zeros[0] * 4 >= n / 2 * 3) return "iconv -f UTF-16BE -t UTF-8 {}";
  return "";
}

[[noreturn]] void refuse(std::string_view found, std::string_view remedy, const std::string& what) {
  const std::string file = what.starts_with("/dev/") ? "FILE" : what.substr(what.rfind('/') + 1);
  std::string command(remedy);
  for (std::size_t at = command.find("{}"); at != std::string::npos; at = command.find("{}"))
    command.replace(at, 2, file);
  fail(Code::data_corrupt, "reading {}: {}, which is not read; convert it with: {}", what, found,
       command);
}

}  // namespace

void refuse_foreign(Bytes head, const std::string& what) {
  const std::string_view text = as_text(head);
  for (const Foreign& foreign : kForeign)
    if (text.starts_with(foreign.begin)) refuse(foreign.what, foreign.remedy, what);
  constexpr std::size_t kTarMark = 257;
  if (text.substr(std::min(text.size(), kTarMark)).starts_with("ustar"))
    refuse("it is a tar archive", "tar xf {}", what);
  if (text.starts_with("PK\x03\x04")) {
    const bool excel = text.find("[Content_Types].xml") != std::string_view::npos ||
                       text.find("xl/") != std::string_view::npos;
    if (excel) refuse("it is an Excel file", kFromExcel, what);
    refuse("it is a zip archive", "unzip {}", what);
  }
  if (const std::string_view remedy = utf16_without_mark(head); !remedy.empty())
    refuse("its text is UTF-16", remedy, what);
}

}  // namespace lambdaml::data
