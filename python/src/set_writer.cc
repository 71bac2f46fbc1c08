#include "set_writer.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataset.h"
#include "gil.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/weights.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::python {
namespace {

namespace py = pybind11;

/// Saves the parts of a set one after another, each of successive rows. Without finish() there is
/// no set. Used by one thread.
class SetWriter {
 public:
  SetWriter(const std::string& uri, std::size_t parts) : parts_(parts) {
    const AtWork at_work;
    if (parts == 0) fail(Code::invalid_argument, "a data set cannot be cut in 0 parts");
    unlocked([&] {
      place_ = storage::resolve(uri);
      store_ = storage::open(place_);
      before_ = data::remove_manifest(*store_, parts);
    });
    manifest_.id = unique_number();
    manifest_.in_order = true;
  }

  void add(const Dataset& dataset) {
    const AtWork at_work;
    const data::Dataset& rows = dataset.rows();
    if (saved_.size() == parts_) fail(Code::internal, "a set of {} parts gets one more", parts_);
    if (rows.rows() == 0) fail(Code::invalid_argument, "part {} has no rows", saved_.size());
    unlocked([&] {
      const data::Manifest now = facts_of(rows);
      if (saved_.empty()) {
        const std::uint64_t id = manifest_.id;
        manifest_ = now;
        manifest_.id = id;
      }
      require_alike(now);
      saved_.push_back(
          data::save_part(*store_, rows, saved_.size(), parts_, manifest_.id, manifest_.format));
    });
  }

  std::string finish() {
    const AtWork at_work;
    if (saved_.size() != parts_)
      fail(Code::internal, "{} of {} parts are there", saved_.size(), parts_);
    unlocked([&] {
      data::save_manifest(*store_, manifest_, saved_);
      store_->remove_all(before_);
    });
    saved_.clear();
    return place_.text();
  }

  /// Removes what was saved of a set that is not finished.
  void discard() {
    const AtWork at_work;
    unlocked([&] {
      const Tidying tidying;
      std::vector<std::string> keys;
      for (std::size_t i = 0; i < saved_.size(); ++i) keys.push_back(data::part_key(i, parts_));
      store_->remove_all(keys);
    });
    saved_.clear();
  }

 private:
  static data::Manifest facts_of(const data::Dataset& rows) {
    data::Manifest out;
    out.features = rows.cols();
    out.sparse = tensor::is_sparse(rows.features);
    out.targets = !rows.targets.empty();
    out.names = rows.names;
    out.tensors = rows.tensor_shapes();
    out.in_order = true;
    return out;
  }

  void require_alike(const data::Manifest& now) const {
    const bool alike = now.features == manifest_.features && now.sparse == manifest_.sparse &&
                       now.targets == manifest_.targets && now.tensors == manifest_.tensors &&
                       data::same_names(now.names, manifest_.names);
    if (!alike)
      fail(Code::invalid_argument,
           "the rows of part {} have other columns, names or types than those before",
           saved_.size());
  }

  const std::size_t parts_;
  Uri place_;
  std::shared_ptr<storage::Storage> store_;
  std::vector<std::string> before_;
  data::Manifest manifest_;
  std::vector<data::SavedPart> saved_;
};

/// Cuts rows in memory as `lambdaml data split` does; returns the set's URI.
std::string split(const Dataset& dataset, const std::string& uri, std::size_t parts) {
  const AtWork at_work;
  return unlocked([&] {
    const Uri place = storage::resolve(uri);
    data::split(dataset.rows(), parts, *storage::open(place), "shard", processors());
    return place.text();
  });
}

}  // namespace

void add_set_writer(py::module_& module) {
  py::class_<SetWriter>(module, "SetWriter")
      .def(py::init<const std::string&, std::size_t>(), py::arg("uri"), py::arg("parts"))
      .def("add", &SetWriter::add, py::arg("rows"))
      .def("finish", &SetWriter::finish)
      .def("discard", &SetWriter::discard);
  module.def("split", split, py::arg("rows"), py::arg("uri"), py::arg("parts"));
}

}  // namespace lambdaml::python
