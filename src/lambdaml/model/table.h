#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "lambdaml/model/model.h"

/// Predictions as they are shown: a kind of model decides which columns there are, files and
/// functions only how they are written.
namespace lambdaml::model {

/// One value per row, or one for each part of every row.
struct Column {
  std::string name;    ///< label; with parts: the beginning of their names, p of p_0 and p_1
  std::string plural;  ///< labels: the name of the values of all rows
  std::vector<std::string> parts = {};  ///< e.g. the labels; empty: one value per row
  std::variant<std::vector<std::int32_t>, std::vector<float>> values;  ///< rows × parts
  /// If not empty, the values are numbers of these texts.
  std::vector<std::string> texts = {};

  std::size_t width() const { return parts.empty() ? 1 : parts.size(); }
};

struct Table {
  std::size_t rows = 0;
  std::vector<Column> columns;
};

/// Makes the table of a model's predictions. `shown` says which of their optional parts are in it.
using Tabulate = Table (*)(Model::Prediction prediction, const Shape& shape,
                           const Model::Wanted& shown);

/// For classifiers: `label`; if shown, `p_LABEL` and `score_LABEL` of each label.
Table table_of_labels(Model::Prediction prediction, const Shape& shape, const Model::Wanted& shown);
/// For models without labels: `cluster`, a number from 0; with class_scores the row's score as
/// `distance`.
Table table_of_clusters(Model::Prediction prediction, const Shape& shape,
                        const Model::Wanted& shown);
/// For models that predict numbers: `value`; of those that predict several for a row, `value_0`, ….
Table table_of_numbers(Model::Prediction prediction, const Shape& shape,
                       const Model::Wanted& shown);
/// The first of these if the prediction has classes, else the last.
Table table_of_labels_or_numbers(Model::Prediction prediction, const Shape& shape,
                                 const Model::Wanted& shown);

}  // namespace lambdaml::model
