#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace lambdaml::report {

/// Puts what a page is drawn with into it: the style, the chart library and the scripts that draw
/// parts of documents, in place of the comments STYLE, LIBRARY and SCRIPT, each of which stands
/// there once.
std::string with_components(std::string page);

/// A whole HTML page that shows a document of document_of(): styles, scripts, the chart library and
/// the document are in it, so it works from a disk and sends no request. What the document says
/// cannot become markup or script.
std::string page_of(const nlohmann::ordered_json& document);

/// `json` in a form that may stand within a script element: `<`, `>`, `&` and the line separators
/// of JavaScript are escaped, which changes no value.
std::string json_for_script(std::string json);

}  // namespace lambdaml::report
