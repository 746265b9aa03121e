#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "octet/diagnostics.h"
#include "octet/tasks.h"

namespace octet::cli {
namespace {

struct Flags {
  std::string code;
  bool page = false;
};

/// A rule of --target tensorrt.
int explain_rule(const std::string& rule) {
  const Result<std::string> text = describe(rule);
  if (!text)
    return fail({ErrorCode::bad_argument,
                 "explain " + rule + ": there is no code or rule of this name; docs/tensorrt.md lists R1 to R42"});
  std::fputs(text->c_str(), stdout);
  return 0;
}

int explain(const Flags& f) {
  if (f.page) {
    std::fputs(diagnostics_page().c_str(), stdout);
    return 0;
  }
  if (f.code.empty()) {
    for (const Diagnostic* d : diagnostics_by_number())
      std::printf("%s  %s\n", code_text(*d).c_str(), std::string(d->condition).c_str());
    return 0;
  }
  if (f.code[0] == 'R' || f.code[0] == 'r') return explain_rule(f.code);
  const Diagnostic* d = find_diagnostic(f.code);
  if (!d)
    return fail(
        {ErrorCode::bad_argument, "explain " + f.code + ": there is no code of this name; octet explain lists them"});
  std::printf("%s (%s): %s\n%s\n", code_text(*d).c_str(), std::string(name(d->kind)).c_str(),
              std::string(d->condition).c_str(), std::string(d->advice).c_str());
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.add_option("CODE", f->code,
                 "OCT-2020 as printed behind a message, or R21 of --target tensorrt; without it all codes are listed");
  sub.add_flag("--page", f->page, "docs/errors.md");
  return [f] { return explain(*f); };
}

}  // namespace

extern const Command explain_command;
const Command explain_command = {"explain", "what an error code or a TensorRT rule means and what to do",
                                 "octet explain OCT-2020", add};

}  // namespace octet::cli
