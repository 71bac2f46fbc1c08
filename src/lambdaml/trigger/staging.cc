#include "lambdaml/trigger/staging.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/data/align.h"
#include "lambdaml/data/column_notices.h"
#include "lambdaml/data/weights.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/state_dict.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/trigger/platform.h"
#include "lambdaml/trigger/preparation.h"
#include "lambdaml/trigger/reach.h"

namespace lambdaml::trigger {
namespace {

/// Wraps a reference for a decorator that requires a shared_ptr.
std::shared_ptr<storage::Storage> borrowed(storage::Storage& store) {
  return {std::shared_ptr<void>(), &store};
}

std::string definition_file(const Options& options) {
  const std::string& option = model::registry().get(options.text("model")).file_option;
  return option.empty() ? "" : options.text(option);
}

/// A prepared set that workers can read in place: one part each, in the requested format.
std::optional<data::Manifest> find_usable(const Options& options, const data::Places& places,
                                          std::size_t workers) {
  const std::string& format = options.text("format");
  if (format != "auto" && format != "shard") return {};
  std::optional<data::Manifest> prepared = data::find_manifest(places);
  const bool usable = prepared && prepared->parts() == workers && prepared->format == "shard" &&
                      is_within_reach(options, places.uris[0].text());
  if (!usable) return {};
  if (prepared->part_files.empty()) data::warn_of_no_checksums(places.display());
  return prepared;
}

void require_enough_rows(std::size_t rows, std::size_t workers, const data::Places& places) {
  if (rows < workers)
    fail(Code::invalid_argument, "{}: {} rows are too few for {} workers; use fewer with --workers",
         places.display(), rows, workers);
}

/// Replaces the state_dict of a network by the model file with its tensors.
void take_state_dict(job::ModelFile& init, const StagedData& staged, const Options& options) {
  const std::string& name = options.text("model");
  if (!model::registry().get(name).needs_images || !job::is_state_dict(init.bytes)) return;
  const model::Shape shape{staged.data.features,       staged.data.labels,
                           staged.definition,          staged.data.names,
                           staged.data.tensors.inputs, staged.data.tensors.target};
  init.bytes = std::make_shared<const Buffer>(
      job::model_from_state_dict(init.bytes, init.what, name, shape, options));
}

/// Test data are read as the training data are, but for the file of the latter's labels.
Options options_of_test(Options options) {
  if (options.find("labels_file") != nullptr)
    options.set("labels_file", Option::Value(std::string()), "");
  return options;
}

/// What stage() does.
class Staging {
 public:
  /// `stores`: null if this process reads the data.
  Staging(const Options& options, storage::Storage& channel, control::Stores* stores,
          std::string job_id, const InMemory& memory)
      : options_(options),
        channel_(channel),
        memory_(memory),
        stores_(stores),
        job_id_(std::move(job_id)),
        workers_(static_cast<std::size_t>(options.integer("workers"))) {}

  StagedData run() {
    stage_definition();
    stage_data();
    stage_init();
    if (memory_.test || !options_.text("test_data").empty()) stage_test();
    return std::move(out_);
  }

 private:
  void stage_definition() {
    const std::string file = definition_file(options_);
    if (file.empty()) return;
    const Uri script = Uri::parse(file);
    const storage::Object object = storage::open_object(script);
    std::optional<Buffer> bytes = object.store->load(object.key);
    if (!bytes) fail(Code::not_found, "model {}: there is no such file", script.display());
    channel_.save(control::keys::kDefinition, *bytes);
    out_.files.push_back({script.display(), data::content_of(*bytes)});
    out_.definition = std::make_shared<const Buffer>(std::move(*bytes));
  }

  void stage_init() {
    const std::string& init = options_.text("init");
    if (init.empty()) return;
    out_.init = job::find_model(init);
    out_.files.push_back({out_.init->what, data::content_of(*out_.init->bytes)});
    take_state_dict(*out_.init, out_, options_);
    channel_.save(control::keys::kInitialModel, *out_.init->bytes);
  }

  void stage_data() {
    const data::Places places = data::Places::parse(options_.text("data"));
    if (memory_.data) {
      require_enough_rows(memory_.data->rows(), workers_, places);
      out_.data = stage_in_memory(*memory_.data, control::keys::kData, workers_, out_.data_uri);
      return;
    }
    const data::WeightColumn weights(options_);
    std::optional<data::Manifest> prepared = find_usable(options_, places, workers_);
    if (prepared && !(prepared->weights > 0 && weights.is_refused)) {
      data::require_weights(weights, prepared->weights > 0, places.display());
      out_.data = std::move(*prepared);
      out_.data_uri = places.uris[0].text();
      return;
    }
    if (stores_ != nullptr) {
      out_.data = taken(
          prepare_by_functions(preparation(places, control::keys::kData), options_, *stores_));
      return;
    }
    const data::Dataset dataset =
        data::read(places, options_.text("format"), processors(), &out_.files, options_);
    throw_if_interrupted();
    require_enough_rows(dataset.rows(), workers_, places);
    for (std::string& notice : data::column_notices(places.display(), dataset))
      out_.notices.push_back(std::move(notice));
    out_.data =
        data::split(dataset, workers_, *within(control::keys::kData), "shard", processors());
  }

  void stage_test() {
    if (memory_.test) {
      const data::Dataset test = data::align(*memory_.test,
                                             {.features = out_.data.features,
                                              .names = out_.data.names,
                                              .tensors = out_.data.tensors.inputs},
                                             options_.text("test_data"));
      out_.test = stage_in_memory(test, control::keys::kTest, std::min(workers_, test.rows()),
                                  out_.test_uri);
      return;
    }
    const data::Places places = data::Places::parse(options_.text("test_data"));
    out_.test = find_usable(options_, places, workers_);
    if (out_.test && out_.test->features == out_.data.features &&
        data::same_names(out_.test->names, out_.data.names) &&
        out_.test->tensors == out_.data.tensors) {
      out_.test_uri = places.uris[0].text();
      return;
    }
    const Options options = options_of_test(options_);
    const data::Learned model{.features = out_.data.features,
                              .names = out_.data.names,
                              .tensors = out_.data.tensors.inputs};
    if (stores_ != nullptr) {
      Preparation wanted = preparation(places, control::keys::kTest);
      wanted.model = model;
      if (auto made = prepare_if_large(wanted, options, *stores_)) {
        out_.test = taken(std::move(*made));
        return;
      }
    }
    const data::Dataset test =
        data::read_for(model, places, options_.text("format"), processors(), &out_.files, options);
    out_.test = data::split(test, std::min(workers_, test.rows()), *within(control::keys::kTest),
                            "shard", processors());
  }

  /// Shares the rows with workers that are threads of this process, setting `uri`, and otherwise
  /// saves them under `prefix`.
  data::Manifest stage_in_memory(const data::Dataset& rows, const char* prefix, std::size_t parts,
                                 std::string& uri) {
    if (Platform::has_threads(options_.text("platform"), channel_)) {
      const auto& shared = out_.shared.emplace_back(std::make_unique<data::SharedRows>(rows));
      uri = shared->name();
      return shared->manifest(parts);
    }
    // Successive rows are saved from where they are, others are copied first.
    const bool any_order = optim::registry().get(options_.text("optim")).whole_passes;
    return data::split(rows, parts, *within(prefix), "shard", processors(),
                       any_order ? data::Cut::in_order : data::Cut::dealt);
  }

  std::shared_ptr<storage::Storage> within(const char* prefix) const {
    return storage::with_prefix(borrowed(channel_), prefix);
  }
  Preparation preparation(const data::Places& places, const char* prefix) const {
    return {.places = places,
            .parts = workers_,
            .workers = workers_,
            .seed = static_cast<std::uint64_t>(options_.integer("seed")),
            .for_job = job_id_,
            .prefix = prefix};
  }
  data::Manifest taken(PreparedData made) {
    std::ranges::move(made.files, std::back_inserter(out_.files));
    std::ranges::move(made.reports, std::back_inserter(out_.preparing));
    std::ranges::move(made.notices, std::back_inserter(out_.notices));
    return std::move(made.manifest);
  }

  const Options& options_;
  storage::Storage& channel_;
  const InMemory& memory_;
  control::Stores* const stores_;
  const std::string job_id_;
  const std::size_t workers_;
  StagedData out_;
};

}  // namespace

void choose_reader(Options& options) {
  if (options.text("read_by") != "auto") return;
  std::string reader = "command";
  const data::Places places = data::Places::parse(options.text("data"));
  const auto workers = static_cast<std::size_t>(options.integer("workers"));
  if (job::is_remote(options) && !find_usable(options, places, workers) &&
      bytes_for_functions(places, options).value_or(0) >= kLargeData)
    reader = "functions";
  options.set("read_by", Option::Value(std::move(reader)), "read_by");
}

StagedData stage(const Options& options, storage::Storage& channel, control::Stores& stores,
                 const std::string& job_id, const InMemory& memory) {
  // A job of an older version does not say it.
  const bool by_functions = options.text("read_by") == "functions";
  return Staging(options, channel, by_functions ? &stores : nullptr, job_id, memory).run();
}

StagedData stage(const Options& options, storage::Storage& channel) {
  return Staging(options, channel, nullptr, "", {}).run();
}

}  // namespace lambdaml::trigger
