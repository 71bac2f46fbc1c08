#pragma once

#include <string>
#include <string_view>

/// URIs carry passwords and tokens: `redis://user:PASSWORD@host`, `ps://:TOKEN@host`; and a query's
/// value may hold another URI or, by its name, a secret. These functions find them wherever URIs
/// occur in a text (`torchscript:redis://…`, several URIs, a sentence). If a URI is malformed (a
/// password with a `/`, no host), they mask too much rather than too little.
namespace lambdaml {

/// An option's value without its passwords, fit to be stored in a file. It still names the same
/// place: users, hosts, paths and the query stay.
std::string without_passwords(std::string_view value);

/// A URI for a message: user information and query values masked, unprintable characters escaped,
/// at most 300 bytes.
std::string masked(std::string_view uri);
/// The same for a text that may be a malformed URI or none: everything before its last @ is masked.
std::string without_secrets(std::string_view value);

/// A message or log line with the user information of all URIs masked: for texts from elsewhere,
/// and as a safeguard for our own. Costs almost nothing if there is no `://`.
std::string redacted(std::string_view text);

}  // namespace lambdaml
