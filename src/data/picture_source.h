#pragma once
// Picture files by name with their labels: what a single picture and a folder of them have in common.

#include "data/source.h"

namespace octet {

struct PictureFile {
  std::string name;  // relative to the folder, for messages, labels and hashes
  std::string path;
  std::vector<int64_t> labels;
};

std::unique_ptr<Source> make_picture_source(std::vector<PictureFile> files, const Preprocess& preprocess);

}  // namespace octet
