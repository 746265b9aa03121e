#include "octet/doctor.h"
#include "cli/terminal.h"

#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"

namespace octet::cli {
namespace {

Action add(CLI::App& sub) {
  auto output = std::make_shared<OutputFlags>();
  output->add(sub);
  return [output] {
    const Result<DoctorReport> report = diagnose(doctor_cases());
    if (!report) return fail(report.error());
    std::fputs((output->json ? to_json(*report) + "\n" : printable(to_text(*report))).c_str(), stdout);
    return report->passed() ? 0 : 1;
  };
}

}  // namespace

extern const Command doctor_command;
const Command doctor_command = {"doctor", "checks every ISA and device of this machine with bundled vectors",
                                "octet doctor", add};

}  // namespace octet::cli
