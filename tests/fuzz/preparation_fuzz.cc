// What functions that prepare a data set read of each other: the plan, what each has found, and
// what they have agreed on. Who writes to the channel may have written it.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataset_check.h"
#include "input.h"
#include "lambdaml/base/error.h"
#include "lambdaml/data/blocks/part_reader.h"
#include "lambdaml/data/blocks/stored_files.h"
#include "lambdaml/job/block_plan.h"
#include "lambdaml/storage/storage.h"

namespace {

using namespace lambdaml;
using fuzz::require;
using fuzz::require_code;

constexpr std::size_t kWorkers = 2;

std::shared_ptr<storage::Storage> open(const std::string& uri) { return storage::open(uri); }

/// A set of two files in four blocks or more.
const data::BlockPlan& plan() {
  static const data::BlockPlan made = [] {
    const auto store = storage::open("memory://fuzz-preparation");
    store->save("a.csv", as_bytes("label,age,colour\n1,2,red\n0,3,blue\n1,4,red\n0,5,green\n"));
    store->save("b.csv", as_bytes("label,age,colour\n1,7,blue\n0,8,grey\n"));
    data::BlockPlan out{
        .files =
            data::stored_files(data::Places::parse("memory://fuzz-preparation"), "csv").value(),
        .block_bytes = 20,
        .parts = kWorkers,
        .format = "csv",
        .options = data::format_options()};
    data::complete(out, 1);
    return out;
  }();
  return made;
}

/// Of worker 0, and what all have really found.
struct Reading {
  data::PartReader reader{plan(), open, 0, kWorkers, nullptr};
  std::vector<data::Findings> found;

  Reading() {
    found.push_back(reader.find());
    found.push_back(data::PartReader(plan(), open, 1, kWorkers, nullptr).find());
  }
};

void try_plan(std::string_view text) {
  const data::BlockPlan read = job::block_plan_from_json(text, "PLAN");
  const std::string again = job::to_json(read);
  require(job::to_json(job::block_plan_from_json(again, "PLAN")) == again);
}

void try_findings(std::string_view text) {
  data::Findings read = data::Findings::from_json(text, "FINDINGS");
  const std::string again = read.to_json();
  require(data::Findings::from_json(again, "FINDINGS").to_json() == again);
  Reading reading;
  reading.found[1] = std::move(read);
  const data::Agreement agreement = reading.reader.agree(reading.found);
  const std::string agreed = agreement.to_json();
  require(data::Agreement::from_json(agreed, "AGREEMENT").to_json() == agreed);
}

void try_agreement(std::string_view text) {
  const data::Agreement read = data::Agreement::from_json(text, "AGREEMENT");
  const std::string again = read.to_json();
  require(data::Agreement::from_json(again, "AGREEMENT").to_json() == again);
  if (!read.error.empty() || !read.not_lines.empty()) return;
  Reading reading;
  check_dataset(reading.reader.rows(0, read, reading.found[0]));
}

}  // namespace

/// The first byte says which of them it is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(bytes) + 1, size - 1);
  try {
    if (bytes[0] == 'p') try_plan(text);
    if (bytes[0] == 'f') try_findings(text);
    if (bytes[0] == 'a') try_agreement(text);
  } catch (const Error& error) {
    require_code(error, {Code::data_corrupt, Code::invalid_argument, Code::resource_exhausted});
  }
  return 0;
}
