#include "lambdaml/data/images/decode.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <png.h>
#include <turbojpeg.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/programs/shared_library.h"
#include "lambdaml/base/sonames.h"
#include "lambdaml/base/text.h"

namespace lambdaml::data::images {
namespace {

struct JpegLibrary : SharedLibrary {
  JpegLibrary() : SharedLibrary(soname::kTurbojpeg, "reading a JPEG file") {}

  decltype(&::tjInitDecompress) init = find("tjInitDecompress");
  decltype(&::tjDestroy) destroy = find("tjDestroy");
  decltype(&::tjDecompressHeader3) header = find("tjDecompressHeader3");
  decltype(&::tjDecompress2) decompress = find("tjDecompress2");
  decltype(&::tjGetErrorStr2) error = find("tjGetErrorStr2");
};

const JpegLibrary& libjpeg() {
  static const JpegLibrary library;
  return library;
}

struct PngLibrary : SharedLibrary {
  PngLibrary() : SharedLibrary(soname::kPng, "reading or writing a PNG file") {}

  decltype(&::png_image_begin_read_from_memory) begin = find("png_image_begin_read_from_memory");
  decltype(&::png_image_finish_read) finish = find("png_image_finish_read");
  decltype(&::png_image_free) free = find("png_image_free");
  decltype(&::png_image_write_to_memory) write = find("png_image_write_to_memory");
};

const PngLibrary& libpng() {
  static const PngLibrary library;
  return library;
}

[[noreturn]] void broken(const std::string& what, std::string_view why) {
  fail(Code::data_corrupt,
       "reading {}: the image is broken: {}: repair or remove it, or leave such out by "
       "--skip-broken",
       what, printable(why, 200));
}

void require_size(std::size_t width, std::size_t height, const std::string& what) {
  if (width == 0 || height == 0) broken(what, "it has no pixels");
  if (width > kMostPixels / height)
    fail(Code::data_corrupt,
         "reading {}: the image claims to have {} × {} pixels, and at most 64 million are read: "
         "scale it down",
         what, width, height);
}

/// Luma by ITU-R BT.601, as JPEG has it.
std::uint8_t grey_of(const std::uint8_t* rgb) {
  return static_cast<std::uint8_t>((299U * rgb[0] + 587U * rgb[1] + 114U * rgb[2] + 500U) / 1000U);
}

void make_grey(Picture& picture) {
  const std::size_t n = picture.width * picture.height;
  for (std::size_t i = 0; i < n; ++i) picture.pixels[i] = grey_of(picture.pixels.data() + 3 * i);
  picture.pixels.resize(n);
  picture.channels = 1;
}

int halved(int side, int times) { return (side + (1 << times) - 1) >> times; }

/// How often both sides can be halved and stay long enough.
int halvings(int width, int height, std::size_t enough) {
  int times = 0;
  while (enough > 0 && times < 3 &&
         static_cast<std::size_t>(halved(std::min(width, height), times + 1)) >= enough)
    ++times;
  return times;
}

/// In files, the four inks are inverted: 255 is none.
void from_inks(Picture& picture, const std::vector<std::uint8_t>& inks) {
  for (std::size_t i = 0; i < picture.width * picture.height; ++i)
    for (std::size_t c = 0; c < 3; ++c)
      picture.pixels[3 * i + c] =
          static_cast<std::uint8_t>(inks[4 * i + c] * inks[4 * i + 3] / 255U);
}

Picture decode_jpeg(Bytes file, std::size_t channels, std::size_t enough, const std::string& what) {
  const std::unique_ptr<void, decltype(&::tjDestroy)> handle(libjpeg().init(), libjpeg().destroy);
  if (!handle) throw std::bad_alloc();
  const auto* const bytes = reinterpret_cast<const unsigned char*>(file.data());
  int width = 0, height = 0, subsampling = 0, colours = 0;
  if (libjpeg().header(handle.get(), bytes, file.size(), &width, &height, &subsampling, &colours) !=
      0)
    broken(what, libjpeg().error(handle.get()));
  require_size(static_cast<std::size_t>(width), static_cast<std::size_t>(height), what);
  const int times = halvings(width, height, enough);
  width = halved(width, times);
  height = halved(height, times);
  const bool has_inks = colours == TJCS_CMYK || colours == TJCS_YCCK;
  Picture out{static_cast<std::size_t>(width),
              static_cast<std::size_t>(height),
              has_inks ? 3 : channels,
              {}};
  out.pixels.resize(out.width * out.height * out.channels);
  std::vector<std::uint8_t> inks(has_inks ? out.width * out.height * 4 : 0);
  const int format = has_inks ? TJPF_CMYK : channels == 1 ? TJPF_GRAY : TJPF_RGB;
  // A file that was cut short is a warning to the library, which fills it with grey.
  constexpr int kFlags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS | TJFLAG_ACCURATEDCT;
  if (libjpeg().decompress(handle.get(), bytes, file.size(),
                           has_inks ? inks.data() : out.pixels.data(), width, 0, height, format,
                           kFlags) != 0)
    broken(what, libjpeg().error(handle.get()));
  if (has_inks) {
    from_inks(out, inks);
    if (channels == 1) make_grey(out);
  }
  return out;
}

Picture decode_png(Bytes file, std::size_t channels, const std::string& what) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, decltype(&::png_image_free)> freed(&image, libpng().free);
  if (libpng().begin(&image, file.data(), file.size()) == 0) broken(what, image.message);
  require_size(image.width, image.height, what);
  // A pixel takes a bit at least, and zlib gives up to 1,032 bytes for one.
  if (std::size_t{image.width} * image.height / 8 > file.size() * 1100)
    broken(what, "it claims more pixels than its bytes can hold");
  image.format = PNG_FORMAT_RGB;
  Picture out{image.width, image.height, 3, {}};
  out.pixels.resize(out.width * out.height * 3);
  constexpr png_color kWhite{255, 255, 255};
  if (libpng().finish(&image, &kWhite, out.pixels.data(), 0, nullptr) == 0 ||
      image.warning_or_error > 1)
    broken(what, image.message);
  if (channels == 1) make_grey(out);
  return out;
}

}  // namespace

bool is_jpeg(Bytes head) { return as_text(head).starts_with("\xff\xd8\xff"); }
bool is_png(Bytes head) { return as_text(head).starts_with("\x89PNG\r\n\x1a\n"); }

Picture decode(Bytes file, std::size_t channels, std::size_t enough, const std::string& what) {
  if (is_jpeg(file)) return decode_jpeg(file, channels, enough, what);
  if (is_png(file)) return decode_png(file, channels, what);
  broken(what, "it is neither a JPEG nor a PNG");
}

Buffer encode_png(const Picture& picture) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = picture.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  const auto write = [&](void* to) {
    if (libpng().write(&image, to, &size, 0, picture.pixels.data(), 0, nullptr) == 0)
      fail(Code::internal, "writing a PNG: {}", printable(image.message, 200));
  };
  write(nullptr);
  Buffer out(size);
  write(out.data());
  out.truncate(size);
  return out;
}

}  // namespace lambdaml::data::images
