#include "store.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <pybind11/stl.h>

#include "gil.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::python {
namespace {

namespace py = pybind11;

/// A store of the engine. Thread-safe.
class Store {
  /// Calls `use` without Python's lock.
  template <class Use>
  auto with_store(const Use& use) {
    const AtWork at_work;
    return unlocked(use);
  }

 public:
  explicit Store(std::shared_ptr<storage::Storage> store) : store_(std::move(store)) {}

  std::string describe() const { return store_->describe(); }
  py::object load(const std::string& key) {
    const std::optional<Buffer> value = with_store([&] { return store_->load(key); });
    if (!value) return py::none();
    return py::bytes(reinterpret_cast<const char*>(value->data()), value->size());
  }
  py::object load_range(const std::string& key, std::uint64_t begin, std::uint64_t bytes) {
    const std::optional<Buffer> value =
        with_store([&] { return store_->load_range(key, begin, bytes); });
    if (!value) return py::none();
    return py::bytes(reinterpret_cast<const char*>(value->data()), value->size());
  }
  void save(const std::string& key, const py::buffer& value) {
    const py::buffer_info info = value.request();
    if (PyBuffer_IsContiguous(info.view(), 'C') == 0)
      throw py::value_error("the value's bytes do not lie one after the other");
    const Bytes bytes(static_cast<const std::byte*>(info.ptr),
                      static_cast<std::size_t>(info.size * info.itemsize));
    with_store([&] { store_->save(key, bytes); });
  }
  void remove(const std::string& key) {
    with_store([&] { store_->remove(key); });
  }
  bool exists(const std::string& key) {
    return with_store([&] { return store_->exists(key); });
  }
  std::vector<std::pair<std::string, std::uint64_t>> list(const std::string& prefix) {
    std::vector<std::pair<std::string, std::uint64_t>> out;
    for (const storage::Entry& entry : with_store([&] { return store_->list(prefix); }))
      out.emplace_back(entry.key, entry.bytes);
    return out;
  }
  void clear(const std::string& prefix) {
    with_store([&] { store_->clear(prefix); });
  }

 private:
  std::shared_ptr<storage::Storage> store_;
};

std::unique_ptr<Store> open_store(const std::string& uri) {
  const AtWork at_work;
  return unlocked([&] { return std::make_unique<Store>(storage::open(storage::resolve(uri))); });
}

}  // namespace

void add_stores(py::module_& module) {
  py::class_<Store>(module, "Store")
      .def_property_readonly("name", &Store::describe)
      .def("load", &Store::load, py::arg("key"))
      .def("load_range", &Store::load_range, py::arg("key"), py::arg("begin"), py::arg("bytes"))
      .def("save", &Store::save, py::arg("key"), py::arg("value"))
      .def("remove", &Store::remove, py::arg("key"))
      .def("exists", &Store::exists, py::arg("key"))
      .def("list", &Store::list, py::arg("prefix"))
      .def("clear", &Store::clear, py::arg("prefix"));
  module.def("open_store", open_store, py::arg("uri"));
}

}  // namespace lambdaml::python
