// trtexec's place among the commands; its own command line is read by cli/trtexec before this one is.

#include "cli/trtexec/trtexec.h"
#include "cli/command.h"

namespace octet::cli {
namespace {

Action add(CLI::App& sub) {
  sub.allow_extras();
  return [] { return trtexec::run("octet trtexec", {}); };
}

}  // namespace

extern const Command trtexec_command;
const Command trtexec_command = {"trtexec", "NVIDIA's trtexec: the same flags, log and files (octet trtexec --help)",
                                 "octet trtexec --onnx=m.onnx --int8 --saveEngine=m.plan", add};

}  // namespace octet::cli
