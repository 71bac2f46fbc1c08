#include "lambdaml/train/trigger_function.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/train/job.h"
#include "lambdaml/train/original_payload.h"
#include "lambdaml/train/trigger.h"

namespace lambdaml::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// What the trigger needs to collect and put away a finished job's results.
constexpr double kMarginSeconds = 5;

Options options_of(const std::string& payload) {
  Options options = job_options();
  read_environment(options);
  if (is_original_payload(payload)) {
    from_original_payload(payload, options);
  } else {
    if (!json::parse(payload, nullptr, false).is_object())
      fail(Code::invalid_argument, "event: not a JSON object: '{}'", printable(payload, 60));
    from_json(payload, "event", options);
  }
  if (!options.is_set("platform")) options.set("platform", Option::Value(std::string("aws")), "");
  if (options.text("function").empty())
    options.set("function", Option::Value(std::string("lambdaml-worker")), "function");
  resolve(options);
  return options;
}

/// The run's folder of one invocation: /tmp is kept between events.
class Scratch {
 public:
  Scratch() : path_(fs::temp_directory_path() / fmt::format("lambdaml-run-{}", new_job_id())) {}
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

std::string handle_trigger_event(const faas::Invocation& invocation) {
  Options options = options_of(invocation.payload);
  const double left_s = invocation.deadline.seconds_left() - kMarginSeconds;
  if (options.real("deadline") == 0 || options.real("deadline") > left_s)
    options.set("deadline", Option::Value(std::max(0.1, left_s)), "deadline");
  const std::string wanted = options.text("output");
  const Scratch scratch;
  options.set("output", Option::Value(scratch.path().string()), "output");

  Observer nobody;
  json summary = json::parse(train(options, nobody));
  const Uri output =
      Uri::parse(!wanted.empty() ? wanted
                                 : (options.text("checkpoint").empty()
                                        ? Uri::parse(options.text("channel")) / "results"
                                        : Uri::parse(options.text("checkpoint")))
                                       .text());
  const std::string job_id = summary.at("job_id").get<std::string>();
  const std::shared_ptr<storage::Storage> store = storage::open(output);
  const std::optional<Buffer> model = read_file(scratch.path() / "model.safetensors");
  if (!model) fail(Code::internal, "job {}: its model is not where it was written", job_id);
  store->save(job_id + "/model.safetensors", *model);
  summary["model_path"] = (output / job_id / "model.safetensors").display();
  const std::string text = summary.dump();
  store->save(job_id + "/summary.json", as_bytes(text));
  return text;
}

}  // namespace lambdaml::train
