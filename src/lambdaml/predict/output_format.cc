#include "lambdaml/predict/output_format.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/source.h"

namespace lambdaml::predict {
namespace {

using model::Column;
using model::Table;

Buffer bytes_of(const std::string& text) { return Buffer(as_bytes(text)); }

std::string quoted(const std::string& text) { return json_text(nlohmann::json(text)); }

/// Appends value i of a column of numbers.
void append_number(std::string& to, const Column& column, std::size_t i) {
  std::visit([&](const auto& values) { fmt::format_to(std::back_inserter(to), "{}", values[i]); },
             column.values);
}

bool is_finite(const Column& column, std::size_t i) {
  const auto* reals = std::get_if<std::vector<float>>(&column.values);
  return reals == nullptr || std::isfinite((*reals)[i]);
}

/// The text that value i of a column stands for.
const std::string& text_at(const Column& column, std::size_t i) {
  const auto label = std::get<std::vector<std::int32_t>>(column.values)[i];
  return column.texts.at(static_cast<std::size_t>(label));
}

/// As RFC 4180 has it.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

Buffer write_csv(const Table& table) {
  std::string text;
  std::vector<std::string> names;
  for (const Column& column : table.columns) {
    if (column.parts.empty()) names.push_back(column.name);
    for (const std::string& part : column.parts)
      names.push_back(csv_field(column.name + "_" + part));
  }
  if (names.size() > 1) text = join(names, ",") + "\n";
  for (std::size_t row = 0; row < table.rows; ++row) {
    bool is_first = true;
    for (const Column& column : table.columns)
      for (std::size_t k = 0; k < column.width(); ++k) {
        if (!std::exchange(is_first, false)) text += ',';
        const std::size_t i = row * column.width() + k;
        if (column.texts.empty())
          append_number(text, column, i);
        else
          text += csv_field(text_at(column, i));
      }
    text += '\n';
  }
  return bytes_of(text);
}

Buffer write_jsonl(const Table& table) {
  /// What stands before each value of a row.
  std::vector<std::string> before;
  for (const Column& column : table.columns) {
    const std::string name = (before.empty() ? "{" : ",") + quoted(column.name) + ":";
    if (column.parts.empty()) before.push_back(name);
    for (std::size_t k = 0; k < column.parts.size(); ++k)
      before.push_back((k == 0 ? name + "{" : ",") + quoted(column.parts[k]) + ":");
  }
  std::string text;
  for (std::size_t row = 0; row < table.rows; ++row) {
    std::size_t at = 0;
    for (const Column& column : table.columns) {
      for (std::size_t k = 0; k < column.width(); ++k) {
        text += before[at++];
        const std::size_t i = row * column.width() + k;
        if (!column.texts.empty())
          text += quoted(text_at(column, i));
        else if (is_finite(column, i))
          append_number(text, column, i);
        else
          text += "null";
      }
      if (!column.parts.empty()) text += '}';
    }
    text += "}\n";
  }
  return bytes_of(text);
}

/// Every number has four bytes.
const char* npy_type(const Column& column) {
  return std::holds_alternative<std::vector<float>>(column.values) ? "<f4" : "<i4";
}

/// Version 1.0 of the format (numpy.lib.format): magic, version, length of the header, header.
std::string npy_header(const Table& table) {
  std::string type;
  if (table.columns.size() == 1 && table.columns[0].parts.empty()) {
    type = fmt::format("'{}'", npy_type(table.columns[0]));
  } else {
    for (const Column& column : table.columns)
      type +=
          fmt::format("{}('{}', '{}'{})", type.empty() ? "[" : ", ", column.name, npy_type(column),
                      column.parts.empty() ? "" : fmt::format(", ({},)", column.width()));
    type += "]";
  }
  std::string header =
      fmt::format("{{'descr': {}, 'fortran_order': False, 'shape': ({},), }}", type, table.rows);
  constexpr std::size_t kBefore = 10;
  constexpr std::size_t kAlignment = 64;
  header.append(kAlignment - 1 - (kBefore + header.size()) % kAlignment, ' ');
  header += '\n';
  const auto size = static_cast<std::uint16_t>(header.size());
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(size & 0xff);
  out += static_cast<char>(size >> 8);
  return out + header;
}

Buffer write_npy(const Table& table) {
  const std::string header = npy_header(table);
  std::size_t width = 0;
  for (const Column& column : table.columns) width += column.width() * sizeof(float);
  Buffer out(header.size() + table.rows * width);
  std::memcpy(out.data(), header.data(), header.size());
  std::byte* at = out.data() + header.size();
  for (std::size_t row = 0; row < table.rows; ++row)
    for (const Column& column : table.columns) {
      const std::size_t bytes = column.width() * sizeof(float);
      std::visit(
          [&](const auto& values) {
            static_assert(sizeof(values[0]) == sizeof(float));
            std::memcpy(at, values.data() + row * column.width(), bytes);
          },
          column.values);
      at += bytes;
    }
  return out;
}

}  // namespace

const std::vector<OutputFormat>& output_formats() {
  static const std::vector<OutputFormat> formats{
      {"csv", "a line per row, with a header where there are several columns", write_csv},
      {"jsonl", "a JSON object per line", write_jsonl},
      {"npy", "an array for numpy.load()", write_npy}};
  return formats;
}

std::string result_key(std::size_t i, std::size_t n, const OutputFormat& format) {
  return fmt::format("{}.{}", data::part_key(i, n), format.name);
}

const OutputFormat& output_format(std::string_view name) {
  std::vector<std::string> names;
  for (const OutputFormat& format : output_formats()) {
    if (format.name == name) return format;
    names.push_back(format.name);
  }
  fail(Code::invalid_argument, "unknown output format '{}'{}", printable(name),
       did_you_mean(name, names));
}

}  // namespace lambdaml::predict
