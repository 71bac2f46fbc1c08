#pragma once

#include <string>
#include <string_view>

/// Passwords and tokens stand in URIs: `redis://user:PASSWORD@host`, `ps://:TOKEN@host`, and a
/// query's value may hold another URI, or be a secret by its name. These find them wherever URIs
/// stand in a text (`torchscript:redis://…`, two of them, a sentence), and rather take too much for
/// a secret than too little where a URI is malformed: a password with a `/` in it, no host.
namespace lambdaml {

/// An option's value without the passwords in it: what may be kept in a file. It names the same
/// place: users, hosts, paths and the query stay.
std::string without_passwords(std::string_view value);

/// A URI for a message: user information and the values of its query masked, unprintable characters
/// escaped, 300 bytes at most.
std::string masked(std::string_view uri);
/// The same of a text that may be no URI, or a malformed one: all before its last @ is masked.
std::string without_secrets(std::string_view value);

/// A message, a line of a log, in which user information of URIs is masked, if there is any: for
/// texts of others, and as the last net under our own. Costs next to nothing without a `://`.
std::string redacted(std::string_view text);

}  // namespace lambdaml
