#include "lambdaml/data/shared_rows.h"

#include <map>
#include <mutex>
#include <numeric>

#include "lambdaml/base/error.h"

namespace lambdaml::data {
namespace {

constexpr std::string_view kPrefix = "memory-rows:";

struct AllShared {
  std::mutex mutex;
  std::uint64_t next = 0;
  std::map<std::string, Dataset, std::less<>> by_name;
};

AllShared& all_shared() {
  static AllShared all;
  return all;
}

}  // namespace

SharedRows::SharedRows(Dataset dataset) : dataset_(std::move(dataset)) {
  AllShared& all = all_shared();
  const std::lock_guard lock(all.mutex);
  name_ = fmt::format("{}{}", kPrefix, all.next++);
  all.by_name.emplace(name_, dataset_);
}

SharedRows::~SharedRows() {
  AllShared& all = all_shared();
  const std::lock_guard lock(all.mutex);
  all.by_name.erase(name_);
}

Manifest SharedRows::manifest(std::size_t n) const {
  const std::size_t rows = dataset_.rows();
  if (n == 0 || rows < n)
    fail(Code::invalid_argument, "{} rows cannot be cut in {} parts: use fewer workers", rows, n);
  Manifest out = manifest_of(dataset_);
  for (std::size_t i = 0; i < n; ++i) out.part_rows.push_back(rows / n + (i < rows % n ? 1 : 0));
  out.bytes = out.stored_values * sizeof(float) + rows * sizeof(std::int32_t);
  out.checksum = checksum_of(dataset_);
  return out;
}

bool is_shared(std::string_view name) { return name.starts_with(kPrefix); }

Dataset shared_part(std::string_view name, std::size_t i, const Manifest& manifest) {
  AllShared& all = all_shared();
  const std::lock_guard lock(all.mutex);
  const auto found = all.by_name.find(name);
  if (found == all.by_name.end())
    fail(Code::not_found, "the data set {} is not in the memory of this process", name);
  const auto end_of = [&](std::size_t parts) {
    const auto begin = manifest.part_rows.begin();
    return std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(parts), std::uint64_t{0});
  };
  if (i >= manifest.parts() || manifest.rows() != found->second.rows())
    fail(Code::internal, "part {} of {} of {} rows of a data set of {}", i, manifest.parts(),
         manifest.rows(), found->second.rows());
  return found->second.slice(end_of(i), end_of(i + 1));
}

}  // namespace lambdaml::data
