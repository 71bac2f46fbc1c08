#include "lambdaml/model/script_file.h"

#include <string_view>

#include "lambdaml/base/error.h"

namespace lambdaml::model {
namespace {

constexpr const char* kExport = "export the module in Python: torch.jit.script(net).save('net.pt')";

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// A pickle of the protocols 2 to 5 begins with its number; torch.save() wrote such files before
/// version 1.6.
bool is_pickle(std::string_view text) {
  return text.size() > 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
}

/// Names of a zip's entries are not compressed, so that they can be found without reading it.
bool is_zip_of_pickle(std::string_view text) {
  return text.starts_with("PK\x03\x04") && contains(text, "/data.pkl") &&
         !contains(text, "/code/") && !contains(text, "/constants.pkl");
}

bool is_safetensors(std::string_view text) {
  return text.size() > 9 && text[8] == '{' && contains(text.substr(0, 1 << 16), "\"data_offsets\"");
}

}  // namespace

void require_script_file(Bytes file, const std::string& what) {
  const std::string_view text = as_text(file);
  if (is_pickle(text) || is_zip_of_pickle(text))
    fail(Code::invalid_argument,
         "{}: torch.save() wrote it (weights, or a pickled module), and that is no TorchScript: {}",
         what, kExport);
  if (is_safetensors(text))
    fail(Code::invalid_argument,
         "{}: a safetensors file holds weights without the module's code: load them and {}", what,
         kExport);
}

}  // namespace lambdaml::model
