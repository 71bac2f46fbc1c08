#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

/// Records of an event file as TensorBoard reads it: an Event of TensorFlow's event.proto in the
/// framing of TFRecord, which has a CRC32C of the length and one of the data.
/// https://www.tensorflow.org/tutorials/load_data/tfrecord and
/// https://github.com/tensorflow/tensorboard/tree/master/tensorboard/compat/proto
namespace lambdaml::tensorboard {

/// When an event happened and what it belongs to.
struct Moment {
  double wall_s = 0;      ///< since 1970
  std::int64_t step = 0;  ///< here: the epoch
};

/// The first record of every file.
std::string version_record(Moment moment);
/// The steps from this one on are written again: what earlier files say of them does not count.
std::string restart_record(Moment moment);
std::string scalars_record(Moment moment, const std::map<std::string, double>& values);
/// How the values are distributed, in 60 buckets of equal width. Values that are not finite do not
/// count; without others the record is empty.
std::string histogram_record(Moment moment, std::string_view tag, std::span<const float> values);

/// CRC32C (Castagnoli), as TFRecord masks it.
std::uint32_t masked_crc(std::string_view bytes);

/// The name under which TensorBoard groups a metric: `valid_loss` → `loss/valid`.
std::string tag_of(std::string_view metric);

}  // namespace lambdaml::tensorboard
