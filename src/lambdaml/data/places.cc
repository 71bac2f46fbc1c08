#include "lambdaml/data/places.h"

#include <filesystem>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::data {
namespace {

/// The texts between commas; those after a comma in the hosts of a URI (`scheme://a:1,b:2/0`)
/// belong to it.
std::vector<std::string> pieces_of(std::string_view text) {
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::path(text), ignored)) return {std::string(text)};
  std::vector<std::string> out;
  for (std::string& piece : lambdaml::split(text, ',')) {
    const auto is_uri = [](const std::string& t) { return t.find("://") != std::string::npos; };
    if (!out.empty() && is_uri(out.back()) && !is_uri(piece))
      out.back() += "," + piece;
    else
      out.push_back(std::move(piece));
  }
  return out;
}

}  // namespace

Places Places::parse(std::string_view text) {
  std::vector<Uri> uris;
  for (const std::string& piece : pieces_of(text)) {
    if (piece.empty())
      fail(Code::invalid_argument, "'{}': a place of data between commas is empty",
           printable(text, 80));
    uris.push_back(Uri::parse(piece == "-" ? "/dev/stdin" : piece));
  }
  return Places(std::move(uris));
}

std::string Places::text() const {
  std::string out;
  for (const Uri& uri : uris) {
    if (!out.empty()) out += ',';
    out += uri.text();
  }
  return out;
}

std::string Places::display() const {
  std::string out = uris[0].display();
  if (several()) out += fmt::format(" and {} more", uris.size() - 1);
  return out;
}

}  // namespace lambdaml::data
