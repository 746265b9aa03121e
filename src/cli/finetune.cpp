// octet finetune and octet train: hand their command line to octet-train, the program that libtorch is linked to, and
// becomes it.

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "cli/command.h"

namespace octet::cli {
namespace {

/// Beside this program, else wherever PATH has it.
std::string train_program() {
  std::error_code failed;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  const std::filesystem::path beside = self.parent_path() / "octet-train";
  return !failed && std::filesystem::exists(beside, failed) ? beside.string() : "octet-train";
}

int become(const char* verb, std::vector<std::string> arguments) {
  const std::string program = train_program();
  arguments.insert(arguments.begin(), {program, verb});
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execvp(program.c_str(), argv.data());
  const std::string why = errno == ENOENT ? "it is not here" : std::strerror(errno);
  return fail({ErrorCode::unsupported,
               "octet " + std::string(verb) + " needs the program octet-train, and " + why +
                   ": this octet was built without libtorch. `tools/setup.sh train` installs libtorch, `make build` "
                   "then builds octet-train beside octet"});
}

template <const char* verb>
Action add(CLI::App& sub) {
  sub.prefix_command();
  sub.set_help_flag();  // octet-train's own
  return [&sub] { return become(verb, sub.remaining()); };
}

constexpr char k_finetune[] = "finetune", k_train[] = "train";

}  // namespace

extern const Command finetune_command;
const Command finetune_command = {
    "finetune", "better weights for a quantized network, by training with its quantization",
    "octet finetune m.onnx --data train/ --preprocess cifar10 --epochs 10 -o m_int8.onnx", add<k_finetune>};

extern const Command train_command;
const Command train_command = {"train", "a built-in network from random weights",
                               "octet train resnet18 --data train/ --preprocess cifar10 --epochs 30 -o resnet18.onnx",
                               add<k_train>};

}  // namespace octet::cli
