// Prints the tables of the paper, computed from profiles, as JSON; bench/paper.py shows them.
#include <cstdio>
#include <exception>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "paper/tables.h"

int main() {
  try {
    fmt::print("{}\n", lambdaml::paper::all_tables().dump(1));
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "lambdaml_paper: {}\n", error.what());
    return 1;
  }
}
