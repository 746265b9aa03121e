#pragma once
// Shared libraries of others that are neither linked nor shipped: opened at run time where there is one.

#include <dlfcn.h>

#include <string>
#include <vector>

namespace octet::cuda {

/// Where a library of one of these file names may be: the loader's paths first, then Python environments (of
/// $VIRTUAL_ENV, $CONDA_PREFIX, the first python3 on the PATH, ~/.local, the system), then the toolkit.
std::vector<std::string> library_places(const std::vector<std::string>& names);

/// The first that opens, for as long as the process lives; null: none does.
void* open_first(const std::vector<std::string>& places);

template <class F>
bool find_function(void* library, const char* name, F*& function) {
  function = reinterpret_cast<F*>(dlsym(library, name));
  return function != nullptr;
}

}  // namespace octet::cuda
