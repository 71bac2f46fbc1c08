#include "lambdaml/plan/question.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/comm/registry.h"

namespace lambdaml::plan {

JobAsItIs job_as_it_is(const Question& question) {
  JobAsItIs out;
  for (const std::string& name : question.channels) question.profile.store(name);
  for (const sim::StoreProfile& store : question.profile.stores)
    if (question.channels.empty() ||
        std::ranges::find(question.channels, store.name) != question.channels.end())
      out.channels.push_back(&store);
  const sim::StoreProfile& channel = *out.channels.front();
  const Options resolved = in_world(question.job, world_of(question, channel.name));
  const std::string& pattern = resolved.text("sync_mode");
  const comm::Plugin& plugin = comm::registry().get(pattern);
  if (!plugin.bulk_synchronous)
    fail(Code::invalid_argument,
         "plan: workers of the pattern '{}' do not wait for each other, so that their rounds "
         "cannot be estimated; simulate takes such jobs",
         pattern);
  out.memory_mb = resolved.integer("memory_mb");
  out.workers = resolved.integer("workers");
  comm::MergeSizes sizes{.workers = static_cast<std::uint32_t>(out.workers),
                         .options = comm::pattern_options(resolved)};
  if (channel.put_per_s > 0) sizes.writes_per_s = channel.put_per_s;
  if (plugin.aggregators) out.aggregators = plugin.aggregators(sizes);
  return out;
}

SimulatedWorld world_of(const Question& question, const std::string& channel) {
  SimulatedWorld world;
  world.profile = question.profile;
  world.channel = channel;
  world.seconds_per_row = question.seconds_per_row;
  world.staging_s = question.staging_s;
  world.load_s = question.load_s;
  world.rows = question.rows ? question.rows : question.data;
  return world;
}

}  // namespace lambdaml::plan
