# Names the GoogleTest tests that failed in ctest's log, each with the first thing that it found wrong: an entry of ctest
# may run a hundred tests, and what was printed of them is far above. Usage: awk -f failed_tests.awk LastTest.log
/^\[  FAILED  \] .* \([0-9]+ ms\)$/ {
  sub(/^\[  FAILED  \] /, "")
  printf "%s\n%s", $0, found
  lines = 0
}
/^\[ RUN      \] / { found = ""; lines = 0 }
/: Failure$/ { if (found == "") lines = 5 }
lines > 0 { found = found "    " substr($0, 1, 160) "\n"; --lines }
