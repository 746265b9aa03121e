// Compiled with OpenMP: at::parallel_for is a template, and without that flag it is a plain loop, without a word.
#include "train/parallel.h"

#include <ATen/Parallel.h>

namespace octet::nn {

void on_torch_threads(int64_t begin, int64_t end, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  at::parallel_for(begin, end, grain, body);
}

}  // namespace octet::nn
