#include "lambdaml/control/leftover.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "lambdaml/base/text.h"

namespace lambdaml::control {
namespace {

std::mutex g_leftover_mutex;
std::vector<const std::string*> g_leftover_texts;  ///< guarded by g_leftover_mutex

}  // namespace

Leftover::Leftover(std::string text) : text_(std::move(text)) {
  const std::lock_guard lock(g_leftover_mutex);
  g_leftover_texts.push_back(&text_);
}

Leftover::~Leftover() {
  const std::lock_guard lock(g_leftover_mutex);
  std::erase(g_leftover_texts, &text_);
}

std::string leftovers() {
  const std::lock_guard lock(g_leftover_mutex);
  std::vector<std::string> texts;
  for (const std::string* text : g_leftover_texts) texts.push_back(*text);
  return join(texts, "; ");
}

}  // namespace lambdaml::control
