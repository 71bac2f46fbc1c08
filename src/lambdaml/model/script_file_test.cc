#include "lambdaml/model/script_file.h"

#include <gmock/gmock.h>

#include "lambdaml/base/testing/testing.h"

namespace lambdaml::model {
namespace {

using ::testing::HasSubstr;

std::string complaint(const std::string& file) {
  return error_of([&] { require_script_file(as_bytes(file), "net.pt"); });
}

TEST(ScriptFile, OtherFilesOfPyTorchAreNamed) {
  const std::string zip = "PK\x03\x04";
  const std::string legacy =
      "\x80\x02\x8a\nl\xfc\x9c"
      "F\xf9 j\xa8P\x19.";
  for (const std::string& file : {zip + "....archive/data.pkl....archive/data/0", legacy}) {
    EXPECT_THAT(complaint(file), HasSubstr("net.pt: torch.save() wrote it"));
    EXPECT_THAT(complaint(file), HasSubstr("torch.jit.script(net).save('net.pt')"));
  }
  EXPECT_THAT(complaint(std::string(8, '\0') + R"({"w":{"dtype":"F32","data_offsets":[0,4]}})"),
              HasSubstr("weights without the module's code"));
}

TEST(ScriptFile, TheRestIsLeftToLibtorch) {
  const std::string zip = "PK\x03\x04";
  for (const std::string& file : {zip + "net/data.pkl..net/code/__torch__.py..net/constants.pkl",
                                  std::string("nothing"), std::string(), std::string("\x80"), zip})
    EXPECT_NO_THROW(require_script_file(as_bytes(file), "net.pt"));
}

}  // namespace
}  // namespace lambdaml::model
