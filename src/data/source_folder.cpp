// A folder of pictures. Classes come from a label file (the option, labels.txt or labels.csv inside, or
// FOLDER_labels.csv beside it), or else from sub-folders: their names, sorted, are classes 0, 1, ... Dot files and what
// is no picture are passed over; a picture of a kind that is not read is an error, or an accuracy would leave it out.
#include <algorithm>
#include <filesystem>

#include "data/image_io.h"
#include "data/picture_source.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

Error wrong(const fs::path& folder, const std::string& what) {
  return {ErrorCode::bad_argument, folder.string() + ": " + what};
}

struct Listing {
  std::vector<std::string> pictures, folders;  // names, sorted
};

Result<Listing> list(const fs::path& folder) {
  Listing listing;
  std::string foreign;  // the first in order of name
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code unreadable;  // a dangling link is neither
    if (at->is_directory(unreadable)) {
      listing.folders.push_back(name);
    } else if (at->is_regular_file(unreadable)) {
      if (is_image_name(name)) listing.pictures.push_back(name);
      if (is_foreign_image_name(name)) foreign = std::min(foreign.empty() ? name : foreign, name);
    }
  }
  if (failed) return Error{ErrorCode::io, folder.string() + ": cannot list the folder: " + failed.message()};
  if (!foreign.empty()) return wrong(folder / foreign, std::string(k_no_picture) + std::string(k_out_of_folder));
  std::sort(listing.pictures.begin(), listing.pictures.end());
  std::sort(listing.folders.begin(), listing.folders.end());
  return listing;
}

/// The label file that belongs to the folder, or empty.
std::string find_label_file(const fs::path& folder) {
  fs::path beside = folder;
  if (!beside.has_filename()) beside = beside.parent_path();  // "photos/"
  beside += "_labels.csv";
  for (const fs::path& candidate : {folder / "labels.txt", folder / "labels.csv", beside}) {
    std::error_code failed;
    if (fs::is_regular_file(candidate, failed)) return candidate.string();
  }
  return {};
}

void collect(const fs::path& folder, const std::string& prefix, const std::vector<std::string>& names,
             const std::vector<int64_t>& labels, std::vector<PictureFile>& files) {
  for (const std::string& name : names) files.push_back({prefix + name, (folder / name).string(), labels});
}

Result<Done> label(std::vector<PictureFile>& files, const std::string& label_file) {
  const Result<LabelTable> labels = read_labels(label_file, LabelKey::file);
  if (!labels) return labels.error();
  for (PictureFile& file : files) {
    const std::vector<int64_t>* classes = find_labels(*labels, file.name);
    if (!classes) {
      return Error{ErrorCode::bad_argument, label_file + ": has no line for '" + file.name +
                                                "'; add one, or take the picture out of the folder"};
    }
    file.labels = *classes;
  }
  return Done{};
}

Result<std::vector<PictureFile>> list_classes(const fs::path& folder, const Listing& top, bool labelled_by_folder) {
  std::vector<PictureFile> files;
  for (size_t c = 0; c < top.folders.size(); ++c) {
    const fs::path sub = folder / top.folders[c];
    const Result<Listing> inside = list(sub);
    if (!inside) return inside.error();
    if (labelled_by_folder && inside->pictures.empty()) {
      return wrong(sub,
                   "holds no pictures of its own, so that the classes are unclear; give a folder whose sub-folders are "
                   "the classes");
    }
    std::vector<int64_t> labels;
    if (labelled_by_folder) labels.push_back(static_cast<int64_t>(c));
    collect(sub, top.folders[c] + "/", inside->pictures, labels, files);
  }
  return files;
}

}  // namespace

bool claims_folder(const std::string& path) {
  std::error_code failed;
  return fs::is_directory(path, failed);
}

SourceResult open_folder(const std::string& path, const SourceOptions& options) {
  const fs::path folder(path);
  const Result<Listing> top = list(folder);
  if (!top) return top.error();
  const std::string label_file = options.labels.empty() ? find_label_file(folder) : options.labels;
  std::vector<PictureFile> files;
  const bool labelled_by_folder = label_file.empty() && top->pictures.empty();
  if (top->pictures.empty() || !label_file.empty()) {
    Result<std::vector<PictureFile>> nested = list_classes(folder, *top, labelled_by_folder);
    if (!nested) return nested.error();
    files = *std::move(nested);
  } else if (!top->folders.empty()) {
    return wrong(folder,
                 "holds pictures and folders side by side, so that the classes are unclear; keep one of them, or add "
                 "labels.csv");
  }
  collect(folder, "", top->pictures, {}, files);
  if (files.empty()) return wrong(folder, "holds no pictures (.jpg .jpeg .jfif .png .bmp .ppm .pgm)");
  std::sort(files.begin(), files.end(), [](const PictureFile& a, const PictureFile& b) { return a.name < b.name; });
  if (!label_file.empty()) {
    const Result<Done> done = label(files, label_file);
    if (!done) return done.error();
  }
  return make_picture_source(std::move(files), options.preprocess);
}

}  // namespace octet
