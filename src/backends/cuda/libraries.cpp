#include "backends/cuda/libraries.h"

#include <glob.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace octet::cuda {
namespace {

void add_matching(const std::string& pattern, std::vector<std::string>& found) {
  glob_t paths{};
  if (glob(pattern.c_str(), 0, nullptr, &paths) == 0)
    for (size_t i = 0; i < paths.gl_pathc; ++i) found.emplace_back(paths.gl_pathv[i]);
  globfree(&paths);
}

/// The environment whose python3 a shell would start; empty: there is none.
std::string root_of_python() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
    std::error_code failed;
    const std::filesystem::path bin(folder);
    if (!folder.empty() && std::filesystem::exists(bin / "python3", failed)) return bin.parent_path().string();
  }
  return "";
}

std::vector<std::string> python_roots() {
  std::vector<std::string> roots;
  for (const char* name : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char* root = std::getenv(name); root && *root) roots.emplace_back(root);
  if (std::string root = root_of_python(); !root.empty()) roots.push_back(std::move(root));
  if (const char* home = std::getenv("HOME"); home && *home) roots.push_back(home + std::string("/.local"));
  roots.emplace_back("/usr/local");
  roots.emplace_back("/usr");
  return roots;
}

}  // namespace

std::vector<std::string> library_places(const std::vector<std::string>& names) {
  std::vector<std::string> found;
  for (const std::string& name : names) {
    found.push_back(name);
    for (const std::string& root : python_roots())
      for (const char* packages :
           {"/lib/python3*/site-packages", "/lib/python3*/dist-packages", "/lib/python3/dist-packages"})
        add_matching(root + packages + "/nvidia/*/lib/" + name, found);
    for (const char* lib : {"/lib64/", "/lib/"}) add_matching("/usr/local/cuda" + std::string(lib) + name, found);
  }
  return found;
}

void* open_first(const std::vector<std::string>& places) {
  for (const std::string& place : places)
    if (void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  return nullptr;
}

}  // namespace octet::cuda
