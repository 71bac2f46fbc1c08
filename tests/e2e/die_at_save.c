// Preloaded into workers by a test: kills the process as it makes its LAMBDAML_DIE_AT-th rename,
// which is how the store `file` saves; "5-" before it is made, "5+" when it is made. As many
// processes die as LAMBDAML_DIE_FOLDER has files, each of which a dying process takes away.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int may_die(void) {
  const char* folder = getenv("LAMBDAML_DIE_FOLDER");
  DIR* files = folder ? opendir(folder) : NULL;
  if (!files) return 0;
  int taken = 0;
  for (struct dirent* entry; !taken && (entry = readdir(files));)
    taken = entry->d_name[0] != '.' && unlinkat(dirfd(files), entry->d_name, 0) == 0;
  closedir(files);
  return taken;
}

int renameat(int from_folder, const char* from, int to_folder, const char* to) {
  static atomic_int calls;
  const char* at = getenv("LAMBDAML_DIE_AT");
  const int here = at && atoi(at) == ++calls;
  if (here && strchr(at, '-') && may_die()) raise(SIGKILL);
  int (*const real)(int, const char*, int, const char*) =
      (int (*)(int, const char*, int, const char*))dlsym(RTLD_NEXT, "renameat");
  const int result = real(from_folder, from, to_folder, to);
  if (here && strchr(at, '+') && may_die()) raise(SIGKILL);
  return result;
}
