#include "lambdaml/tune/begin_search.h"

#include <memory>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/data/places.h"
#include "lambdaml/job/job.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/tune/orders.h"
#include "lambdaml/tune/search_data.h"
#include "lambdaml/tune/strategy.h"

namespace lambdaml::tune {

void begin(Search& search, Records& records) {
  if (records.search()) return;
  // They determine the order of sums, so tuners that continue the search must keep them.
  job::choose_threads(search.job, search.settings.integer("concurrency"));
  // Another tuner may continue from another folder.
  for (const char* name : {"data", "test_data"})
    if (!search.job.text(name).empty())
      search.job.set(name, Option::Value(data::Places::parse(search.job.text(name)).text()), name);
  const std::unique_ptr<Strategy> strategy = make_strategy(search);
  Options first = options_of(search, strategy->parameters(0));
  job::resolve(first);
  first.set("checkpoint", Option::Value(records.trials_uri()), "checkpoint");
  trigger::require_reach(first);
  storage::require_atomic_create(records.store(), "a search");
  // Reports errors of the channel now and once, not for each trial.
  const Uri channel = Uri::parse(first.text("channel"));
  storage::open_plain(channel);
  storage::require_own_place(channel);
  SearchData(search, records).set_places_in(first);
  throw_if_interrupted();
  search.begun_ms = static_cast<std::uint64_t>(epoch_ms());
  // Once: a retry of this, whose predecessor ended before the record was written, keeps a stop.
  order_first_run(records, search.id);
  records.begin(search);
}

}  // namespace lambdaml::tune
