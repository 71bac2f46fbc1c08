#include "lambdaml/data/blocks/findings.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/align.h"
#include "lambdaml/data/blocks/agreeing.h"
#include "lambdaml/data/blocks/columns.h"
#include "lambdaml/data/scaling.h"

namespace lambdaml::data {
namespace {

using namespace agreeing;
using nlohmann::json;

/// Sums of the columns of all rows, by their names or indices.
void add_sums(std::map<std::string, Findings::Sum>& sums, const Dataset& rows,
              const NumberColumns& numbers) {
  // A sparse form leaves out zeros, which are values too.
  std::vector<Findings::Sum> own(rows.cols(), {0, static_cast<double>(rows.rows())});
  each_value(rows, [&](std::size_t column, float value) {
    if (std::isnan(value))
      own[column].count -= 1;
    else
      own[column].sum += value;
  });
  for (std::size_t c = 0; c < own.size(); ++c) {
    const std::string& name = rows.names->features[c];
    if (!numbers.has(name)) continue;
    Findings::Sum& sum = sums[name];
    sum.sum += own[c].sum;
    sum.count += own[c].count;
  }
}

std::map<Findings::Column, float> constants_of(const Dataset& rows) {
  std::map<Findings::Column, float> out;
  const bool is_named = rows.names && !rows.names->features.empty();
  for (const auto& [column, value] : constant_columns(rows)) {
    if (!std::isfinite(value)) continue;
    if (is_named)
      out[rows.names->features.at(column)] = value;
    else
      out[std::uint64_t{column}] = value;
  }
  return out;
}

json to_json(const std::map<Findings::Column, float>& constants) {
  json out = json::array();
  for (const auto& [column, value] : constants)
    out.push_back(
        json::array({std::visit([](const auto& key) { return json(key); }, column), json(value)}));
  return out;
}

std::map<Findings::Column, float> constants_from(const json& list) {
  std::map<Findings::Column, float> out;
  for (const json& entry : list) {
    const json& key = entry.at(0);
    const auto value = entry.at(1).get<float>();
    if (key.is_string())
      out[key.get<std::string>()] = value;
    else
      out[whole_number(key)] = value;
  }
  return out;
}

}  // namespace

void Findings::add(const OfBlock& block, const Dataset& rows, const BlockReader* reader,
                   const std::string& what) {
  blocks.push_back(block);
  if (rows.rows() == 0) return;
  const bool first = !labelled && !unlabelled;
  features = std::max<std::uint64_t>(features, rows.cols());
  any_sparse |= tensor::is_sparse(rows.features);
  const std::span<const float> values = values_of(rows);
  nonzeros += static_cast<std::uint64_t>(
      std::count_if(values.begin(), values.end(), [](float value) { return value != 0; }));
  names = first ? rows.names : united({names, rows.names}, {what, what});
  if (names) features = std::max<std::uint64_t>(features, names->features.size());
  earlier(rows.labelled() ? labelled : unlabelled, block.block);
  earlier(rows.weights.empty() ? unweighted : weighted, block.block);
  const std::string text = rows.tensors.empty() ? "" : tensors_text(rows.tensor_shapes());
  earlier(tensors, {{text, block.block}});
  targets |= !rows.targets.empty();
  if (reader != nullptr && reader->fill() != BlockReader::Fill::nothing && rows.names)
    add_sums(sums, rows, NumberColumns(reader->names().get()));
  if (rows.tensors.empty()) keep_common(constants, constants_of(rows));
}

void Findings::add_fault(const OfBlock& block, const BlockParts& parts) {
  blocks.push_back(block);
  const auto place = [&](std::uint64_t at) {
    const Block& b = parts.blocks().at(static_cast<std::size_t>(at));
    return std::pair(b.file, b.begin);
  };
  if (!fault || place(block.block) < place(*fault)) fault = block.block;
}

void Findings::add_not_lines(std::uint64_t file) {
  if (std::find(not_lines.begin(), not_lines.end(), file) == not_lines.end())
    not_lines.push_back(file);
}

std::string Findings::to_json() const {
  json all{{"features", features},
           {"nonzeros", nonzeros},
           {"sparse", any_sparse},
           {"targets", targets},
           {"blocks", json::array()}};
  for (const OfBlock& block : blocks)
    all["blocks"].push_back(fmt::format("{} {} {} {}", block.block, block.rows, block.line_ends,
                                        checksum_text(block.checksum)));
  if (names) all["names"] = names_text(*names);
  if (labelled) all["labelled"] = *labelled;
  if (unlabelled) all["unlabelled"] = *unlabelled;
  if (weighted) all["weighted"] = *weighted;
  if (unweighted) all["unweighted"] = *unweighted;
  for (const auto& [shapes, block] : tensors) all["tensors"][shapes] = block;
  if (fault) all["fault"] = *fault;
  if (!not_lines.empty()) all["not_lines"] = list_of(not_lines);
  for (const auto& [name, sum] : sums) all["sums"][name] = {sum.sum, sum.count};
  if (constants) all["constants"] = data::to_json(*constants);
  return json_text(all);
}

Findings Findings::from_json(std::string_view text, const std::string& what) {
  return from_text(text, what, [&](const json& all) {
    Findings out;
    for (const json& block : all.at("blocks")) {
      const std::vector<std::string> words = lambdaml::split(block.get<std::string>(), ' ');
      out.blocks.push_back({static_cast<std::uint64_t>(to_integer(words.at(0)).value()),
                            static_cast<std::uint64_t>(to_integer(words.at(1)).value()),
                            static_cast<std::uint64_t>(to_integer(words.at(2)).value()),
                            checksum_from(words.at(3)).value()});
    }
    out.features = whole_number(all.at("features"));
    out.nonzeros = whole_number(all.at("nonzeros"));
    all.at("sparse").get_to(out.any_sparse);
    all.at("targets").get_to(out.targets);
    if (all.contains("names"))
      out.names = names_from(all["names"].get<std::string>(), out.features, what);
    const auto optional = [&](const char* name) {
      return all.contains(name) ? std::optional(whole_number(all[name])) : std::nullopt;
    };
    out.labelled = optional("labelled");
    out.unlabelled = optional("unlabelled");
    out.weighted = optional("weighted");
    out.unweighted = optional("unweighted");
    const json tensors = all.value("tensors", json::object());
    for (const auto& [shapes, block] : tensors.items()) out.tensors[shapes] = whole_number(block);
    out.fault = optional("fault");
    out.not_lines = whole_numbers(all.value("not_lines", json::array()));
    const json sums = all.value("sums", json::object());
    for (const auto& [name, sum] : sums.items())
      out.sums[name] = {sum.at(0).get<double>(), sum.at(1).get<double>()};
    if (all.contains("constants")) out.constants = constants_from(all["constants"]);
    return out;
  });
}

}  // namespace lambdaml::data
