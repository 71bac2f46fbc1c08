#pragma once

#include <cstdint>
#include <string>

/// Unique names from random bits of the system's generator, so that two processes, or a process and
/// its fork, never draw the same. Thread-safe; takes about a microsecond. Not for secrets, and not
/// for random numbers that depend on a seed (use base/rng.h).
namespace lambdaml {

/// 64 random bits.
std::uint64_t unique_number();

/// 128 random bits as 32 hexadecimal digits.
std::string unique_id();

/// A version 4 UUID (RFC 4122): `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`, 122 random bits.
std::string unique_uuid();
/// The UUID of version 4 that these random bits make.
std::string uuid_of(std::uint64_t high, std::uint64_t low);

}  // namespace lambdaml
