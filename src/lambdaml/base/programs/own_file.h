#pragma once

#include <filesystem>
#include <string_view>

namespace lambdaml {

/// The path of a file that belongs to this software and is found by its name: the worker, the
/// library that runs networks, what a function's zip contains. It is the first that exists of
///
/// - the file beside this program, or beside the shared library that this code is part of: there a
///   build and a Python package have everything;
/// - the file in ../lib/lambdaml as seen from there: an installation has it there;
/// - the same two places as seen from the `lambdaml-worker` that PATH names: for a program that is
///   linked with an installed library and lies elsewhere.
///
/// If none exists, the path beside this program, for messages. Thread-safe; some stat() calls.
std::filesystem::path own_file(std::string_view name);

}  // namespace lambdaml
