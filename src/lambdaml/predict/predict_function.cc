#include "lambdaml/predict/predict_function.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <optional>

#include <nlohmann/json.hpp>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/names.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/predict/predict.h"
#include "lambdaml/predict/tensors_of_event.h"

namespace lambdaml::predict {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kRows = "rows";

/// A list in JSON as rows: dense if every row is a list, sparse otherwise.
class RowsOfEvent {
 public:
  RowsOfEvent(const model::Shape& shape, const json& rows) : shape_(shape) {
    if (!rows.is_array()) fail(Code::invalid_argument, "event: 'rows' must be a list of rows");
    const bool is_dense = std::ranges::all_of(rows, [](const json& row) { return row.is_array(); });
    for (const json& row : rows) {
      if (row.is_array())
        is_dense ? add_dense(row) : add_list(row);
      else if (row.is_object())
        add_object(row);
      else
        fail(Code::invalid_argument,
             "event: {}: a row is a list of numbers, or an object with numbers by feature",
             place());
      ++count_;
    }
    is_dense_ = is_dense;
  }

  /// Points into this object.
  data::Dataset dataset() const {
    data::Dataset out;
    if (is_dense_)
      out.features = tensor::DenseView{values_.data(), count_, shape_.features};
    else
      out.features =
          tensor::Csr32{offsets_.data(), indices_.data(), values_.data(), count_, shape_.features};
    return out;
  }

 private:
  std::string place() const { return fmt::format("rows[{}]", count_); }

  float number(const json& value, const std::string& where) const {
    const double number = value.is_number() ? value.get<double>() : NAN;
    if (!(std::abs(number) <= std::numeric_limits<float>::max()))
      fail(Code::invalid_argument, "event: {}[{}] must be a number that a float holds", place(),
           where);
    return static_cast<float>(number);
  }

  void require_width(const json& row) const {
    if (row.size() != shape_.features)
      fail(Code::invalid_argument, "event: {} has {} values and the model has {} features", place(),
           row.size(), shape_.features);
  }

  void add_dense(const json& row) {
    require_width(row);
    for (std::size_t j = 0; j < row.size(); ++j)
      values_.push_back(number(row[j], std::to_string(j)));
  }

  void add_list(const json& row) {
    require_width(row);
    std::map<std::uint32_t, float> values;
    for (std::size_t j = 0; j < row.size(); ++j)
      values[static_cast<std::uint32_t>(j)] = number(row[j], std::to_string(j));
    add_sparse(values);
  }

  void add_object(const json& row) {
    std::map<std::uint32_t, float> values;
    for (const auto& [name, value] : row.items()) {
      const auto [at, is_new] = values.emplace(index_of(name), number(value, printable(name)));
      if (!is_new)
        fail(Code::invalid_argument, "event: {} has the feature '{}' twice", place(),
             printable(name));
    }
    add_sparse(values);
  }

  std::uint32_t index_of(const std::string& name) {
    const auto known = known_.find(name);
    if (known != known_.end()) return known->second;
    const std::optional<std::size_t> index = model::find_feature(shape_, name);
    if (!index)
      fail(Code::invalid_argument,
           "event: {}: the model has no feature '{}'; it has {}, counted from 1{}", place(),
           printable(name), shape_.features,
           shape_.names && !shape_.names->features.empty()
               ? did_you_mean(name, shape_.names->features)
               : "");
    return known_[name] = static_cast<std::uint32_t>(*index);
  }

  void add_sparse(const std::map<std::uint32_t, float>& values) {
    for (const auto& [index, value] : values) {
      indices_.push_back(index);
      values_.push_back(value);
    }
    offsets_.push_back(values_.size());
  }

  const model::Shape& shape_;
  std::size_t count_ = 0;
  bool is_dense_ = true;
  std::map<std::string, std::uint32_t, std::less<>> known_;  ///< columns of names that were found
  std::vector<float> values_;
  std::vector<std::uint32_t> indices_;
  std::vector<std::uint64_t> offsets_ = {0};
};

ordered_json json_of(const model::Column& column, std::size_t rows) {
  ordered_json out = ordered_json::array();
  std::visit(
      [&](const auto& values) {
        for (std::size_t row = 0; row < rows; ++row) {
          if (column.parts.empty()) {
            if (column.texts.empty())
              out.push_back(values[row]);
            else
              out.push_back(column.texts.at(static_cast<std::size_t>(values[row])));
            continue;
          }
          const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * column.width());
          out.push_back(std::vector(begin, begin + static_cast<std::ptrdiff_t>(column.width())));
        }
      },
      column.values);
  return out;
}

/// The model of this instance.
class OwnModel {
 public:
  /// Calls `use` with it. Events of other threads wait: a model is used by one thread.
  template <class Use>
  std::string with(Use&& use) {
    const std::lock_guard lock(mutex_);
    const std::optional<std::string> place = environment_variable(kModelVariable);
    if (!place)
      fail(Code::invalid_argument,
           "this function has no model: {} is not set; deploy it with `lambdaml deploy --handler "
           "predict --model URI`",
           kModelVariable);
    if (!model_ || *place != place_) {
      model_.reset();
      model_.emplace(job::read_model(*place));
      place_ = *place;
      log::info("predicting with {}: {} features", Uri::parse(place_).display(),
                model_->shape.features);
    }
    return use(*model_);
  }

 private:
  std::mutex mutex_;
  std::string place_;
  std::optional<job::TrainedModel> model_;
};

}  // namespace

std::string answer(job::TrainedModel& model, std::string_view text) {
  const json event = parse_json(text);
  if (!event.is_object())
    fail(Code::invalid_argument,
         "event: not a JSON object with distinct names and at most {} values: '{}'",
         human_count(kMostJsonValues), printable(text, 60));
  for (const auto& [name, value] : event.items())
    if (name != kRows)
      fail(Code::invalid_argument, "event: unknown member '{}'{}", printable(name),
           did_you_mean(name, {kRows}));
  if (!event.contains(kRows)) fail(Code::invalid_argument, "event: the member 'rows' is missing");
  std::optional<RowsOfEvent> rows;  // of features
  data::Dataset dataset;
  if (model.shape.inputs.empty())
    dataset = rows.emplace(model.shape, event[kRows]).dataset();
  else
    dataset = tensors_of_event(model.shape, event[kRows]);
  const bool has_probabilities = model.model->has_probabilities();
  const bool has_scores = !model.plugin().predicts_numbers;
  const Predictions predictions =
      predict(model, dataset, "event",
              {.shown = {.class_scores = has_scores, .probabilities = has_probabilities}});
  ordered_json out = ordered_json::object();
  for (const model::Column& column : predictions.table.columns)
    out[column.plural] = json_of(column, predictions.table.rows);
  if (!model.shape.labels.empty()) {
    if (!has_probabilities) out["probabilities"] = nullptr;
    out["classes"] = classes_of(model.shape);
  }
  return json_text(out);
}

std::string handle_predict_event(const faas::Invocation& invocation) {
  static OwnModel model;
  return model.with([&](job::TrainedModel& own) { return answer(own, invocation.payload); });
}

}  // namespace lambdaml::predict
