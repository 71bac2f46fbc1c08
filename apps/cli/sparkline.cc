#include "apps/cli/sparkline.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace lambdaml::cli {

std::string sparkline(std::span<const double> values, std::size_t columns) {
  static constexpr std::array<std::string_view, 8> kBlocks = {"▁", "▂", "▃", "▄",
                                                              "▅", "▆", "▇", "█"};
  std::vector<double> finite;
  std::ranges::copy_if(values, std::back_inserter(finite),
                       [](double v) { return std::isfinite(v); });
  if (finite.size() < 2 || columns < 2) return {};
  const std::size_t shown = std::min(columns, finite.size());
  std::vector<double> means(shown);
  for (std::size_t i = 0; i < shown; ++i) {
    const std::size_t begin = i * finite.size() / shown, end = (i + 1) * finite.size() / shown;
    for (std::size_t k = begin; k < end; ++k) means[i] += finite[k];
    means[i] /= static_cast<double>(end - begin);
  }
  const auto [low, high] = std::ranges::minmax(means);
  std::string out;
  for (const double mean : means) {
    const double part = high > low ? (mean - low) / (high - low) : 0;
    out += kBlocks[std::min(kBlocks.size() - 1,
                            static_cast<std::size_t>(part * static_cast<double>(kBlocks.size())))];
  }
  return out;
}

bool has_blocks() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') {
      const std::string_view locale(value);
      return locale.find("UTF-8") != std::string_view::npos ||
             locale.find("utf8") != std::string_view::npos;
    }
  return false;
}

}  // namespace lambdaml::cli
