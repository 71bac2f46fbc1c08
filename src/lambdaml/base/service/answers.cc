#include "lambdaml/base/service/answers.h"

#include <algorithm>
#include <atomic>

namespace lambdaml {
namespace {

std::atomic<bool> answers_are_repeated{true};

}  // namespace

bool repeats_answers() { return answers_are_repeated; }
void set_repeats_answers(bool repeats) { answers_are_repeated = repeats; }

bool is_error_code(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

}  // namespace lambdaml
