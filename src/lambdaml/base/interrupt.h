#pragma once

namespace lambdaml {

/// Makes SIGINT, SIGTERM and SIGHUP set a flag instead of ending the process; a second one of the
/// same kind ends it. For commands that look at the flag.
void catch_interrupts();
bool interrupted() noexcept;
/// Throws Error(cancelled) when interrupted() holds.
void throw_if_interrupted();

}  // namespace lambdaml
