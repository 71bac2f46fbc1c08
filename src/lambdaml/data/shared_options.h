#pragma once

#include <string>

#include "lambdaml/base/options.h"

/// Options that several formats have; those of the same name are one option.
namespace lambdaml::data {

inline Option label_option() {
  return {.name = "label",
          .default_value = std::string(),
          .help =
              "column of labels or targets: a name, an index from 0 or from the end (-1), or "
              "none; by default one named label, target, class or y, else the first; of NumPy "
              "and Matrix Market files none"};
}

inline Option weight_column_option() {
  return {.name = "weight_column",
          .default_value = std::string(),
          .help =
              "column of the rows' weights in training: a name, an index from 0 or from the end "
              "(-1), or none; of an .npz file the array, by default sample_weight"};
}

inline Option labels_file_option() {
  return {.name = "labels_file",
          .default_value = std::string(),
          .help =
              "file of the labels or targets, one per row, of NumPy and Matrix Market files; by "
              "default y.npy beside X.npy"};
}

}  // namespace lambdaml::data
