#include "lambdaml/model/tally.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lambdaml/base/error.h"

namespace lambdaml::model {
namespace {

/// −ln of the least probability that counts, as scikit-learn's log_loss clips.
constexpr double kLeastProbability = 1e-15;
const double kUnit = std::ldexp(1.0, -64);

/// One after another: numbers and lists of numbers.
class TallyWriter {
 public:
  template <class T>
  void add(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  template <class T>
  void add(const std::vector<T>& values) {
    add(std::uint64_t{values.size()});
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  }
  Buffer take() const { return Buffer(as_bytes(bytes_)); }

 private:
  std::string bytes_;
};

class TallyReader {
 public:
  TallyReader(Bytes bytes, const std::string& what) : bytes_(bytes), what_(what) {}

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, next(sizeof(T)).data(), sizeof(T));
    return value;
  }
  template <class T>
  std::vector<T> list() {
    const auto size = number<std::uint64_t>();
    if (size > bytes_.size() / sizeof(T)) fail_damaged();
    std::vector<T> values(size);
    if (size > 0) std::memcpy(values.data(), next(size * sizeof(T)).data(), size * sizeof(T));
    return values;
  }
  void end() const {
    if (!bytes_.empty()) fail_damaged();
  }
  [[noreturn]] void fail_damaged() const {
    fail(Code::data_corrupt, "{}: it is no tally of predictions", what_);
  }

 private:
  Bytes next(std::size_t size) {
    if (size > bytes_.size()) fail_damaged();
    const Bytes head = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return head;
  }

  Bytes bytes_;
  const std::string& what_;
};

constexpr std::uint64_t kMagic = 0x31796c6c6174;  // "tally1"

}  // namespace

Tally::Tally(std::size_t classes)
    : classes_(classes),
      confusion_(classes * classes),
      is_ranked_(classes >= 2 && classes <= kMostRankedClasses),
      rankings_(!is_ranked_    ? 0
                : classes == 2 ? 1
                               : classes) {}

Model::Wanted Tally::wanted(const Model& model, std::size_t classes) {
  if (classes <= 2 || classes > kMostRankedClasses) return {};
  const bool probabilities = model.has_probabilities();
  return {.class_scores = !probabilities, .probabilities = probabilities};
}

void Tally::add(const Model::Prediction& prediction, std::span<const float> targets) {
  for (std::size_t i = 0; i < targets.size(); ++i)
    ++confusion_[static_cast<std::size_t>(targets[i]) * classes_ + prediction.classes[i]];
  has_probabilities_ |= !prediction.target_probabilities.empty();
  for (const float p : prediction.target_probabilities)
    log_loss_ +=
        static_cast<Fixed>(-std::log(p > kLeastProbability ? p : kLeastProbability) / kUnit);
  if (is_ranked_) rank(prediction, targets);
}

void Tally::rank(const Model::Prediction& prediction, std::span<const float> targets) {
  const std::vector<float>& scores = rankings_.size() == 1              ? prediction.scores
                                     : prediction.probabilities.empty() ? prediction.class_scores
                                                                        : prediction.probabilities;
  if (std::ranges::any_of(scores, [](float s) { return std::isnan(s); })) return give_up_ranking();
  const std::size_t first = rankings_.size() == 1 ? 1 : 0;  // the class of the first ranking
  for (std::size_t i = 0; i < targets.size(); ++i)
    for (std::size_t k = 0; k < rankings_.size(); ++k) {
      const bool is_positive = targets[i] == static_cast<float>(first + k);
      (is_positive ? rankings_[k].positives : rankings_[k].negatives)
          .push_back(scores[i * rankings_.size() + k]);
    }
}

void Tally::give_up_ranking() {
  is_ranked_ = false;
  rankings_.clear();
}

void Tally::add(const Tally& other) {
  if (other.classes_ != classes_)
    fail(Code::internal, "tallies of {} and of {} classes", classes_, other.classes_);
  for (std::size_t i = 0; i < confusion_.size(); ++i) confusion_[i] += other.confusion_[i];
  has_probabilities_ |= other.has_probabilities_;
  log_loss_ += other.log_loss_;
  if (!is_ranked_ || !other.is_ranked_) return give_up_ranking();
  for (std::size_t k = 0; k < rankings_.size(); ++k) {
    const Ranking& more = other.rankings_[k];
    Ranking& ranking = rankings_[k];
    ranking.positives.insert(ranking.positives.end(), more.positives.begin(), more.positives.end());
    ranking.negatives.insert(ranking.negatives.end(), more.negatives.begin(), more.negatives.end());
  }
}

std::uint64_t Tally::rows() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t n : confusion_) sum += n;
  return sum;
}

std::uint64_t Tally::rows_of(std::size_t target) const {
  std::uint64_t sum = 0;
  for (std::size_t c = 0; c < classes_; ++c) sum += count(target, c);
  return sum;
}

std::uint64_t Tally::predicted_as(std::size_t c) const {
  std::uint64_t sum = 0;
  for (std::size_t target = 0; target < classes_; ++target) sum += count(target, c);
  return sum;
}

double Tally::log_loss() const { return static_cast<double>(log_loss_) * kUnit; }

Buffer Tally::to_bytes() const {
  TallyWriter out;
  out.add(kMagic);
  out.add(std::uint64_t{classes_});
  out.add(std::uint64_t{has_probabilities_});
  out.add(log_loss_);
  out.add(confusion_);
  out.add(std::uint64_t{rankings_.size()});
  for (const Ranking& ranking : rankings_) {
    out.add(ranking.positives);
    out.add(ranking.negatives);
  }
  return out.take();
}

Tally Tally::from_bytes(Bytes bytes, const std::string& what) {
  TallyReader in(bytes, what);
  if (in.number<std::uint64_t>() != kMagic) in.fail_damaged();
  Tally out;
  out.classes_ = in.number<std::uint64_t>();
  out.has_probabilities_ = in.number<std::uint64_t>() != 0;
  out.log_loss_ = in.number<Fixed>();
  out.confusion_ = in.list<std::uint64_t>();
  if (out.classes_ >= (1U << 31) || out.confusion_.size() != out.classes_ * out.classes_)
    in.fail_damaged();
  const auto rankings = in.number<std::uint64_t>();
  if (rankings > kMostRankedClasses) in.fail_damaged();
  for (std::uint64_t k = 0; k < rankings; ++k) {
    Ranking& ranking = out.rankings_.emplace_back();
    ranking.positives = in.list<float>();
    ranking.negatives = in.list<float>();
  }
  out.is_ranked_ = rankings > 0;
  if (out.is_ranked_ && rankings != Tally(out.classes_).rankings_.size()) in.fail_damaged();
  in.end();
  return out;
}

}  // namespace lambdaml::model
