#include "api/inputs.h"

#include <algorithm>
#include <filesystem>

#include "base/hash.h"
#include "data/npy.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using OneResult = Result<std::unique_ptr<Dataset>>;

DatasetOptions dataset_options(const DataOptions& options, const NetworkInput& input) {
  DatasetOptions d{.preprocess = options.preprocess, .limit = options.limit};
  if (options.shuffle_seed >= 0) d.shuffle = static_cast<uint64_t>(options.shuffle_seed);
  if (input.dims.size() > 1) d.sample_dims.assign(input.dims.begin() + 1, input.dims.end());
  return d;
}

OneResult open_only_input(const DataOptions& options, const NetworkInput& input) {
  DatasetOptions d = dataset_options(options, input);
  if (!options.path.ends_with(".npz")) return open_dataset(options.path, d);
  d.input = input.name;
  OneResult named = open_dataset(options.path, d);
  if (named) return named;
  d.input.clear();  // an archive of one array need not know the input's name
  OneResult only = open_dataset(options.path, d);
  return only ? std::move(only) : std::move(named);
}

bool is_picture(const NetworkInput& input) { return input.dims.size() == 4 && input.dims[1] == 3; }

/// Where a folder keeps an input's samples, or empty.
std::string path_in_folder(const std::string& folder, std::string name) {
  std::replace(name.begin(), name.end(), '/', '_');
  const fs::path base = fs::path(folder) / name;
  std::error_code failed;
  for (const char* ending : {".npy", ".npz", ".raw", ".dat"})
    if (const std::string path = base.string() + ending; fs::is_regular_file(path, failed)) return path;
  return fs::is_directory(base, failed) ? base.string() : std::string();
}

std::string names_in_folder(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end && names.size() < 20; at.increment(failed))
    names.push_back(at->path().filename().string());
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "nothing" : text;
}

OneResult open_one_of_several(const DataOptions& options, const NetworkInput& input) {
  DatasetOptions d = dataset_options(options, input);
  if (!is_picture(input)) d.preprocess = "none";
  if (options.path.starts_with("synthetic:")) return open_dataset(options.path, d);
  d.input = input.name;
  if (options.path.ends_with(".npz")) return open_dataset(options.path, d);
  std::error_code failed;
  if (!fs::is_directory(options.path, failed))
    return Error{ErrorCode::bad_argument,
                 options.path +
                     ": this network has several inputs; give a .npz with an array for each input's name, or "
                     "a folder with NAME.npy for each"};
  const std::string path = path_in_folder(options.path, input.name);
  if (path.empty())
    return Error{ErrorCode::bad_argument, options.path + ": input '" + input.name + "' is missing; the folder has " +
                                              names_in_folder(options.path)};
  if (!path.ends_with(".npz")) d.input.clear();
  return open_dataset(path, d);
}

}  // namespace

Result<std::vector<std::unique_ptr<Dataset>>> open_inputs(const DataOptions& options,
                                                          const std::vector<NetworkInput>& inputs) {
  std::vector<std::unique_ptr<Dataset>> opened;
  for (const NetworkInput& input : inputs) {
    OneResult one = inputs.size() == 1 ? open_only_input(options, input) : open_one_of_several(options, input);
    if (!one) return one.error();
    if (!opened.empty() && (*one)->size() != opened[0]->size())
      return Error{ErrorCode::bad_argument, options.path + ": input '" + input.name + "' has " +
                                                std::to_string((*one)->size()) + " samples, input '" + inputs[0].name +
                                                "' has " + std::to_string(opened[0]->size())};
    opened.push_back(*std::move(one));
  }
  return opened;
}

std::string hash_of(const std::vector<std::unique_ptr<Dataset>>& inputs) {
  if (inputs.size() == 1) return inputs[0]->hash();
  std::string all;
  for (const std::unique_ptr<Dataset>& one : inputs) all += one->hash();
  return to_hex(hash_bytes(std::as_bytes(std::span(all))));
}

}  // namespace octet
