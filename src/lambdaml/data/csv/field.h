#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/data/dataset.h"
#include "lambdaml/data/text/number.h"

/// Fields of comma-separated values (RFC 4180): a field with a delimiter, a quote or a line end
/// stands in quotes, and a quote inside is doubled. Blanks around a field do not belong to it.
namespace lambdaml::data::csv {

/// An error in a text, and where it is.
struct Fault {
  const char* at = nullptr;
  std::size_t column = 0;
  std::string message;
};

struct Field {
  std::string_view text;  ///< without quotes and blanks around; in the text or in `unquoted`
  const char* end;        ///< the delimiter or line end behind it
};

/// The field at `p` of a text that ends at `end` with a newline. Throws Fault (without a column)
/// for a quote that is not closed, or not at the field's begin.
Field read_field(const char* p, const char* end, char delimiter, std::string& unquoted);

/// Whether a value is missing: empty, or a word that stands for it (NA, NaN, null, None, N/A). A
/// question mark stands for it among numbers only.
bool is_missing(std::string_view text, bool among_numbers);

/// The number, as the nearest float, or nullopt if the text is none in full or it is out of range.
std::optional<float> number_in(std::string_view text);

/// Why a text is no number, and what to do.
std::string no_number(std::string_view text);

}  // namespace lambdaml::data::csv
