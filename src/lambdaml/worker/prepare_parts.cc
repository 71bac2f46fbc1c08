#include "lambdaml/worker/prepare_parts.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/data/blocks/part_reader.h"
#include "lambdaml/data/source.h"
#include "lambdaml/job/block_plan.h"
#include "lambdaml/job/prepared_parts.h"
#include "lambdaml/job/worker_stats.h"
#include "lambdaml/worker/entry.h"
#include "lambdaml/worker/parts_worker.h"

namespace lambdaml::worker {
namespace {

/// What a worker reserves of its time for saving a part.
constexpr double kReserveForParts_s = 2;
constexpr std::string_view kOverForParts =
    " before its part of the data is saved: give functions more with --timeout-s, or the job more "
    "--workers";

class PreparingWorker {
 public:
  PreparingWorker(const job::PrepareEvent& event, const faas::Invocation& invocation,
                  const std::function<void()>& each_second)
      : event_(event),
        own_(event, invocation, each_second, {kReserveForParts_s, kOverForParts}),
        channel_(control::channel_of_rounds(own_.open_channel(), invocation,
                                            [this] { own_.between(); })) {}

  std::string run() {
    return unless_superseded(own_.claim(), [this] { return work(); });
  }

 private:
  std::string work() {
    const Entry entry = enter(*channel_, own_.claim(), event_.worker);
    if (entry.answer) return *entry.answer;
    const data::BlockPlan plan = load_plan();
    data::PartReader reader(
        plan, [this](const std::string& uri) { return own_.stores().open(uri); }, event_.worker,
        event_.workers, [this] { own_.between(); });
    const data::Findings found = find(reader);
    const data::Agreement agreement = agree(reader);
    if (!agreement.error.empty()) throw Error(agreement.code, agreement.error);
    if (!agreement.not_lines.empty())
      return own_.report(*channel_, nlohmann::json::parse(kNotLines));
    const std::shared_ptr<storage::Storage> store =
        event_.to.empty()
            ? storage::with_prefix(own_.stores().open_channel(event_.channel, event_.for_job),
                                   event_.prefix)
            : own_.stores().open(event_.to);
    nlohmann::json parts = nlohmann::json::array();
    for (const std::size_t part : reader.own_parts()) {
      const data::Dataset rows = reader.rows(part, agreement, found);
      own_.between();
      const data::SavedPart saved =
          data::save_part(*store, rows, part, plan.parts, agreement.id, event_.as);
      parts.push_back(job::to_json(part, saved));
      log::info("saved part {} of {}: {} rows", part, plan.parts, saved.rows);
    }
    return own_.report(*channel_, {{"parts", std::move(parts)}});
  }

  std::string what(const std::string& key) const {
    return fmt::format("channel {}/{}", channel_->describe(), key);
  }

  data::BlockPlan load_plan() {
    const std::optional<Buffer> text = channel_->load(control::keys::kPlan);
    if (!text) fail_lost(*channel_, event_.worker);
    if (data::content_of(*text) != event_.plan)
      fail(Code::data_corrupt, "{}: it is not the plan that the job was begun with",
           what(control::keys::kPlan));
    return job::block_plan_from_json(text->text(), what(control::keys::kPlan));
  }

  data::Findings find(data::PartReader& reader) {
    const std::string key = control::keys::findings(event_.worker);
    const Stopwatch reading;
    const data::Findings found = reader.find();
    std::uint64_t rows = 0;
    for (const auto& block : found.blocks) rows += block.rows;
    log::info("read {} rows in {} blocks in {:.3f} s", rows, found.blocks.size(),
              reading.seconds());
    const std::string text = found.to_json();
    // An earlier attempt of this worker may have said what others rely on.
    const std::optional<Buffer> before = channel_->load(key);
    if (before && before->text() != text)
      fail(Code::data_corrupt,
           "worker {}: the data are not what an earlier attempt has read: they were changed "
           "meanwhile; begin again",
           event_.worker);
    if (!before) channel_->save(key, as_bytes(text));
    return found;
  }

  data::Agreement agree(const data::PartReader& reader) {
    const std::string key = control::keys::kAgreement;
    const Deadline end = Deadline::in(std::min(event_.patience_s, own_.seconds_left()));
    if (event_.worker == 0 && !channel_->load(key)) {
      std::vector<std::string> keys;
      for (std::uint32_t worker = 0; worker < event_.workers; ++worker)
        keys.push_back(control::keys::findings(worker));
      const std::vector<Buffer> texts = wait_for(keys, end);
      std::vector<data::Findings> all;
      for (std::size_t i = 0; i < texts.size(); ++i)
        all.push_back(data::Findings::from_json(texts[i].text(), what(keys[i])));
      channel_->save(key, as_bytes(reader.agree(all).to_json()));
    }
    return data::Agreement::from_json(wait_for({key}, end).front().text(), what(key));
  }

  std::vector<Buffer> wait_for(const std::vector<std::string>& keys, Deadline end) {
    try {
      return channel_->load_all(keys, end);
    } catch (const storage::MissingKeys&) {
      own_.require_time();
      throw;
    }
  }

  const job::PrepareEvent& event_;
  PartsWorker own_;
  std::shared_ptr<storage::Storage> channel_;
};

}  // namespace

std::string prepare_parts(const job::PrepareEvent& event, const faas::Invocation& invocation,
                          const std::function<void()>& each_second) {
  return PreparingWorker(event, invocation, each_second).run();
}

}  // namespace lambdaml::worker
