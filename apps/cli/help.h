#pragma once

#include <cstddef>
#include <string>

#include <CLI/CLI.hpp>

namespace lambdaml::cli {

/// Help whose lines fit the terminal: names on the left, wrapped descriptions on the right.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_subcommand(const CLI::App* command) const override;

 private:
  std::string row(const std::string& name, const std::string& description) const;
  const std::size_t columns_;
};

/// `text` in lines of at most `columns`, the lines after the first indented; words that are longer
/// stay whole. The first line begins in column `first`. A character of UTF-8 takes a column.
std::string wrapped(const std::string& text, std::size_t columns, std::size_t indent,
                    std::size_t first);

}  // namespace lambdaml::cli
