#pragma once
// From a model or a plan to the engine file that is measured.

#include <optional>

#include "cli/trtexec/log.h"
#include "cli/trtexec/options.h"
#include "octet/engine_file.h"

namespace octet::cli::trtexec {

struct Engine {
  EngineFile file;
  SessionSpec spec;  // device, threads and the shapes of the measured run
};

/// "cpu", "ref", "cuda" or "cuda:N" of --device. In a build without CUDA a number means the CPU; warning: what to say
/// of one that is not 0. Errors: a CUDA device that is not there.
Result<std::string> chosen_device(const SystemFlags& system, std::string& warning);

/// A file that begins as TensorRT's plans do is an Error that says so.
Result<Done> refuse_tensorrt_plan(const std::string& path);

/// Loads --loadEngine, or builds --onnx, saves and reads back; says each stage in the log.
Result<Engine> make_engine(const Options& options, const std::string& device, const Log& log);

}  // namespace octet::cli::trtexec
