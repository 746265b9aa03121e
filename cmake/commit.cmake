# cmake -DSOURCE=... -DHEADER=... -P commit.cmake: writes HEADER with the commit that is being built, marked where files of
# the tree differ from it, and leaves it alone where it says so already.
execute_process(COMMAND git rev-parse --short=10 HEAD WORKING_DIRECTORY ${SOURCE}
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(commit)
  execute_process(COMMAND git status --porcelain --untracked-files=no WORKING_DIRECTORY ${SOURCE}
    OUTPUT_VARIABLE changed OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(changed)
    string(APPEND commit ", changed")
  endif()
else()
  set(commit "no commit")
endif()
set(text "#pragma once\nnamespace octet {\ninline constexpr const char* k_commit = \"${commit}\";\n}  // namespace octet\n")
set(old "")
if(EXISTS ${HEADER})
  file(READ ${HEADER} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${HEADER} "${text}")
endif()
