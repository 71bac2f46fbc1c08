#include "lambdaml/job/block_plan.h"

#include <algorithm>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/job/job_file.h"

namespace lambdaml::job {

using nlohmann::json;

std::string to_json(const data::BlockPlan& plan) {
  std::vector<std::string> folders;
  json files = json::array();
  for (const data::StoredFile& file : plan.files) {
    if (folders.empty() || folders.back() != file.folder) folders.push_back(file.folder);
    files.push_back({folders.size() - 1, file.key, file.bytes, file.can_be_cut});
  }
  json all{{"folders", folders},
           {"files", files},
           {"first_with_rows", plan.first_with_rows},
           {"block_bytes", plan.block_bytes},
           {"parts", plan.parts},
           {"format", plan.format},
           {"options", to_json(plan.options)},
           {"features", plan.model.features},
           {"ignore_labels", plan.model.ignore_labels}};
  if (plan.seed) all["seed"] = *plan.seed;
  if (plan.model.names) all["names"] = data::names_text(*plan.model.names);
  if (!plan.model.tensors.empty()) all["tensors"] = data::tensors_text({plan.model.tensors});
  return json_text(all);
}

data::BlockPlan block_plan_from_json(std::string_view text, const std::string& what) {
  data::BlockPlan plan;
  try {
    const json all = parse_json(text);
    const auto folders = all.at("folders").get<std::vector<std::string>>();
    for (const json& file : all.at("files"))
      plan.files.push_back({folders.at(whole_number(file.at(0))), file.at(1).get<std::string>(),
                            whole_number(file.at(2)), file.at(3).get<bool>()});
    plan.first_with_rows = whole_number(all.at("first_with_rows"));
    plan.block_bytes = whole_number(all.at("block_bytes"));
    plan.parts = whole_number(all.at("parts"));
    all.at("format").get_to(plan.format);
    plan.options = data::format_options();
    from_json(all.at("options"), what, plan.options);
    plan.model.features = whole_number(all.at("features"));
    all.at("ignore_labels").get_to(plan.model.ignore_labels);
    plan.model.tensors = data::tensors_from(all.value("tensors", ""), what).inputs;
    if (all.contains("seed")) plan.seed = whole_number(all["seed"]);
    if (all.contains("names"))
      plan.model.names =
          data::names_from(all["names"].get<std::string>(), plan.model.features, what);
  } catch (const std::exception& error) {
    fail(Code::data_corrupt, "{}: it is no plan of blocks: {}", what, error.what());
  }
  const auto is_empty = [](const data::StoredFile& file) { return file.bytes == 0; };
  if (plan.files.empty() || std::ranges::any_of(plan.files, is_empty) || plan.block_bytes == 0 ||
      plan.parts == 0 || plan.first_with_rows >= plan.files.size())
    fail(Code::data_corrupt, "{}: it is no plan of blocks", what);
  return plan;
}

}  // namespace lambdaml::job
