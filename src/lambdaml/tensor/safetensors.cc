#include "lambdaml/tensor/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/text.h"

namespace lambdaml::tensor {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own reader
constexpr std::size_t kMaxDimensions = 32;
constexpr std::size_t kMaxNames = 1 << 20;  ///< a name takes twenty times the memory of its text
constexpr std::string_view kMetadata = "__metadata__";
constexpr const char* kChecksum = "xxh3";
/// The entry's text in the header. It cannot occur elsewhere: quotation marks in names and metadata
/// are escaped, and no tensor may have that name.
constexpr std::string_view kBeforeDigits = "\"xxh3\":\"";
constexpr std::string_view kNoDigits = "0000000000000000";
/// Small enough for a piece to be still in the processor's own cache at its second use.
constexpr std::size_t kPieceBytes = std::size_t{64} << 10;

struct DtypeName {
  Dtype dtype;
  std::string_view name;
  std::size_t size;
};
constexpr std::array kDtypes{
    DtypeName{Dtype::f32, "F32", 4},      DtypeName{Dtype::f64, "F64", 8},
    DtypeName{Dtype::i32, "I32", 4},      DtypeName{Dtype::i64, "I64", 8},
    DtypeName{Dtype::u16, "U16", 2},      DtypeName{Dtype::u32, "U32", 4},
    DtypeName{Dtype::u64, "U64", 8},      DtypeName{Dtype::u8, "U8", 1},
    DtypeName{Dtype::f16, "F16", 2},      DtypeName{Dtype::bf16, "BF16", 2},
    DtypeName{Dtype::i8, "I8", 1},        DtypeName{Dtype::i16, "I16", 2},
    DtypeName{Dtype::boolean, "BOOL", 1},
};

const DtypeName& entry(Dtype dtype) {
  return *std::find_if(kDtypes.begin(), kDtypes.end(),
                       [&](const DtypeName& known) { return known.dtype == dtype; });
}

/// Bytes of a tensor of this shape; nullopt if they exceed 64 bits.
std::optional<std::size_t> bytes_of(Dtype dtype, const std::vector<std::size_t>& shape) {
  std::size_t bytes = size_of(dtype);
  for (const std::size_t n : shape)
    if (__builtin_mul_overflow(bytes, n, &bytes)) return std::nullopt;
  return bytes;
}

template <class... Args>
[[noreturn]] void corrupt(std::string_view what, fmt::format_string<Args...> format,
                          Args&&... args) {
  fail(Code::data_corrupt, "reading {} as safetensors: {}", what,
       fmt::format(format, std::forward<Args>(args)...));
}

/// The header's JSON. Rejects large or ambiguous headers while parsing: the parser by itself would
/// take the last of equal names and build arrays of any depth.
Json parse_header(std::string_view text, std::string_view what) {
  std::vector<std::set<std::string>> names;
  std::size_t in_array = 0;
  std::size_t all_names = 0;
  const auto check = [&](int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start) {
      if (depth > 1) corrupt(what, "the header nests deeper than a tensor's entry");
      names.resize(static_cast<std::size_t>(depth));
      names.emplace_back();
    } else if (event == Event::key) {
      const auto& name = parsed.get_ref<const std::string&>();
      if (++all_names > kMaxNames) corrupt(what, "the header has more than {} names", kMaxNames);
      if (!names.back().insert(name).second)
        corrupt(what, "the name '{}' occurs twice", printable(name));
    } else if (event == Event::object_end) {
      names.pop_back();
    } else if (event == Event::array_start) {
      if (depth != 2) corrupt(what, "the header has a list where none belongs");
      in_array = 0;
    } else if (event == Event::value && depth == 3 && ++in_array > kMaxDimensions) {
      corrupt(what, "the header has a list of more than {} numbers", kMaxDimensions);
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), check);
  } catch (const Json::exception& error) {
    corrupt(what, "the header is no JSON: {}", printable(error.what(), 200));
  }
}

std::vector<std::size_t> sizes_in(const Json& entry, const char* key, std::string_view tensor,
                                  std::string_view what) {
  const auto list = entry.find(key);
  if (list == entry.end() || !list->is_array())
    corrupt(what, "tensor '{}' has no list '{}'", printable(tensor), key);
  std::vector<std::size_t> sizes;
  for (const Json& number : *list) {
    if (!number.is_number_unsigned())
      corrupt(what, "tensor '{}' has {} in '{}', which must hold whole numbers from 0",
              printable(tensor), printable(number.dump()), key);
    sizes.push_back(number.get<std::size_t>());
  }
  return sizes;
}

struct Placed {
  Tensor tensor;
  std::size_t begin;
  std::size_t end;
};

Placed parse_tensor(const std::string& name, const Json& entry, std::size_t data_bytes,
                    std::string_view what) {
  if (!entry.is_object()) corrupt(what, "tensor '{}' has no entry", printable(name));
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string())
    corrupt(what, "tensor '{}' has no dtype", printable(name));
  const auto& dtype_name = dtype->get_ref<const std::string&>();
  const auto known = std::find_if(kDtypes.begin(), kDtypes.end(),
                                  [&](const DtypeName& d) { return d.name == dtype_name; });
  if (known == kDtypes.end())
    corrupt(what,
            "tensor '{}' has the dtype '{}'; this program reads F16, BF16, F32, F64, I8, I16, I32, "
            "I64, U8, U16, U32, U64 and BOOL",
            printable(name), printable(dtype_name));
  Placed placed{{name, known->dtype, sizes_in(entry, "shape", name, what), {}}, 0, 0};
  const std::vector<std::size_t> offsets = sizes_in(entry, "data_offsets", name, what);
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes)
    corrupt(what, "tensor '{}' does not lie within the {} bytes of data", printable(name),
            data_bytes);
  if (entry.size() != 3)
    corrupt(what, "tensor '{}' has more than dtype, shape and data_offsets", printable(name));
  placed.begin = offsets[0];
  placed.end = offsets[1];
  if (bytes_of(known->dtype, placed.tensor.shape) != placed.end - placed.begin)
    corrupt(what, "tensor '{}' of {} {} has {} bytes", printable(name), known->name,
            Json(placed.tensor.shape).dump(), placed.end - placed.begin);
  return placed;
}

}  // namespace

std::size_t size_of(Dtype dtype) { return entry(dtype).size; }
std::string_view to_string(Dtype dtype) { return entry(dtype).name; }

void SafetensorsWriter::add(Tensor tensor) {
  if (bytes_of(tensor.dtype, tensor.shape) != tensor.bytes.size())
    fail(Code::internal, "writing tensor '{}': {} bytes do not fill its shape", tensor.name,
         tensor.bytes.size());
  const bool used = std::any_of(tensors_.begin(), tensors_.end(),
                                [&](const Tensor& other) { return other.name == tensor.name; });
  if (used || tensor.name == kMetadata)
    fail(Code::internal, "writing tensor '{}': the name is taken", tensor.name);
  tensors_.push_back(std::move(tensor));
}

void SafetensorsWriter::set_metadata(std::string key, std::string value) {
  metadata_[std::move(key)] = std::move(value);
}

std::vector<const Tensor*> SafetensorsWriter::order() const {
  std::vector<const Tensor*> order;
  for (const Tensor& tensor : tensors_) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const Tensor* a, const Tensor* b) {
    return size_of(a->dtype) > size_of(b->dtype);
  });
  return order;
}

std::string SafetensorsWriter::head(const std::map<std::string, std::string>& metadata) const {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::size_t offset = 0;
  for (const Tensor* tensor : order()) {
    header[tensor->name] = {{"dtype", to_string(tensor->dtype)},
                            {"shape", tensor->shape},
                            {"data_offsets", {offset, offset + tensor->bytes.size()}}};
    offset += tensor->bytes.size();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& error) {
    fail(Code::internal, "writing safetensors: a name or the metadata is no UTF-8: {}",
         error.what());
  }
  const std::size_t unpadded = kLengthBytes + text.size();
  text.append((Buffer::kAlignment - unpadded % Buffer::kAlignment) % Buffer::kAlignment, ' ');
  std::string length;
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    length += static_cast<char>(std::uint64_t{text.size()} >> (8 * i));
  return length + text;
}

Buffer SafetensorsWriter::file(std::string_view head) const {
  std::size_t bytes = head.size();
  for (const Tensor& tensor : tensors_) bytes += tensor.bytes.size();
  Buffer out(bytes);
  std::byte* at = out.data();
  std::memcpy(at, head.data(), head.size());
  at += head.size();
  for (const Tensor* tensor : order()) {
    if (!tensor->bytes.empty()) std::memcpy(at, tensor->bytes.data(), tensor->bytes.size());
    at += tensor->bytes.size();
  }
  return out;
}

Buffer SafetensorsWriter::serialize() const { return file(head(metadata_)); }

std::uint64_t SafetensorsWriter::checksum() const {
  RunningChecksum sum;
  sum.add(as_bytes(head(metadata_)));
  for (const Tensor* tensor : order()) sum.add(tensor->bytes);
  return sum.value();
}

Buffer SafetensorsWriter::serialize_with_checksum(std::uint64_t* checksum) const {
  return file(gather_with_checksum(checksum).head);
}

SafetensorsWriter::Gathered SafetensorsWriter::gather_with_checksum(std::uint64_t* checksum) const {
  auto metadata = metadata_;
  metadata[kChecksum] = kNoDigits;
  std::string start = head(metadata);
  const std::size_t digits = start.find(kBeforeDigits) + kBeforeDigits.size();
  RunningChecksum sum;
  sum.add(as_bytes(std::string_view(start).substr(0, digits)));
  sum.add(as_bytes(std::string_view(start).substr(digits + kNoDigits.size())));
  Gathered out;
  for (const Tensor* tensor : order()) {
    sum.add(tensor->bytes);
    out.tensors.push_back(tensor->bytes);
  }
  start.replace(digits, kNoDigits.size(), checksum_text(sum.value()));
  if (checksum != nullptr) *checksum = sum.value();
  out.head = std::move(start);
  return out;
}

SafetensorsFile::SafetensorsFile(std::shared_ptr<const Buffer> bytes, std::string what)
    : bytes_(std::move(bytes)), what_(std::move(what)) {
  const Bytes file = *bytes_;
  if (file.size() < kLengthBytes)
    corrupt(what_, "{} bytes are too few to be a file of that kind", file.size());
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    header_bytes |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file.size() - kLengthBytes)
    corrupt(what_,
            "its first 8 bytes promise a header of {} bytes, {} follow: truncated or of another "
            "kind",
            header_bytes, file.size() - kLengthBytes);
  const std::string_view text = as_text(file.subspan(kLengthBytes, header_bytes));
  if (!text.starts_with('{')) corrupt(what_, "the header does not begin with '{{'");
  const Bytes data = file.subspan(kLengthBytes + header_bytes);
  data_ = data;

  const Json header = parse_header(text, what_);
  std::vector<Placed> placed;
  for (const auto& [name, entry] : header.items()) {
    if (name != kMetadata) {
      placed.push_back(parse_tensor(name, entry, data.size(), what_));
      continue;
    }
    if (!entry.is_object()) corrupt(what_, "the metadata are no map");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) corrupt(what_, "the metadata '{}' is no string", printable(key));
      metadata_[key] = value.get<std::string>();
    }
  }
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::size_t covered = 0;
  for (Placed& p : placed) {
    if (p.begin != covered)
      corrupt(what_, "tensor '{}' begins at byte {} of the data, the one before ends at {}",
              printable(p.tensor.name), p.begin, covered);
    covered = p.end;
    p.tensor.bytes = data.subspan(p.begin, p.end - p.begin);
    tensors_.push_back(std::move(p.tensor));
  }
  if (covered != data.size())
    corrupt(what_, "the tensors end at byte {} of {} bytes of data", covered, data.size());
}

std::optional<std::uint64_t> SafetensorsFile::stated_checksum() const {
  const auto stated = metadata_.find(kChecksum);
  if (stated == metadata_.end()) return {};
  const std::optional<std::uint64_t> sum = checksum_from(stated->second);
  if (!sum) corrupt(what_, "its checksum is not {} hexadecimal digits", kNoDigits.size());
  return sum;
}

bool SafetensorsFile::verify(const std::function<void(Bytes piece)>& see) const {
  const std::optional<std::uint64_t> stated = stated_checksum();
  const Bytes start = bytes_->view().first(bytes_->size() - data_.size());
  const std::size_t before = as_text(start).find(kBeforeDigits);
  if (stated && before == std::string_view::npos)
    corrupt(what_, "its checksum does not stand where this program writes it");
  RunningChecksum sum;
  if (stated) {
    const std::size_t digits = before + kBeforeDigits.size();
    sum.add(start.first(digits));
    sum.add(start.subspan(digits + kNoDigits.size()));
  }
  for (std::size_t at = 0; at < data_.size(); at += kPieceBytes) {
    const Bytes piece = data_.subspan(at, std::min(kPieceBytes, data_.size() - at));
    if (stated) sum.add(piece);
    if (see) see(piece);
  }
  if (stated && sum.value() != *stated)
    corrupt(what_, "its content does not fit its checksum: it was damaged");
  return stated.has_value();
}

const std::string& SafetensorsFile::metadata(std::string_view key) const {
  const auto found = metadata_.find(std::string(key));
  if (found == metadata_.end()) corrupt(what_, "the metadata '{}' are missing", key);
  return found->second;
}

const Tensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const Tensor& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

const Tensor& SafetensorsFile::get(std::string_view name) const {
  const Tensor* tensor = find(name);
  if (tensor == nullptr) corrupt(what_, "there is no tensor '{}'", name);
  return *tensor;
}

const Tensor& SafetensorsFile::checked(std::string_view name, Dtype dtype,
                                       std::size_t alignment) const {
  const Tensor& tensor = get(name);
  if (tensor.dtype != dtype)
    corrupt(what_, "tensor '{}' is {}, not {}", name, to_string(tensor.dtype), to_string(dtype));
  if (reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % alignment != 0)
    corrupt(what_, "tensor '{}' does not lie at a multiple of {} bytes; write the file anew", name,
            alignment);
  return tensor;
}

}  // namespace lambdaml::tensor
