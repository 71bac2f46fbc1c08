#include "lambdaml/trigger/preparation.h"

#include <algorithm>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/held_warnings.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/data/blocks/findings.h"
#include "lambdaml/data/blocks/stored_files.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/weights.h"
#include "lambdaml/job/block_plan.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/prepared_parts.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/trigger/parts_job.h"
#include "lambdaml/trigger/reach.h"

namespace lambdaml::trigger {
namespace {

bool names_labels_file(const Options& options) {
  return options.find("labels_file") != nullptr && !options.text("labels_file").empty();
}

/// The files that functions can read one by one.
std::optional<std::vector<data::StoredFile>> files_for_functions(const data::Places& places,
                                                                 const Options& options) {
  const auto is_reached = [&](const Uri& uri) { return is_within_reach(options, uri.text()); };
  if (names_labels_file(options) || !std::ranges::all_of(places.uris, is_reached)) return {};
  return data::stored_files(places, options.text("format"), options);
}

class PreparationJob {
 public:
  PreparationJob(const Preparation& wanted, const Options& options, control::Stores& stores)
      : wanted_(wanted),
        options_(options),
        stores_(stores),
        job_id_(wanted.for_job + "-prepare"),
        channel_(stores, options.text("channel"), job_id_, options.flag("keep"),
                 control::JobChannel::Stop::patient) {}

  PreparedData run(std::vector<data::StoredFile> files) {
    return channel_.use([&] {
      const std::vector<std::string> earlier = data::remove_manifest(*parts_store(), wanted_.parts);
      try {
        PreparedData out = prepare(std::move(files));
        parts_store()->remove_all(earlier);
        return out;
      } catch (...) {
        remove_parts();
        throw;
      }
    });
  }

 private:
  PreparedData prepare(std::vector<data::StoredFile> files) {
    // What an earlier attempt left, whose trigger was killed.
    channel_.store().clear("");
    data::BlockPlan plan = make_plan(std::move(files));
    std::vector<std::string> reports;
    data::Agreement agreement = run_once(plan, reports);
    if (!agreement.not_lines.empty()) {
      for (const std::uint64_t file : agreement.not_lines)
        plan.files.at(static_cast<std::size_t>(file)).can_be_cut = false;
      channel_.store().clear("");
      agreement = run_once(plan, reports);
    }
    return finish(plan, agreement, reports);
  }

  std::shared_ptr<storage::Storage> parts_store() const {
    return wanted_.to.empty() ? storage::with_prefix(
                                    stores_.open_channel(options_.text("channel"), wanted_.for_job),
                                    wanted_.prefix)
                              : stores_.open(wanted_.to);
  }

  /// An incomplete data set is useless.
  void remove_parts() noexcept {
    const Tidying tidying;
    try {
      std::vector<std::string> keys;
      for (std::size_t i = 0; i < wanted_.parts; ++i)
        keys.push_back(data::part_key(i, wanted_.parts));
      parts_store()->remove_all(keys);
    } catch (const std::exception& error) {
      log::warning("removing the parts of an unfinished data set: {}", error.what());
    } catch (...) {
      // A simulated process that was killed: its next call says so again.
    }
  }

  data::BlockPlan make_plan(std::vector<data::StoredFile> files) const {
    data::BlockPlan plan;
    plan.files = std::move(files);
    plan.block_bytes = data::block_bytes_for(plan.bytes());
    plan.seed = wanted_.seed;
    plan.parts = wanted_.parts;
    plan.format = options_.text("format");
    const Options of_formats = data::format_options();
    plan.options = with_values_of(of_formats.declared(), options_);
    plan.model = wanted_.model;
    for (const std::string& notice : data::complete(plan, processors())) log::warn_once(notice);
    throw_if_interrupted();
    return plan;
  }

  /// What cannot be cut is read as a whole, which takes longer: the user should know.
  void tell_of_whole_files(const data::BlockPlan& plan) const {
    const auto whole = std::ranges::count_if(
        plan.files, [](const data::StoredFile& file) { return !file.can_be_cut; });
    if (whole == 0) return;
    const auto first = std::ranges::find_if(
        plan.files, [](const data::StoredFile& file) { return !file.can_be_cut; });
    log::warn_once(fmt::format("{}{}: {} cannot be cut: one worker reads {}", first->display(),
                               whole > 1 ? fmt::format(" and {} more files", whole - 1) : "",
                               whole > 1 ? "they" : "it", whole > 1 ? "each" : "it"));
  }

  data::Agreement run_once(const data::BlockPlan& plan, std::vector<std::string>& reports) {
    tell_of_whole_files(plan);
    storage::Storage& channel = channel_.store();
    const std::string text = job::to_json(plan);
    channel.save(control::keys::kPlan, as_bytes(text));
    job::PrepareEvent event;
    event.job_id = job_id_;
    event.workers = static_cast<std::uint32_t>(std::min(wanted_.workers, wanted_.parts));
    event.channel = options_.text("channel");
    event.remote = job::is_remote(options_);
    event.plan = data::content_of(as_bytes(text));
    event.to = wanted_.to;
    event.for_job = wanted_.for_job;
    event.prefix = wanted_.prefix;
    event.as = wanted_.as;
    if (options_.find("patience_s") != nullptr) event.patience_s = options_.real("patience_s");
    event.sent_ms = epoch_ms();
    std::vector<std::string> events;
    for (; event.worker < event.workers; ++event.worker) events.push_back(job::to_json(event));
    reports = run_parts_job({options_, channel_, job_id_, std::move(events), true});
    const std::optional<Buffer> agreed = channel.load(control::keys::kAgreement);
    const std::string what =
        fmt::format("channel {}/{}", channel.describe(), control::keys::kAgreement);
    // It was saved before any worker reported.
    if (!agreed) fail(Code::unavailable, "{}: it is not there any more", what);
    return data::Agreement::from_json(agreed->text(), what);
  }

  PreparedData finish(const data::BlockPlan& plan, const data::Agreement& agreement,
                      const std::vector<std::string>& reports) {
    PreparedData out;
    data::Manifest& manifest = out.manifest;
    manifest.format = wanted_.as;
    manifest.features = agreement.features;
    manifest.sparse = agreement.form == data::Form::sparse;
    manifest.targets = agreement.targets;
    manifest.names = agreement.names;
    manifest.tensors = agreement.tensors;
    manifest.in_order = true;
    manifest.id = agreement.id;
    const std::vector<data::SavedPart> parts = job::saved_parts(reports, wanted_.parts);
    double weights = 0;
    for (const data::SavedPart& part : parts) weights += part.weights;
    if (!plan.is_for_model())
      data::require_weights(data::WeightColumn(options_), weights > 0, wanted_.places.display());
    data::save_manifest(*parts_store(), manifest, parts);
    for (std::size_t i = 0; i < plan.files.size(); ++i)
      out.files.push_back(
          {plan.files[i].display(), {plan.files[i].bytes, agreement.checksums.at(i)}});
    out.reports = reports;
    out.notices = agreement.notices;
    return out;
  }

  const Preparation& wanted_;
  const Options& options_;
  control::Stores& stores_;
  const std::string job_id_;
  control::JobChannel channel_;
};

}  // namespace

std::optional<std::uint64_t> bytes_for_functions(const data::Places& places,
                                                 const Options& options) {
  const auto files = files_for_functions(places, options);
  if (!files) return {};
  std::uint64_t bytes = 0;
  for (const data::StoredFile& file : *files) bytes += file.bytes;
  return bytes;
}

PreparedData prepare_by_functions(const Preparation& wanted, const Options& options,
                                  control::Stores& stores) {
  std::optional<std::vector<data::StoredFile>> files = files_for_functions(wanted.places, options);
  if (!files)
    fail(Code::invalid_argument,
         "{}: functions cannot prepare it: it must be files, a pattern or a folder of files, where "
         "the functions reach them; let the command read it: --read-by command, or data split "
         "without "
         "--platform",
         wanted.places.display());
  return PreparationJob(wanted, options, stores).run(std::move(*files));
}

std::optional<PreparedData> prepare_if_large(const Preparation& wanted, const Options& options,
                                             control::Stores& stores) {
  const std::optional<std::uint64_t> bytes = bytes_for_functions(wanted.places, options);
  if (!bytes || *bytes < kLargeData) return {};
  return prepare_by_functions(wanted, options, stores);
}

void tell_of(const PreparedData& made) {
  for (const std::string& notice : made.notices) log::warn_once(notice);
}

data::Manifest split_by_functions(Preparation wanted, Options options) {
  options.set("channel", Option::Value(storage::resolve(options.text("channel")).text()),
              "channel");
  require_platform(options);
  require_within_reach(options, "channel", options.text("channel"));
  require_within_reach(options, "to", wanted.to);
  wanted.for_job = "split-" + job::new_job_id();
  control::Stores stores;
  PreparedData made =
      log::warn_unless_refused([&] { return prepare_by_functions(wanted, options, stores); });
  tell_of(made);
  return std::move(made.manifest);
}

}  // namespace lambdaml::trigger
