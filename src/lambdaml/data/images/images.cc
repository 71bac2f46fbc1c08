#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <set>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/images/resize.h"
#include "lambdaml/data/registry.h"

/// Images in files: JPEG and PNG. A folder whose folders have images is a set: each folder is a
/// class, and its name the label's. A folder of images has no labels. Rows are tensors of uint8,
/// [channels, height, width].
namespace lambdaml::data::images {
namespace {

constexpr std::size_t kLargestSide = 16384;

struct Size {
  std::size_t height = 0;
  std::size_t width = 0;
  bool operator==(const Size&) const = default;
};

/// What images become.
struct Settings {
  std::optional<Size> size;  ///< nullopt: that of the first one, which all must have
  Fit fit = Fit::crop;
  std::size_t channels = 3;
  bool skip_broken = false;
};

/// `224`, or `240x320`: height and width.
Size size_from(const std::string& text) {
  const std::size_t mark = text.find('x');
  const auto side = [&](std::string_view digits) -> std::size_t {
    const std::optional<std::int64_t> number = to_integer(digits);
    if (!number || *number < 1 || *number > static_cast<std::int64_t>(kLargestSide))
      fail(
          Code::invalid_argument,
          "--image-size '{}': give a side of 1 to {} pixels, as in 224, or height and width, as in "
          "240x320",
          printable(text, 40), kLargestSide);
    return static_cast<std::size_t>(*number);
  };
  const std::string_view view = text;
  if (mark == std::string::npos) return {side(view), side(view)};
  return {side(view.substr(0, mark)), side(view.substr(mark + 1))};
}

/// As the options say, and where they do not, as a model learned them.
Settings settings_of(const ReadOptions& options) {
  Settings out;
  const Options& given = options.options;
  if (!given.text("image_size").empty()) out.size = size_from(given.text("image_size"));
  out.fit = given.text("image_fit") == "pad" ? Fit::pad : Fit::crop;
  out.channels = given.text("image_colours") == "grey" ? 1 : 3;
  out.skip_broken = given.flag("skip_broken");
  if (options.tensors.size() == 1 && options.tensors[0].shape.size() == 3) {
    const std::vector<std::size_t>& shape = options.tensors[0].shape;
    if (!out.size) out.size = Size{shape[1], shape[2]};
    if (shape[0] == 1) out.channels = 1;
  }
  return out;
}

Picture picture_from(Bytes file, const Settings& settings, const std::string& what) {
  const std::size_t enough =
      settings.size ? std::max(settings.size->height, settings.size->width) : 0;
  Picture picture = decode(file, settings.channels, enough, what);
  if (!settings.size) return picture;
  return resized(std::move(picture), settings.size->width, settings.size->height, settings.fit);
}

TensorShape shape_of(std::size_t channels, const Size& size) {
  return {"image", Element::uint8, {channels, size.height, size.width}};
}

/// To channel by channel.
void copy_planes(const Picture& picture, std::byte* to) {
  const std::size_t n = picture.width * picture.height;
  for (std::size_t c = 0; c < picture.channels; ++c)
    for (std::size_t i = 0; i < n; ++i)
      *to++ = static_cast<std::byte>(picture.pixels[i * picture.channels + c]);
}

bool recognizes(Bytes head) { return is_jpeg(head) || is_png(head); }

/// One image: a set of one row.
Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  const Settings settings = settings_of(options);
  const Picture picture = picture_from(*bytes, settings, options.what);
  std::vector<TensorValues> image;
  image.push_back({shape_of(settings.channels, {picture.height, picture.width}),
                   Array<std::byte>(picture.pixels.size())});
  copy_planes(picture, image[0].values.data());
  return tensor_dataset(1, std::move(image), {}, {});
}

bool has_image_name(std::string_view key) {
  const std::size_t dot = key.rfind('.');
  if (dot == std::string_view::npos) return false;
  const auto ends = [&](std::string_view ending) {
    return std::ranges::equal(key.substr(dot + 1), ending, {},
                              [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  };
  return ends("jpg") || ends("jpeg") || ends("png");
}

bool is_in_folder(const std::string& key) { return key.find('/') != std::string::npos; }

bool is_folder(const std::vector<std::string>& keys) {
  const auto is_image_of_class = [](const std::string& key) {
    return is_in_folder(key) && has_image_name(key);
  };
  return std::ranges::any_of(keys, is_image_of_class) ||
         (!keys.empty() && std::ranges::all_of(keys, has_image_name));
}

/// The images of a folder, and the classes that its folders are.
struct Listing {
  std::vector<std::string> keys;
  std::vector<std::string> classes;  ///< ascending; empty: no labels
};

Listing listing_of(const FolderFiles& files, const std::string& what) {
  Listing out;
  std::set<std::string> classes;
  std::optional<std::string> beside;
  for (const std::string& key : files.keys) {
    if (!has_image_name(key)) continue;
    out.keys.push_back(key);
    if (is_in_folder(key))
      classes.insert(key.substr(0, key.find('/')));
    else
      beside = key;
  }
  if (beside && !classes.empty())
    fail(Code::invalid_argument,
         "reading {}: the image {} lies beside the folders, which are the classes ('{}' …): put it "
         "into one of them",
         what, printable(*beside, 60), printable(*classes.begin(), 60));
  if (classes.size() > kMostNames)
    fail(Code::data_corrupt, "reading {}: it has more than {} folders of images", what, kMostNames);
  out.classes.assign(classes.begin(), classes.end());
  return out;
}

/// Decodes the images of a folder.
class FolderReader {
 public:
  FolderReader(const FolderFiles& files, const ReadOptions& options)
      : files_(files),
        options_(options),
        settings_(settings_of(options)),
        listing_(listing_of(files, options.what)) {}

  Dataset read() {
    const std::size_t n = listing_.keys.size();
    size_ = settings_.size ? *settings_.size : size_of_first();
    const TensorShape shape = shape_of(settings_.channels, size_);
    if (n > machine_memory_bytes() / shape.row_bytes())
      fail(Code::resource_exhausted,
           "reading {}: {} images of {} × {} pixels do not fit the memory: use a smaller "
           "--image-size",
           options_.what, human_count(n), size_.height, size_.width);
    std::vector<TensorValues> image;
    image.push_back({shape, Array<std::byte>(n * shape.row_bytes())});
    std::vector<char> is_whole(n, 0);
    parallel_for(n, options_.threads, [&](std::size_t i) {
      if (const std::optional<Picture> picture = decoded(i)) {
        copy_planes(*picture, image[0].values.data() + i * shape.row_bytes());
        is_whole[i] = 1;
      }
    });
    return without_broken(std::move(image), is_whole);
  }

 private:
  std::string name_of(std::size_t i) const { return options_.what + "/" + listing_.keys[i]; }

  /// nullopt if it is broken and such are left out.
  std::optional<Picture> decoded(std::size_t i) {
    const Buffer file = files_.load(listing_.keys[i]);
    Picture picture;
    try {
      picture = picture_from(file, settings_, name_of(i));
    } catch (const Error& error) {
      if (!settings_.skip_broken || error.code() != Code::data_corrupt) throw;
      const std::lock_guard lock(mutex_);
      if (broken_++ == 0 || i < first_broken_) {
        first_broken_ = i;
        why_ = error.what();
      }
      return {};
    }
    const Size size{picture.height, picture.width};
    if (size_ != Size() && size != size_)
      fail(Code::invalid_argument,
           "{}: images of different sizes: {} has {} × {} pixels and {} has {} × {}: bring them to "
           "one by --image-size",
           options_.what, listing_.keys[first_], size_.width, size_.height, listing_.keys[i],
           size.width, size.height);
    return picture;
  }

  /// Of the first whole one.
  Size size_of_first() {
    for (first_ = 0; first_ < listing_.keys.size(); ++first_)
      if (const std::optional<Picture> picture = decoded(first_)) {
        broken_ = 0;  // all are decoded again
        return {picture->height, picture->width};
      }
    refuse_all();
  }

  [[noreturn]] void refuse_all() const {
    fail(Code::data_corrupt, "reading {}: all of its {} images are broken; {}", options_.what,
         human_count(listing_.keys.size()), why_);
  }

  Dataset without_broken(std::vector<TensorValues> image, const std::vector<char>& is_whole) {
    const std::size_t bytes = image[0].shape.row_bytes();
    const std::size_t whole = is_whole.size() - broken_;
    if (whole == 0) refuse_all();
    if (broken_ != 0)
      log::warning("{}: {} of {} images are broken and left out, for instance: {}", options_.what,
                   broken_, is_whole.size(), why_);
    Array<std::byte> values =
        broken_ == 0 ? std::move(image[0].values) : Array<std::byte>(whole * bytes);
    Array<std::int32_t> labels(listing_.classes.empty() ? 0 : whole);
    std::size_t row = 0;
    for (std::size_t i = 0; i < is_whole.size(); ++i) {
      if (is_whole[i] == 0) continue;
      if (broken_ != 0)
        std::copy_n(image[0].values.data() + i * bytes, bytes, values.data() + row * bytes);
      if (!listing_.classes.empty()) labels[row] = class_of(listing_.keys[i]);
      ++row;
    }
    image[0].values = std::move(values);
    Labelling labelling(std::move(labels));
    if (!listing_.classes.empty())
      labelling.names =
          std::make_shared<const Names>(Names{.features = {}, .labels = listing_.classes});
    return tensor_dataset(whole, std::move(image), {}, std::move(labelling));
  }

  std::int32_t class_of(const std::string& key) const {
    const std::string folder = key.substr(0, key.find('/'));
    return static_cast<std::int32_t>(std::ranges::lower_bound(listing_.classes, folder) -
                                     listing_.classes.begin());
  }

  const FolderFiles& files_;
  const ReadOptions& options_;
  Settings settings_;
  Listing listing_;
  Size size_;              ///< of all; 0 until it is known
  std::size_t first_ = 0;  ///< the image that has it, if none was given
  std::mutex mutex_;       ///< of what follows
  std::size_t broken_ = 0;
  std::size_t first_broken_ = 0;
  std::string why_;
};

/// One picture without labels, as a PNG.
Buffer write(const Dataset& dataset) {
  const bool fits = dataset.tensors.size() == 1 && dataset.rows() == 1 &&
                    dataset.tensors[0].element == Element::uint8 &&
                    dataset.tensors[0].shape.size() == 3 && dataset.tensors[0].shape[0] == 3 &&
                    dataset.labels.empty() && dataset.targets.empty() && !dataset.target_tensor;
  if (!fits)
    fail(Code::invalid_argument,
         "writing a PNG: it is one image, uint8 [3, height, width], without a label");
  const std::vector<std::size_t>& shape = dataset.tensors[0].shape;
  Picture picture{shape[2], shape[1], 3, {}};
  const std::size_t n = picture.width * picture.height;
  picture.pixels.resize(3 * n);
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t i = 0; i < n; ++i)
      picture.pixels[3 * i + c] =
          std::to_integer<std::uint8_t>(dataset.tensors[0].values[c * n + i]);
  return encode_png(picture);
}

std::vector<Option> options() {
  return {{.name = "image_size",
           .default_value = std::string(),
           .help = "side of images in pixels, or height and width, as in 240x320, to which files "
                   "of images are scaled; by default they must have one size"},
          {.name = "image_fit",
           .default_value = std::string("crop"),
           .help = "of images of other proportions than --image-size: their middle, or all of "
                   "them in black",
           .choices = {"crop", "pad"}},
          {.name = "image_colours",
           .default_value = std::string("rgb"),
           .help = "of files of images: three channels, or one",
           .choices = {"rgb", "grey"}},
          {.name = "skip_broken",
           .default_value = false,
           .help = "leave files of images out that cannot be decoded, and count them"}};
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "images",
                .formats = {"images"},
                .help = "JPEG and PNG files; folders of them are classes",
                .recognizes = recognizes,
                .read = read,
                .write = write,
                .is_folder = is_folder,
                .read_folder =
                    [](const FolderFiles& files, const ReadOptions& options) {
                      return FolderReader(files, options).read();
                    },
                .options = options()});
}

}  // namespace lambdaml::data::images
