#include "lambdaml/base/formats/yaml.h"

#include <map>
#include <sstream>
#include <vector>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml {
namespace {

constexpr std::size_t kMostBytes = 1U << 20U;
constexpr std::size_t kMostDepth = 64;
constexpr std::uint64_t kMostNodes = 100'000;

/// Sees a document's nodes before they are built. An anchor counts as all nodes that its aliases
/// expand to: nine nested lists of nine aliases each would be a thousand million nodes to a caller
/// that walks them.
class Limits final : public YAML::EventHandler {
 public:
  explicit Limits(const std::string& what) : what_(what) {}

  int begin_line() const { return begin_.line + 1; }

  void OnDocumentStart(const YAML::Mark& mark) override { begin_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(mark, anchor); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                const std::string&) override {
    leaf(mark, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = sizes_.find(anchor);
    if (known == sizes_.end()) refuse(mark, "an alias stands within what it names");
    add(mark, known->second);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YAML::anchor_t anchor;
    std::uint64_t nodes_before;
  };

  [[noreturn]] void refuse(const YAML::Mark& mark, std::string_view why) const {
    fail(Code::invalid_argument, "{}:{}: {}", what_, mark.line + 1, why);
  }
  void add(const YAML::Mark& mark, std::uint64_t nodes) {
    nodes_ += nodes;
    if (nodes_ > kMostNodes)
      refuse(mark, fmt::format("here it exceeds {} values, aliases counted as what they stand for",
                               kMostNodes));
  }
  void leaf(const YAML::Mark& mark, YAML::anchor_t anchor) {
    add(mark, 1);
    sizes_[anchor] = 1;
  }
  void open(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (open_.size() == kMostDepth)
      refuse(mark, fmt::format("it nests deeper than {} levels", kMostDepth));
    open_.push_back({anchor, nodes_});
    add(mark, 1);
  }
  void close() {
    sizes_[open_.back().anchor] = nodes_ - open_.back().nodes_before;
    open_.pop_back();
  }

  const std::string& what_;
  YAML::Mark begin_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, std::uint64_t> sizes_;
  std::uint64_t nodes_ = 0;
};

}  // namespace

YAML::Node load_yaml(std::string_view text, const std::string& what) {
  if (text.size() > kMostBytes)
    fail(Code::invalid_argument, "{}: it has {}, and {} is the most", what,
         human_bytes(text.size()), human_bytes(kMostBytes));
  const std::string copy(text);
  try {
    // YAML::LoadAll() is unusable here: for text that is not YAML, such as a comma, it returns
    // empty documents without end (jbeder/yaml-cpp#1040).
    std::istringstream stream(copy);
    YAML::Parser parser(stream);
    Limits limits(what);
    if (parser.HandleNextDocument(limits) && parser.HandleNextDocument(limits))
      fail(Code::invalid_argument,
           "{}:{}: it must be one YAML document, and from here on it is another, or none", what,
           limits.begin_line());
    return YAML::Load(copy);
  } catch (const YAML::Exception& error) {
    fail(Code::invalid_argument, "{}:{}: {}", what, error.mark.line + 1, printable(error.msg));
  }
}

}  // namespace lambdaml
