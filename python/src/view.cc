#include "view.h"

#include <string>

#include <nlohmann/json.hpp>

#include "gil.h"
#include "lambdaml/base/json.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::python {
namespace {

using view::JobView;

/// Calls `use` with the job, without Python's lock.
template <class Use>
auto with_job(const std::string& run, const Use& use) {
  const AtWork at_work;
  return unlocked([&] { return use(JobView::open(run)); });
}

std::string status(const std::string& run) {
  return with_job(run, [](const JobView& job) { return json_text(job.status()); });
}
void stop(const std::string& run) {
  with_job(run, [](const JobView& job) { job.stop(); });
}
std::uint32_t workers(const std::string& run) {
  return with_job(run, [](const JobView& job) { return job.workers(); });
}
std::string log(const std::string& run, std::uint32_t worker) {
  return with_job(run, [&](const JobView& job) { return job.log(worker); });
}

}  // namespace

void add_views(pybind11::module_& module) {
  namespace py = pybind11;
  module.def("status", status, py::arg("run"));
  module.def("stop", stop, py::arg("run"));
  module.def("workers", workers, py::arg("run"));
  module.def("log", log, py::arg("run"), py::arg("worker"));
}

}  // namespace lambdaml::python
