#pragma once

namespace lambdaml {

/// Makes SIGINT, SIGTERM and SIGHUP set a flag instead of ending the process, and SIGPIPE nothing.
/// For the command line; call once, from main.
void catch_interrupts();
bool interrupted() noexcept;
/// Throws Error(cancelled) when interrupted() holds.
void throw_if_interrupted();

}  // namespace lambdaml
