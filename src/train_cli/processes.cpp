#include "train_cli/processes.h"

#include <filesystem>

#include "data/dataset.h"
#include "octet/files.h"

namespace octet::train_cli {

Result<Done> join_others(nn::TrainOptions& options) {
  const Result<nn::Place> place = nn::place_of_process();
  if (!place) return place.error();
  if (place->size == 1) return Done{};
  if (options.device == "cuda") options.device = "cuda:" + std::to_string(place->local_rank);
  Result<std::shared_ptr<nn::Replicas>> joined = nn::join_replicas(*place, options.device);
  if (!joined) return joined.error();
  options.replicas = *joined;
  return Done{};
}

Result<Done> check_shares(const nn::TrainOptions& options) {
  const Result<nn::Place> place = nn::place_of_process();
  if (!place) return place.error();
  if (options.batch % place->size == 0) return Done{};
  return Error{ErrorCode::bad_argument, "--batch " + std::to_string(options.batch) + " cannot be shared evenly by " +
                                            std::to_string(place->size) + " processes; give a multiple"};
}

Result<Done> check_data(const std::string& path, const std::string& preprocess) {
  if (!preprocess.empty())
    if (const Result<Preprocess> spec = parse_preprocess(preprocess); !spec) return spec.error();
  for (const char* drawn : {"shapes:", "shapes-train:", "synthetic:"})
    if (path.starts_with(drawn))
      if (const Result<std::unique_ptr<Dataset>> data = open_dataset(path, {}); !data) return data.error();
  return Done{};
}

bool is_first(const nn::TrainOptions& options) { return !options.replicas || options.replicas->rank() == 0; }

std::string start_file(const std::string& output, const nn::TrainOptions& options) {
  return output + (is_first(options) ? "" : "." + std::to_string(options.replicas->rank())) + ".start.onnx";
}

bool makes_start(const nn::TrainOptions& options) { return !options.resume || !is_first(options); }

Result<Done> check_files(const std::string& checkpoint, const std::string& output,
                         const std::vector<std::string>& inputs) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path saved = fs::weakly_canonical(checkpoint, ignored);
  for (const std::string& other : {output, output + ".start.onnx"})
    if (saved == fs::weakly_canonical(other, ignored))
      return Error{ErrorCode::bad_argument, "--checkpoint " + checkpoint + ": that is where " +
                                                (other == output ? "the network" : "the start of the run") +
                                                " goes; give the checkpoint a file of its own"};
  for (const std::string& file : {output, output + ".start.onnx", checkpoint})
    if (const Result<Done> ok = check_output(file, inputs); !ok) return ok;
  return Done{};
}

Result<Done> check_resume(const nn::TrainOptions& options, const std::string& start) {
  if (!options.resume) return Done{};
  if (!std::filesystem::exists(options.checkpoint))
    return Error{ErrorCode::bad_argument,
                 "there is no checkpoint " + options.checkpoint + " to go on from; run without --resume"};
  if (is_first(options) && !std::filesystem::exists(start))
    return Error{ErrorCode::bad_argument, "the network that the run of " + options.checkpoint +
                                              " began with is not at " + start +
                                              "; give the -o of that run, or copy its OUTPUT.start.onnx there"};
  return Done{};
}

}  // namespace octet::train_cli
