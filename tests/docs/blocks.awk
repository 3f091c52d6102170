# Takes the C++ and shell blocks out of pages: awk -v OUT=<folder> -f blocks.awk <page>...
#
# A ```cpp block is compiled. Comments in the lines before it, which a rendered page does not show, say how:
#   (none)                         declarations; or, with a function main, a program
#   <!-- body of: FUNCTION -->     statements, in this function
#   <!-- with: CODE -->            declarations, and this code after them
#   <!-- file: NAME -->            a file of the page's program
#   <!-- fails: REGEX -->          a program that must not compile, with a message that matches
#   <!-- not compiled: REASON -->  nothing
# Writes OUT/declarations.cpp, with every block in a namespace of its own; OUT/programs/<page>/*;
# OUT/fails/<page>.<line>.cpp with its .regex; and OUT/commands, a line "<page>:<line> <command>" for each
# line of a ```sh block.
function fail(message) {
  printf "%s:%d: %s\n", FILENAME, FNR, message > "/dev/stderr"
  failed = 1
}

function forget_comments() {
  body = with_code = file = regex = reason = ""
}

function emit_declarations(  name) {
  name = FILENAME "_" begin
  gsub(/[^A-Za-z0-9]/, "_", name)
  text = text "namespace block_" name " {\n" (body == "" ? "" : body " {\n")
  text = text "#line " (begin + 1) "\"" FILENAME "\"\n" block (body == "" ? "" : "}\n") with_code "\n}\n"
}

function emit_file(path) {
  if (path in written) fail("there are two blocks of " path)
  written[path] = 1
  printf "#line %d \"%s\"\n%s", begin + 1, FILENAME, whole > path
  close(path)
}

function emit(  page) {
  page = FILENAME
  gsub(/\//, ".", page)
  if (reason != "") return
  if (regex != "") {
    emit_file(OUT "/fails/" page "." begin ".cpp")
    print regex > (OUT "/fails/" page "." begin ".regex")
  } else if (file != "" || whole ~ /(^|[^A-Za-z0-9_])int main *\(/) {
    if (!(page in pages)) system("mkdir -p '" OUT "/programs/" page "'")
    pages[page] = 1
    emit_file(OUT "/programs/" page "/" (file == "" ? "main.cpp" : file))
  } else {
    includes = includes block_includes
    emit_declarations()
  }
}

BEGIN {
  system("mkdir -p '" OUT "/programs' '" OUT "/fails'")
  printf "" > (OUT "/commands")
  forget_comments()
}

FNR == 1 && language != "" { fail("the page before ends within a block") }

/^ +```/ { fail("a block is indented") }
language == "" && /^```[a-z]/ {
  language = substr($0, 4)
  begin = FNR
  block = whole = block_includes = ""
  next
}
language != "" && /^```$/ {
  if (language == "cpp") emit()
  language = ""
  forget_comments()
  next
}
language == "cpp" {
  whole = whole $0 "\n"
  if (/^#include/) block_includes = block_includes $0 "\n"
  block = block (/^#include/ ? "" : $0) "\n"
  next
}
language == "sh" { print FILENAME ":" FNR " " $0 > (OUT "/commands"); next }
language != "" { next }

/^<!-- .*: .* -->$/ {
  kind = substr($0, 6, index($0, ": ") - 6)
  value = substr($0, index($0, ": ") + 2)
  value = substr(value, 1, length(value) - 4)
  if (kind == "body of") body = value
  else if (kind == "with") with_code = with_code value "\n"
  else if (kind == "file") file = value
  else if (kind == "fails") regex = value
  else if (kind == "not compiled") reason = value
  else fail("there is no comment \"" kind "\" for blocks")
  next
}
/^```$/ { language = "text"; next }
{
  if (body with_code file regex reason != "") fail("a comment for blocks stands before no block")
  forget_comments()
}

END {
  if (language != "") fail("the page ends within a block")
  printf "%s%s", includes, text > (OUT "/declarations.cpp")
  exit failed
}
