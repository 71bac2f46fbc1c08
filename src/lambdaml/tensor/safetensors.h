#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"

/// The safetensors format (https://github.com/huggingface/safetensors): 8 bytes little-endian
/// length of a JSON header, the header, then the tensors without gaps. Models, shards and
/// checkpoints all use it: any safetensors reader can open them, and none executes code from them.
namespace lambdaml::tensor {

/// f16 and those from i8 on have no C++ type: they are read as bytes.
enum class Dtype { f32, f64, i32, i64, u16, u32, u64, u8, f16, bf16, i8, i16, boolean };

/// Bytes of one element.
std::size_t size_of(Dtype dtype);
/// "F32", "U16", …
std::string_view to_string(Dtype dtype);

template <class T>
constexpr Dtype dtype_of() {
  if constexpr (std::is_same_v<T, float>) return Dtype::f32;
  if constexpr (std::is_same_v<T, double>) return Dtype::f64;
  if constexpr (std::is_same_v<T, std::int32_t>) return Dtype::i32;
  if constexpr (std::is_same_v<T, std::int64_t>) return Dtype::i64;
  if constexpr (std::is_same_v<T, std::uint16_t>) return Dtype::u16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return Dtype::u32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return Dtype::u64;
  if constexpr (std::is_same_v<T, std::uint8_t>) return Dtype::u8;
}

/// One named tensor; a view.
struct Tensor {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::size_t> shape;
  Bytes bytes;
};

/// Collects tensors and metadata, then writes the file's bytes. Views must live until then. Used by
/// one thread.
class SafetensorsWriter {
 public:
  template <class T>
  void add(std::string name, std::vector<std::size_t> shape, std::span<const T> values) {
    add(Tensor{std::move(name), dtype_of<T>(), std::move(shape), std::as_bytes(values)});
  }
  /// Throws internal if the shape does not match the bytes or the name was used already.
  void add(Tensor tensor);
  void set_metadata(std::string key, std::string value);
  /// The file's bytes: tensors by descending element size, and the header padded with blanks, so
  /// that each tensor is aligned for its type if the file begins at an address divisible by 64.
  Buffer serialize() const;
  /// The same with one more metadata entry, `xxh3`: a checksum over every byte of the file except
  /// its own 16 digits, which is also returned in `checksum`. SafetensorsFile::verify() checks it.
  Buffer serialize_with_checksum(std::uint64_t* checksum = nullptr) const;
  /// The same, not joined: the file's bytes before its data, and the tensors in their order.
  struct Gathered {
    std::string head;
    std::vector<Bytes> tensors;
  };
  Gathered gather_with_checksum(std::uint64_t* checksum = nullptr) const;
  /// The checksum of the result of serialize(), without building it.
  std::uint64_t checksum() const;

 private:
  std::vector<const Tensor*> order() const;
  /// The file's bytes before its data.
  std::string head(const std::map<std::string, std::string>& metadata) const;
  Buffer file(std::string_view head) const;

  std::vector<Tensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// A checked view of a file's bytes, which it keeps alive. Copyable; immutable.
class SafetensorsFile {
 public:
  /// Checks everything before anything is used: lengths, JSON, types, shapes whose product is in
  /// range, and that the tensors cover the data exactly, without overlap. Only verify() checks the
  /// checksum. `what` names the source in errors. Throws data_corrupt.
  SafetensorsFile(std::shared_ptr<const Buffer> bytes, std::string what);

  /// Checks the checksum in the file: returns false if there is none, throws data_corrupt if it
  /// does not match. One pass over the bytes. Each piece of the data, in order and at most 64 KB
  /// long, is passed to `see` while it is in the processor's cache, before it is known whether the
  /// checksum matches.
  bool verify(const std::function<void(Bytes piece)>& see = {}) const;
  /// The unchecked checksum in the file; nullopt if there is none.
  std::optional<std::uint64_t> stated_checksum() const;

  const std::vector<Tensor>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// The value of a metadata key; throws data_corrupt if it is absent.
  const std::string& metadata(std::string_view key) const;
  /// Null if there is no tensor of that name.
  const Tensor* find(std::string_view name) const;
  const Tensor& get(std::string_view name) const;

  /// The values of a tensor of exactly this type; throws data_corrupt otherwise or if the bytes are
  /// misaligned for it (other writers may do that; ours does not).
  template <class T>
  std::span<const T> values(std::string_view name) const {
    const Tensor& tensor = checked(name, dtype_of<T>(), alignof(T));
    return {reinterpret_cast<const T*>(tensor.bytes.data()), tensor.bytes.size() / sizeof(T)};
  }

  /// The owner that keeps the views alive.
  const std::shared_ptr<const Buffer>& owner() const { return bytes_; }
  const std::string& what() const { return what_; }

 private:
  const Tensor& checked(std::string_view name, Dtype dtype, std::size_t alignment) const;

  std::shared_ptr<const Buffer> bytes_;
  std::string what_;
  Bytes data_;  ///< what follows the header
  std::vector<Tensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace lambdaml::tensor
