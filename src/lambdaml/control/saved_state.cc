#include "lambdaml/control/saved_state.h"

#include <array>
#include <optional>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"

namespace lambdaml::control {
namespace {

constexpr const char* kCheckpointFormat = "lambdaml-checkpoint-3";
/// The old version's, with a checksum over the tensors only.
constexpr const char* kOldFormat = "lambdaml-checkpoint-2";

/// Before the names of vectors.
constexpr std::string_view kState = "state.";
/// The communicator's residual, stored among the optimizer's vectors.
constexpr const char* kResidual = "communicator.residual";

/// What the workers agreed on about rows that are held out; absent if nothing.
constexpr const char* kSplit = "split";
/// The vectors of which this worker has some ranges; absent if none.
constexpr const char* kCut = "cut";
/// The tensors that the parameters consist of; absent in states of older versions.
constexpr const char* kPieces = "tensors";

std::string tensor_name(const std::string& vector) { return std::string(kState) + vector; }

/// As in the old version: over the tensors, by name.
std::uint64_t old_checksum_of(const tensor::SafetensorsFile& file) {
  std::map<std::string, Bytes> by_name;
  for (const tensor::Tensor& tensor : file.tensors()) by_name[tensor.name] = tensor.bytes;
  std::uint64_t sum = 0;
  for (const auto& [name, bytes] : by_name) sum = checksum(bytes, sum);
  return sum;
}

/// Throws data_corrupt unless the file is whole and was saved under that key.
void verify(const tensor::SafetensorsFile& file, const std::string& key) {
  const std::string& what = file.what();
  const std::string& format = file.metadata("format");
  if (format == kOldFormat) {
    if (file.metadata("checksum") != checksum_text(old_checksum_of(file)))
      fail(Code::data_corrupt, "{}: its checksum does not fit; it was damaged", what);
    return warn_of_old_job(key.substr(0, key.find('/')));
  }
  if (format != kCheckpointFormat)
    fail(Code::data_corrupt, "{}: no checkpoint of this program", what);
  if (!file.verify())
    fail(Code::data_corrupt, "{}: it has no checksum of itself; it was damaged", what);
  if (file.metadata("key") != key)
    fail(Code::data_corrupt, "{}: it was saved as {} and copied here", what,
         printable(file.metadata("key")));
}

std::string text_of(const optim::Cut& cut) {
  return json_text(
      nlohmann::json{{"size", cut.size}, {"ranges", cut.ranges}, {"names", cut.names}});
}

}  // namespace

nlohmann::json with_order(nlohmann::json fingerprint) {
  if (fingerprint.is_object() && !fingerprint.contains(kOrder))
    fingerprint[kOrder] = data::OrderVersion::tail_last;
  return fingerprint;
}

void warn_of_old_job(const std::string& job_id) {
  log::warn_once(
      fmt::format("job {}: an old version began it, whose files have checksums of less than they "
                  "say, so damage may not be seen",
                  job_id));
}

StateView StateView::of(optim::Optimizer& optimizer, const comm::Communicator& from) {
  StateView out{from.snapshot(), optimizer.scalars(), {}, optimizer.cut()};
  for (const auto& [name, values] : optimizer.state()) out.vectors[name] = values;
  if (const std::span<const float> residual = from.residual(); !residual.empty())
    out.vectors[kResidual] = residual;
  return out;
}

std::uint64_t StateView::bytes() const {
  std::uint64_t sum = (communicator.size() + scalars.size()) * sizeof(double);
  for (const auto& [name, values] : vectors) sum += values.size() * sizeof(float);
  return sum;
}

StateView::File StateView::save(storage::Storage& store,
                                const StateDescription& description) const {
  const auto& [key, progress, place, note, fingerprint, split, pieces] = description;
  std::optional<tensor::SafetensorsWriter> made(std::in_place);
  tensor::SafetensorsWriter& writer = *made;
  const std::array<double, 3> totals{place.totals.loss, place.totals.rows, place.totals.correct};
  writer.add<double>("communicator", {communicator.size()}, communicator);
  writer.add<double>("scalars", {scalars.size()}, scalars);
  for (const auto& [name, values] : vectors)
    writer.add<float>(tensor_name(name), {values.size()}, values);
  writer.add<double>("totals", {totals.size()}, totals);
  writer.set_metadata("format", kCheckpointFormat);
  writer.set_metadata("key", key);
  writer.set_metadata("metrics", note.metrics);
  writer.set_metadata("ended_by", note.ended_by);
  writer.set_metadata("fingerprint", fingerprint);
  if (!split.empty()) writer.set_metadata(kSplit, split);
  if (!cut.names.empty()) writer.set_metadata(kCut, text_of(cut));
  if (!pieces.empty()) writer.set_metadata(kPieces, pieces);
  writer.set_metadata("epoch", std::to_string(progress.epoch));
  writer.set_metadata("round", std::to_string(progress.round));
  writer.set_metadata("pass", std::to_string(place.pass));
  writer.set_metadata("step", std::to_string(place.step));
  File out;
  const auto [head, tensors] = writer.gather_with_checksum(&out.checksum);
  made.reset();  // its metadata are as long as the head
  std::vector<Bytes> parts{as_bytes(head)};
  parts.insert(parts.end(), tensors.begin(), tensors.end());
  for (const Bytes part : parts) out.bytes += part.size();
  store.save_gathered(key, parts);
  return out;
}

void SavedState::take(optim::Optimizer& optimizer, const comm::Communicator& from) {
  view_ = StateView::of(optimizer, from);
  for (auto& [name, values] : view_.vectors) {
    std::vector<float>& own = vectors_[name];
    own.assign(values.begin(), values.end());
    values = own;
  }
}

StateFile::StateFile(Buffer bytes, const std::string& key, const std::string& what)
    : file_(std::make_shared<const Buffer>(std::move(bytes)), what) {
  verify(file_, key);
  const std::span<const double> totals = file_.values<double>("totals");
  if (totals.size() != 3) fail(Code::data_corrupt, "{}: its totals are not three numbers", what);
  progress_ = {count("epoch"), count("round")};
  place_ = {count("pass"), count("step"), {totals[0], totals[1], totals[2]}};
}

std::uint64_t StateFile::count(std::string_view key) const {
  const auto value = to_integer(file_.metadata(key));
  if (!value || *value < 0) fail(Code::data_corrupt, "{}: metadata '{}' is no count", what(), key);
  return static_cast<std::uint64_t>(*value);
}

CheckpointNote StateFile::note() const {
  return {file_.metadata("ended_by"), file_.metadata("metrics")};
}

/// Earlier versions stored the options with their passwords.
nlohmann::json StateFile::fingerprint() const {
  nlohmann::json members = with_order(parse_json(file_.metadata("fingerprint")));
  if (!members.is_object()) return members;
  for (auto& [name, value] : members.items())
    if (value.is_string()) value = without_passwords(value.get<std::string>());
  return members;
}

data::OrderVersion StateFile::order() const {
  const nlohmann::json members = fingerprint();
  const nlohmann::json order =
      members.is_object() ? members.value(kOrder, nlohmann::json()) : nlohmann::json();
  for (const auto version : {data::OrderVersion::tail_mixed, data::OrderVersion::reshuffled})
    if (order == version) return version;
  return data::OrderVersion::tail_last;
}

std::string StateFile::split() const {
  const auto saved = file_.metadata().find(kSplit);
  return saved == file_.metadata().end() ? "" : saved->second;
}

optim::Cut StateFile::cut() const {
  const auto text = file_.metadata().find(kCut);
  if (text == file_.metadata().end()) return {};
  try {
    const nlohmann::json members = parse_json(text->second);
    optim::Cut cut{members.at("size"), members.at("ranges"), members.at("names")};
    for (const auto& [begin, end] : cut.ranges)
      if (begin > end || end > cut.size) fail(Code::data_corrupt, "a range is out of bounds");
    return cut;
  } catch (const std::exception&) {
    fail(Code::data_corrupt, "{}: metadata '{}' does not say how vectors are cut", what(), kCut);
  }
}

bool StateFile::is_described_by(const CommitRecord& record) const {
  return record.progress == progress_ && record.bytes == file_.owner()->size() &&
         record.checksum == file_.stated_checksum() &&
         record.note.ended_by == file_.metadata("ended_by");
}

bool StateFile::fits(const nlohmann::json& expected, const nlohmann::json* defaults) const {
  // Their texts are compared, because a text cannot hold every value: bytes that are not UTF-8.
  nlohmann::json members = fingerprint();
  if (members.is_object() && defaults != nullptr)
    for (const auto& [name, value] : defaults->items())
      if (expected.contains(name) && !members.contains(name)) members[name] = value;
  const std::string saved = json_text(members);
  if (saved == json_text(expected)) return true;
  if (file_.metadata("format") != kOldFormat || !expected.is_object()) return false;
  nlohmann::json old = expected;
  for (const char* name : {kTestChecksum, kDefinitionChecksum}) old.erase(name);
  return saved == json_text(old);
}

std::span<const float> StateFile::vector(const std::string& name) const {
  return file_.values<float>(tensor_name(name));
}

std::vector<std::string> StateFile::vector_names() const {
  std::vector<std::string> names;
  for (const tensor::Tensor& tensor : file_.tensors()) {
    if (!tensor.name.starts_with(kState)) continue;
    const std::string name = tensor.name.substr(kState.size());
    if (name != kResidual) names.push_back(name);
  }
  return names;
}

std::span<const float> StateFile::residual() const {
  const std::string name = tensor_name(kResidual);
  return file_.find(name) == nullptr ? std::span<const float>() : file_.values<float>(name);
}

}  // namespace lambdaml::control
