#include "lambdaml/trigger/engine_process.h"

#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/job/event.h"
#include "lambdaml/model/engine.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/platform.h"
#include "lambdaml/trigger/rehearsal.h"

namespace lambdaml::trigger {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Files may be larger than an event: they lie in a folder that caller and process share.
constexpr const char* kFolder = "folder";
constexpr const char* kDefinition = "definition";
constexpr const char* kInit = "init";
constexpr const char* kModel = "model";
constexpr const char* kExported = "exported";

constexpr const char* kWork = "work";
constexpr const char* kRehearse = "rehearse";
constexpr const char* kExport = "export";

/// Of a process that runs a module on two rows and holds its file a few times.
constexpr int kMemory_mb = 10'240;

/// A folder for the files of one event.
struct Files {
  void put(const char* name, Bytes bytes) const { write_file(scratch.path() / name, bytes); }
  Scratch scratch{"lambdaml-engine-"};
};

void run_process(const Options& options, const Files& files, const char* work, json event) {
  event[kWork] = work;
  event[kFolder] = files.scratch.path().string();
  const auto channel = storage::open(storage::resolve(options.text("channel")));
  const Platform local("local", options, *channel);
  faas::Function function = local.function();
  function.handler = kEngineHandler;
  function.memory_mb = kMemory_mb;
  function.retries = 0;
  function.environment["LAMBDAML_LOG_LEVEL"] = "warning";
  const auto invocations = local.invoke_all(function, {json_text(event)}, {});
  try {
    wait_for_all(*invocations);
  } catch (const Error& error) {
    if (error.code() == Code::workers_lost) rethrow_with("the process that looks at the model");
    // What is wrong is said as if this process had found it.
    std::string text = error.what();
    const std::string its_name = std::string(kEngineHandler) + " 0: ";
    if (text.starts_with(its_name)) text.erase(0, its_name.size());
    throw Error(error.code(), text);
  }
}

std::shared_ptr<const Buffer> load(const fs::path& path) {
  std::optional<Buffer> bytes = read_file(path);
  return bytes ? std::make_shared<const Buffer>(std::move(*bytes)) : nullptr;
}

void rehearse_event(const json& event, const fs::path& folder) {
  job::TrainEvent job = job::train_event_from_json(event.at("event").get<std::string>());
  StagedData staged;
  staged.data = std::move(job.data);
  staged.data.names = data::names_from(event.at("names").get<std::string>(), staged.data.features,
                                       "the engine's event");
  staged.test = std::move(job.test);
  staged.definition = load(folder / kDefinition);
  if (auto init = load(folder / kInit))
    staged.init = job::ModelFile{event.at("init_name"), std::move(init), nullptr};
  const auto channel = storage::open(storage::resolve(job.options.text("channel")));
  rehearse(std::move(job.options), staged, *channel);
}

}  // namespace

bool needs_engine_process(const Options& options) {
  return model::engine_library_is_kept_out() &&
         !model::registry().get(options.text("model")).file_option.empty();
}

void require_engine_in_reach(const Options& options, const storage::Storage& channel) {
  const model::Plugin& plugin = model::registry().get(options.text("model"));
  const bool is_deep = plugin.needs_images || !plugin.file_option.empty();
  if (is_deep && model::engine_library_is_kept_out() &&
      Platform::has_threads(options.text("platform"), channel))
    fail(Code::invalid_argument,
         "{}: workers that are threads of this process cannot train deep models: use --platform "
         "local, and a --channel that processes reach",
         plugin.name);
}

void rehearse_in_process(const Options& options, const StagedData& staged) {
  const Files files;
  if (staged.definition) files.put(kDefinition, *staged.definition);
  json event{{"names", staged.data.names ? data::names_text(*staged.data.names) : ""}};
  if (staged.init) {
    files.put(kInit, *staged.init->bytes);
    event["init_name"] = staged.init->what;
  }
  job::TrainEvent job;
  job.job_id = kRehearse;
  job.options = options;
  job.data = staged.data;
  job.test = staged.test;
  event["event"] = job::to_json(job);
  run_process(options, files, kRehearse, std::move(event));
}

std::optional<Buffer> exported(const std::shared_ptr<const Buffer>& model) {
  const job::TrainedModel trained = job::model_from_bytes(model, "the trained model");
  return trained.model->to_file(trained.parameters);
}

std::optional<Buffer> exported_by_process(const Options& options, const Buffer& model) {
  const Files files;
  files.put(kModel, model);
  run_process(options, files, kExport, json::object());
  return read_file(files.scratch.path() / kExported);
}

std::string handle_engine_event(const faas::Invocation& invocation) {
  const json event = parse_json(invocation.payload);
  try {
    const fs::path folder = event.at(kFolder).get<std::string>();
    const std::string work = event.at(kWork);
    if (work == kRehearse) {
      rehearse_event(event, folder);
    } else if (work == kExport) {
      const auto model = load(folder / kModel);
      if (!model)
        fail(Code::not_found, "the engine's event: its model is not in {}", folder.string());
      if (const std::optional<Buffer> file = exported(model)) write_file(folder / kExported, *file);
    } else {
      fail(Code::invalid_argument, "the engine's event: '{}' is no work for it", work);
    }
  } catch (const json::exception& error) {
    fail(Code::invalid_argument, "the engine's event: {}", error.what());
  }
  return "{}";
}

}  // namespace lambdaml::trigger
