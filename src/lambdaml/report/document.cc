#include "lambdaml/report/document.h"

#include <chrono>

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/report/options_part.h"
#include "lambdaml/report/run_part.h"
#include "lambdaml/report/search_part.h"
#include "lambdaml/report/source.h"
#include "lambdaml/report/timeline.h"

namespace lambdaml::report {
namespace {

using nlohmann::ordered_json;

/// False if that is unknown.
bool rounds_wait_of(const Source& source) {
  try {
    const std::optional<Buffer> job = source.read("job.yaml");
    return job && rounds_wait(options_of(*job));
  } catch (const Error&) {
    return false;
  }
}

/// Masks the secrets in every text.
void redact(ordered_json& value) {
  if (value.is_string())
    value = redacted(value.get_ref<const std::string&>());
  else if (value.is_structured())
    for (ordered_json& member : value) redact(member);
}

}  // namespace

ordered_json document_of(std::span<const std::string> places, const Request& request) {
  ordered_json items = ordered_json::array();
  for (const std::string& place : places) {
    const Source source = Source::open(place);
    items.push_back(source.kind() == Source::Kind::run ? run_json(source, request)
                                                       : search_json(source, request));
  }
  redact(items);
  const auto now = std::chrono::floor<std::chrono::seconds>(wall_now());
  return {{"version", 1},
          {"program", "lambdaml " LAMBDAML_VERSION},
          {"made", fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", now)},
          {"items", std::move(items)}};
}

std::string trace_of(const std::string& place) {
  const Source source = Source::open(place);
  if (source.kind() == Source::Kind::search)
    fail(Code::invalid_argument, "trace of {}: it is a search, and a trace is of one run",
         source.display());
  const std::optional<Buffer> text = source.read("workers.jsonl");
  const Timelines timelines(text ? text->text() : "", rounds_wait_of(source));
  if (timelines.empty())
    fail(Code::not_found,
         "trace of {}: it has no workers.jsonl: it has not ended, or is of an old version",
         source.display());
  return redacted(timelines.trace(source.display()));
}

}  // namespace lambdaml::report
