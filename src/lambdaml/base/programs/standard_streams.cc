#include "lambdaml/base/programs/standard_streams.h"

#include <initializer_list>

#include <fcntl.h>
#include <unistd.h>

namespace lambdaml {

void open_standard_streams() noexcept {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    // The lowest free number is taken, which is this one.
    if (::fcntl(stream, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) return;
}

}  // namespace lambdaml
