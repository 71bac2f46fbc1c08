// The program that AWS Lambda starts: static, without dependencies on the machine. It starts the
// worker with the loader and libraries beside it in the zip, because the machine's own may be older
// than those that the worker was built with.
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

int main(int argc, char** argv) {
  static char root[PATH_MAX];
  const char* task_root = getenv("LAMBDA_TASK_ROOT");
  if (task_root != nullptr && strlen(task_root) < sizeof root / 2) {
    strcpy(root, task_root);
  } else {
    const ssize_t size = readlink("/proc/self/exe", root, sizeof root / 2);
    if (size > 0) root[size] = '\0';
    char* slash = strrchr(root, '/');
    if (slash == nullptr) {
      fprintf(stderr, "bootstrap: LAMBDA_TASK_ROOT is not set and /proc is not there\n");
      return 1;
    }
    *slash = '\0';
  }
  static char loader[PATH_MAX], libraries[PATH_MAX], worker[PATH_MAX], certificates[PATH_MAX];
  snprintf(loader, sizeof loader, "%s/lib/loader", root);
  snprintf(libraries, sizeof libraries, "%s/lib", root);
  snprintf(worker, sizeof worker, "%s/bin/lambdaml-worker", root);
  snprintf(certificates, sizeof certificates, "%s/etc/ca-certificates.crt", root);
  if (access(certificates, R_OK) == 0) {
    setenv("AWS_CA_BUNDLE", certificates, 0);
    setenv("SSL_CERT_FILE", certificates, 0);
  }
  static char option[] = "--library-path";
  static char* arguments[64] = {loader, option, libraries, worker};
  for (int i = 1; i < argc && i < 59; ++i) arguments[3 + i] = argv[i];
  execv(loader, arguments);
  perror(loader);
  return 1;
}
