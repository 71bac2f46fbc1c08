#include "lambdaml/model/table.h"

#include <utility>

#include "lambdaml/model/names.h"

namespace lambdaml::model {

Table table_of_labels(Model::Prediction prediction, const Shape& shape,
                      const Model::Wanted& shown) {
  Table table{.rows = prediction.classes.size(), .columns = {}};
  std::vector<std::int32_t> labels;
  labels.reserve(table.rows);
  for (const std::uint32_t c : prediction.classes) labels.push_back(shape.labels.at(c));
  table.columns.push_back(
      {.name = "label",
       .plural = "labels",
       .values = std::move(labels),
       .texts = has_label_texts(shape) ? shape.names->labels : std::vector<std::string>()});
  std::vector<std::string> texts;
  for (std::size_t c = 0; c < shape.classes(); ++c) texts.push_back(label_text(shape, c));
  if (shown.probabilities)
    table.columns.push_back({.name = "p",
                             .plural = "probabilities",
                             .parts = texts,
                             .values = std::move(prediction.probabilities)});
  if (shown.class_scores)
    table.columns.push_back({.name = "score",
                             .plural = "scores",
                             .parts = std::move(texts),
                             .values = std::move(prediction.class_scores)});
  return table;
}

Table table_of_clusters(Model::Prediction prediction, const Shape&, const Model::Wanted& shown) {
  Table table{.rows = prediction.classes.size(), .columns = {}};
  table.columns.push_back(
      {.name = "cluster",
       .plural = "clusters",
       .values = std::vector<std::int32_t>(prediction.classes.begin(), prediction.classes.end())});
  if (shown.class_scores)
    table.columns.push_back(
        {.name = "distance", .plural = "distances", .values = std::move(prediction.scores)});
  return table;
}

Table table_of_numbers(Model::Prediction prediction, const Shape&, const Model::Wanted&) {
  Table table{.rows = prediction.scores.size(), .columns = {}};
  Column column{.name = "value", .plural = "values", .values = std::move(prediction.scores)};
  if (!prediction.outputs.empty() && table.rows > 0) {
    for (std::size_t i = 0; i < prediction.outputs.size() / table.rows; ++i)
      column.parts.push_back(std::to_string(i));
    column.values = std::move(prediction.outputs);
  }
  table.columns.push_back(std::move(column));
  return table;
}

Table table_of_labels_or_numbers(Model::Prediction prediction, const Shape& shape,
                                 const Model::Wanted& shown) {
  return prediction.classes.empty() ? table_of_numbers(std::move(prediction), shape, shown)
                                    : table_of_labels(std::move(prediction), shape, shown);
}

}  // namespace lambdaml::model
