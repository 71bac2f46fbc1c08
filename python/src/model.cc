#include "model.h"

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>
#include <pybind11/stl.h>

#include "dataset.h"
#include "gil.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/data/align.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/network.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/predict/predict.h"
#include "values.h"
#include "work.h"

namespace lambdaml::python {
namespace {

namespace py = pybind11;

/// A trained model. Used under Python's lock, or by one thread at a time.
class Model {
 public:
  explicit Model(job::TrainedModel model) : model_(std::move(model)) {}

  std::string facts() const {
    nlohmann::ordered_json out{{"model", model_.name}, {"features", model_.shape.features}};
    out["labels"] = model_.shape.labels;
    if (model_.shape.names) {
      out["feature_names"] = model_.shape.names->features;
      out["label_names"] = model_.shape.names->labels;
      out["label"] = model_.shape.names->label;
    }
    out["options"] = job::to_json(model_.options.without_passwords(), job::Values::given);
    out["has_probabilities"] = model_.model->has_probabilities();
    out["predicts_numbers"] = model::registry().get(model_.name).predicts_numbers;
    return json_text(out);
  }

  py::dict parameters() const {
    py::dict out;
    std::size_t at = 0;
    for (const model::Model::Piece& piece : model_.model->pieces()) {
      const std::size_t n = model::elements(piece);
      const auto begin = model_.parameters.begin() + static_cast<std::ptrdiff_t>(at);
      out[py::str(piece.name)] =
          Values(std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(n)),
                 {piece.shape.begin(), piece.shape.end()});
      at += n;
    }
    return out;
  }

  /// The columns of `lambdaml predict`'s table, by name.
  py::dict predict(const Dataset& rows, bool probabilities, bool scores) {
    const AtWork at_work;
    predict::Predictions result = unlocked([&] {
      const predict::Request request{
          .shown = {.class_scores = scores, .probabilities = probabilities}, .ignore_labels = true};
      predict::require_possible(model_, request, "the model");
      return predict::predict(
          model_, data::align(rows.rows(), predict::learned_by(model_.shape, request), "X"), "X",
          request);
    });
    py::dict out;
    const auto n = static_cast<py::ssize_t>(result.table.rows);
    for (model::Column& column : result.table.columns) {
      std::vector<py::ssize_t> shape{n};
      if (!column.parts.empty()) shape.push_back(static_cast<py::ssize_t>(column.parts.size()));
      std::visit(
          [&](auto& values) {
            out[py::str(column.name)] = Values(std::move(values), std::move(shape));
          },
          column.values);
    }
    return out;
  }

 private:
  job::TrainedModel model_;
};

Model read_model(const std::string& place) {
  const AtWork at_work;
  return unlocked([&] { return Model(job::read_model(place)); });
}

/// The file of a model with these parameters, one tensor after another: what the option `init`
/// takes.
py::bytes model_file(const Pairs& typed, std::size_t features,
                     const std::vector<std::int32_t>& labels, const py::buffer& parameters,
                     const std::string& names) {
  const py::buffer_info info = parameters.request();
  Options options = job::job_options();
  parse(options, typed);
  const model::Shape shape{.features = features,
                           .labels = labels,
                           .names = data::names_from(names, features, "a model")};
  const std::string name = options.text("model");
  const auto made = model::registry().get(name).make(shape, options);
  if (info.ndim != 1 || info.format != "f" || info.strides[0] != sizeof(float) ||
      static_cast<std::size_t>(info.shape[0]) != made->parameter_count())
    fail(Code::internal, "a model of {} parameters is given others", made->parameter_count());
  const std::span values(static_cast<const float*>(info.ptr), made->parameter_count());
  const Buffer file = job::model_to_bytes(name, shape, options, *made, values);
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

}  // namespace

void add_model(py::module_& module) {
  py::class_<Model>(module, "Model")
      .def_property_readonly("facts", &Model::facts)
      .def("parameters", &Model::parameters)
      .def("predict", &Model::predict, py::arg("rows"), py::arg("probabilities") = false,
           py::arg("scores") = false);
  module.def("read_model", read_model, py::arg("place"));
  module.def("model_file", model_file, py::arg("typed"), py::arg("features"), py::arg("labels"),
             py::arg("parameters"), py::arg("names") = "");
}

}  // namespace lambdaml::python
