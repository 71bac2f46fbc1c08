#include <string>

#include <pybind11/pybind11.h>

#include "arrow.h"
#include "dataset.h"
#include "gil.h"
#include "job.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/model/engine.h"
#include "lambdaml/worker/worker.h"
#include "model.h"
#include "search.h"
#include "services.h"
#include "set_writer.h"
#include "store.h"
#include "tensors.h"
#include "values.h"
#include "view.h"
#include "work.h"

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

}  // namespace

PYBIND11_MODULE(_lambdaml, module) {
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      raise(error);
    }
  });
  watch_forks();
  log::configure(log::Level::warning, log::Format::text);
  // For jobs whose workers are threads of this process.
  worker::register_handler();
  module.attr("version") = LAMBDAML_VERSION;
  // The interpreter may have a libtorch of its own.
  model::keep_engine_library_out();
  add_values(module);
  add_dataset(module);
  add_tensors(module);
  add_set_writer(module);
  add_model(module);
  add_work(module);
  add_jobs(module);
  add_search(module);
  add_services(module);
  add_views(module);
  add_stores(module);
  add_arrow(module);
}

}  // namespace lambdaml::python
