#include <filesystem>
#include <memory>

#include <unistd.h>

#include "bench/shapes.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/synthetic.h"

namespace lambdaml::bench {
namespace {

struct Case {
  std::string name;
  data::SyntheticOptions shape;
};

/// A file in shared memory that goes with the process.
class SharedFile {
 public:
  SharedFile(const std::string& name, Bytes bytes)
      : path_(shared_memory_folder() / fmt::format("lambdaml-bench-{}-{}", ::getpid(), name)),
        size_(bytes.size()) {
    write_file(path_, bytes);
  }
  SharedFile(const SharedFile&) = delete;
  ~SharedFile() { ::unlink(path_.c_str()); }
  std::size_t size() const { return size_; }
  Buffer read() const { return std::move(*read_file(path_)); }

 private:
  std::filesystem::path path_;
  std::size_t size_;
};

}  // namespace

void add_text() {
  const Case cases[] = {{"dense", {.kind = "higgs", .rows = 200'000}},
                        {"sparse", {.kind = "rcv1", .rows = 50'000}}};
  for (const Case& c : cases) {
    const data::Dataset rows = data::synthesize(c.shape, processors());
    const std::size_t values = tensor::stored_values(rows.features);
    const data::Plugin& libsvm = data::registry().get("libsvm");
    const data::Plugin& shard = data::registry().get("shard");
    const auto text = std::make_shared<const Buffer>(libsvm.write(rows));
    add("text_" + c.name, [=, &libsvm](std::size_t threads) {
      const data::Dataset read = libsvm.read(text, {"text", data::Form::automatic, threads});
      benchmark::DoNotOptimize(read.rows());
      return Work{text->size(), values};
    });
    if (c.name == "dense") {
      const data::Plugin& csv = data::registry().get("csv");
      const auto table = std::make_shared<const Buffer>(csv.write(rows));
      add("csv_" + c.name, [=, &csv](std::size_t threads) {
        const data::Dataset read = data::read_with(
            csv, table, {.what = "table", .threads = threads}, data::format_options());
        benchmark::DoNotOptimize(read.rows());
        return Work{table->size(), values};
      });
    }
    const auto file = std::make_shared<const SharedFile>(c.name, shard.write(rows));
    add("read_file_" + c.name, [=](std::size_t) {
      const Buffer bytes = file->read();
      benchmark::DoNotOptimize(bytes.data());
      return Work{file->size(), values};
    });
    add("shard_" + c.name, [=, &shard](std::size_t threads) {
      const data::Dataset read = shard.read(std::make_shared<const Buffer>(file->read()),
                                            {"shard", data::Form::automatic, threads});
      benchmark::DoNotOptimize(read.rows());
      return Work{file->size(), values};
    });
  }
}

}  // namespace lambdaml::bench
