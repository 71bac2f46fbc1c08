#pragma once

namespace lambdaml {

/// Opens /dev/null where standard input, output or error are closed (`>&-`). Otherwise the first
/// file that the program opens would take that number, and what is printed would go into it. For
/// the begin of main().
void open_standard_streams() noexcept;

}  // namespace lambdaml
