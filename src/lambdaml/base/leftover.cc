#include "lambdaml/base/leftover.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "lambdaml/base/text.h"

namespace lambdaml {
namespace {

std::mutex g_mutex;
std::vector<const std::string*> g_texts;  ///< guarded by g_mutex

}  // namespace

Leftover::Leftover(std::string text) : text_(std::move(text)) {
  const std::lock_guard lock(g_mutex);
  g_texts.push_back(&text_);
}

Leftover::~Leftover() {
  const std::lock_guard lock(g_mutex);
  std::erase(g_texts, &text_);
}

std::string leftovers() {
  const std::lock_guard lock(g_mutex);
  std::vector<std::string> texts;
  for (const std::string* text : g_texts) texts.push_back(*text);
  return join(texts, "; ");
}

}  // namespace lambdaml
