#include "lambdaml/report/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"

namespace lambdaml::report {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;
using testing::Not;

TEST(ReportPage, EscapesTheDocumentWithoutChangingIt) {
  const ordered_json document{{"text", "</script><!-- & \xe2\x80\xa8\xe2\x80\xa9 \"quoted\" שלום"}};
  const std::string escaped = json_for_script(json_text(document));
  EXPECT_EQ(escaped.find_first_of("<>&"), std::string::npos);
  EXPECT_THAT(escaped, Not(HasSubstr("\xe2\x80\xa8")));
  EXPECT_EQ(parse_ordered_json(escaped), document);
}

/// The page without the chart library.
std::string own_part(const std::string& page) {
  const std::size_t begin = page.find("<script>"), end = page.find("</script>");
  return page.substr(0, begin) + page.substr(end);
}

TEST(ReportPage, NeedsNoNetwork) {
  const std::string page = page_of({{"items", ordered_json::array()}});
  EXPECT_THAT(page, Not(HasSubstr("/*SCRIPT*/")));
  EXPECT_THAT(page, Not(HasSubstr("/*LIBRARY*/")));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  const std::string own = own_part(page);
  for (const char* name :
       {"http:", "https:", "src=\"", "@import", "url(", "fetch(", "XMLHttpRequest", "import("})
    EXPECT_THAT(own, Not(HasSubstr(name)));
  EXPECT_LT(page.size(), 400'000U);
}

TEST(ReportPage, HasTheDocumentInAScriptOfData) {
  const std::string page = page_of({{"items", {{{"place", "</script><b>"}}}}});
  const std::string begin = "<script type=\"application/json\" id=\"document\">";
  const std::size_t at = page.find(begin) + begin.size();
  const std::string text = page.substr(at, page.find("</script>", at) - at);
  EXPECT_EQ(parse_json(text)["items"][0]["place"], "</script><b>");
}

}  // namespace
}  // namespace lambdaml::report
