#pragma once

#include <string>
#include <string_view>

namespace lambdaml::job {

/// What an option of a job is about, a few words for a heading of the help: Data, Model ….
/// "Options" for an unknown one.
std::string subject_of(std::string_view option);

}  // namespace lambdaml::job
