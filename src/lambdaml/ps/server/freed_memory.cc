#include "lambdaml/ps/server/freed_memory.h"

#include <fstream>

#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace lambdaml::ps {

void give_back_freed_memory([[maybe_unused]] const Budget& budget) {
#ifdef __GLIBC__
  // Freeing less is not worth the walk through the heap.
  constexpr std::uint64_t kWorthIt = 16 << 20;
  std::uint64_t pages = 0;
  std::uint64_t resident_pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident_pages;
  const std::uint64_t resident =
      resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (resident > budget.limit() && resident > budget.used() + kWorthIt) malloc_trim(0);
#endif
}

}  // namespace lambdaml::ps
