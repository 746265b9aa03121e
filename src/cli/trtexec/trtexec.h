#pragma once

#include <string>
#include <vector>

namespace octet::cli::trtexec {

/// trtexec with this command line (without the program's name); 0 passed, 1 failed. called: the name it was called by.
int run(const std::string& called, const std::vector<std::string>& words);

}  // namespace octet::cli::trtexec
