#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"

/// Pictures in files, decoded by libjpeg-turbo and libpng, which are loaded on first use.
namespace lambdaml::data::images {

/// Larger ones are refused before anything is decoded: a file of some bytes may claim any size.
constexpr std::size_t kMostPixels = std::size_t{1} << 26;

/// Pixels row by row, each with its channels side by side.
struct Picture {
  std::size_t width = 0;
  std::size_t height = 0;
  std::size_t channels = 3;  ///< 3: red, green, blue; 1: grey
  std::vector<std::uint8_t> pixels;
};

bool is_jpeg(Bytes head);
bool is_png(Bytes head);

/// Decodes a JPEG or PNG. Of a JPEG, sides may be halved up to three times while they stay at least
/// `enough` pixels, which saves most of the time for large ones; 0: never. Throws data_corrupt,
/// naming `what`, for damage, other files and more than kMostPixels; unavailable if this machine
/// does not have the library. Transparent pixels are put on white. Any thread.
Picture decode(Bytes file, std::size_t channels, std::size_t enough, const std::string& what);

/// The picture as a PNG, without loss.
Buffer encode_png(const Picture& picture);

}  // namespace lambdaml::data::images
