#include <string>

#include <nlohmann/json.hpp>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "arrow.h"
#include "dataset.h"
#include "job.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/job/options.h"
#include "lambdaml/worker/worker.h"
#include "model.h"
#include "store.h"
#include "values.h"
#include "view.h"

/// The engine for the package `lambdaml`, whose Python files are its users: numbers pass as
/// buffers, descriptions as JSON.
namespace lambdaml::python {
namespace {

namespace py = pybind11;

/// Raises the package's exception for that code.
void raise(const Error& error) {
  const py::object make = py::module_::import("lambdaml._errors").attr("from_engine");
  const py::object exception =
      make(std::string(to_string(error.code())), error.what(), causes_of(error));
  PyErr_SetObject(py::type::of(exception).ptr(), exception.ptr());
}

std::string options_json() {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  const Options options = job::job_options();
  for (const Option& option : options.declared())
    out.push_back({{"name", option.name},
                   {"default", to_text(option.default_value)},
                   {"help", option.help},
                   {"unit", option.unit},
                   {"choices", option.choices},
                   {"aliases", option.aliases}});
  return json_text(out);
}

}  // namespace

PYBIND11_MODULE(_lambdaml, module) {
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      raise(error);
    }
  });
  log::configure(log::Level::warning, log::Format::text);
  // For jobs whose workers are threads of this process.
  worker::register_handler();
  module.attr("version") = LAMBDAML_VERSION;
  module.def("options", options_json);
  add_values(module);
  add_dataset(module);
  add_model(module);
  add_jobs(module);
  add_views(module);
  add_stores(module);
  add_arrow(module);
}

}  // namespace lambdaml::python
