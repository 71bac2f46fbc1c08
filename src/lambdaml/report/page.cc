#include "lambdaml/report/page.h"

#include <string_view>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

namespace lambdaml::report {

/// Files of page/, embedded by the build.
extern const char* const kTemplate;
extern const char* const kStyle;
extern const char* const kScript;
/// The chart library.
extern const char* const kLibrary;

namespace {

/// Puts `text` in the place of `mark`, which stands once in the template.
void put(std::string& page, std::string_view mark, std::string_view text) {
  const std::size_t at = page.find(mark);
  if (at == std::string::npos) fail(Code::internal, "the page of reports has no place {}", mark);
  page.replace(at, mark.size(), text);
}

}  // namespace

std::string json_for_script(std::string json) {
  std::string out;
  out.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    const std::string_view rest = std::string_view(json).substr(i);
    if (rest[0] == '<')
      out += "\\u003c";
    else if (rest[0] == '>')
      out += "\\u003e";
    else if (rest[0] == '&')
      out += "\\u0026";
    else if (rest.starts_with("\xe2\x80\xa8") || rest.starts_with("\xe2\x80\xa9"))
      out += rest[2] == '\xa8' ? "\\u2028" : "\\u2029", i += 2;
    else
      out += rest[0];
  }
  return out;
}

std::string with_components(std::string page) {
  // From the last place to the first, so that no mark is searched for in what was put in.
  put(page, "/*SCRIPT*/", kScript);
  put(page, "/*LIBRARY*/", kLibrary);
  put(page, "/*STYLE*/", kStyle);
  return page;
}

std::string page_of(const nlohmann::ordered_json& document) {
  std::string page = kTemplate;
  put(page, "/*DOCUMENT*/", json_for_script(json_text(document)));
  return with_components(std::move(page));
}

}  // namespace lambdaml::report
