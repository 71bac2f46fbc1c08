#include "lambdaml/job/prepared_parts.h"

#include <exception>
#include <optional>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

namespace lambdaml::job {

using nlohmann::json;

json to_json(std::size_t part, const data::SavedPart& saved) {
  return {{"part", part},
          {"rows", saved.rows},
          {"bytes", saved.file.bytes},
          {"checksum", checksum_text(saved.file.checksum)},
          {"rows_checksum", checksum_text(saved.rows_checksum)},
          {"stored_values", saved.stored_values},
          {"labels", saved.labels},
          {"weights", saved.weights}};
}

std::vector<data::SavedPart> saved_parts(const std::vector<std::string>& reports,
                                         std::size_t parts) {
  std::vector<std::optional<data::SavedPart>> found(parts);
  try {
    for (const std::string& text : reports) {
      const json report = parse_json(text);
      for (const json& part : report.at("parts"))
        found.at(whole_number(part.at("part"))) =
            data::SavedPart{whole_number(part.at("rows")),
                            {whole_number(part.at("bytes")),
                             checksum_from(part.at("checksum").get<std::string>()).value()},
                            checksum_from(part.at("rows_checksum").get<std::string>()).value(),
                            whole_number(part.at("stored_values")),
                            part.at("labels").get<std::vector<std::int32_t>>(),
                            part.at("weights").get<double>()};
    }
    std::vector<data::SavedPart> out;
    for (auto& part : found) out.push_back(std::move(part.value()));
    return out;
  } catch (const std::exception& error) {
    fail(Code::data_corrupt, "the workers' reports do not have each of {} parts: {}", parts,
         error.what());
  }
}

}  // namespace lambdaml::job
