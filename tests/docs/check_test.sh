#!/usr/bin/env bash
# check.sh accepts a page that is right, and finds what is wrong in others: check_test.sh SCRATCH COMPILER
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$1 compiler=$2
rm -rf "$scratch"
mkdir -p "$scratch/root/tests"
touch "$scratch/root/tests/run.sh"

# expect MESSAGE LINE...: the page with these lines is refused with this message; accepted if that is empty.
expect() {
  local message=$1 output status=0
  shift
  printf '%s\n' "$@" >"$scratch/root/page.md"
  output=$(bash "$here/check.sh" "$scratch/blocks" "$scratch/root" /dev/null page.md -- "$compiler" -std=c++20 2>&1) ||
    status=$?
  if [ -z "$message" ]; then
    if [ "$status" -eq 0 ]; then return; fi
  elif [ "$status" -ne 0 ] && grep -qF -- "$message" <<<"$output"; then
    return
  fi
  printf '%s\n' "Expected \"$message\", but the status is $status and the output" "$output" "for the page" "$@" >&2
  exit 1
}

expect "" "Text" '```cpp' "#include <vector>" "int f();" '```' '```cpp' "using v = std::vector<int>; long f();" '```' \
  "<!-- body of: void g(int n) -->" "<!-- with: void h() { g(1); } -->" '```cpp' "++n;" '```' \
  "<!-- not compiled: a sketch -->" '```cpp' "..." '```' \
  "<!-- fails: undeclared|not declared -->" '```cpp' "int i = j;" '```' \
  "<!-- file: one.hpp -->" '```cpp' "constexpr int one = 1;" '```' '```cpp' '#include "one.hpp"' \
  "int main() { return one - 1; }" '```' '```sh' "tests/run.sh" '```' '```' "..." '```'
expect "page.md:3:" "Text" '```cpp' "int i = j;" '```'
expect "page.md:4:" "<!-- body of: void f() -->" '```cpp' "int i = 0;" "j = i;" '```'
expect "page.md:3:" "<!-- with: template struct s<int>; -->" \
  '```cpp' "template <class T> struct s { typename T::x y; };" '```'
expect "The program of page.md fails." '```cpp' "int main() { return 1; }" '```'
expect "The program of page.md does not compile." '```cpp' "int f(); int main() { return f(); }" '```'
expect "page.md.2: the block compiles" "<!-- fails: j -->" '```cpp' "int i;" '```'
expect "does not match other" "<!-- fails: other -->" '```cpp' "int i = j;" '```'
expect "there is no comment \"skipped\"" "<!-- skipped: no reason -->" '```cpp' "int i;" '```'
expect "stands before no block" "<!-- not compiled: a sketch -->" "" '```cpp' "int i;" '```'
expect "ends within a block" '```cpp' "int i;"
expect "a block is indented" '  ```cpp' "int i;" '  ```'
expect "there are two blocks of" '```cpp' "int main() {}" '```' '```cpp' "int main() {}" '```'
expect "page.md:2: there is no tests/stop.sh" '```sh' "tests/stop.sh" '```'
