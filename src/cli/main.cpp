// octet COMMAND MODEL [options]. Exit status: 0 done, 1 bad input or failed check, 2 bad usage.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/trtexec/trtexec.h"
#include "cli/usage.h"
#include "octet/diagnostics.h"
#include "octet/tasks.h"

namespace octet::cli {

#define OCTET_COMMAND(name) extern const Command name##_command;
#include "cli/commands.def"
#undef OCTET_COMMAND

int fail(const Error& error) {
  for (const Error& problem : problems_of(error))
    show(stderr, "error[" + std::string(name(problem.code)) + "] " + problem.message + " [" +
                     code_text(diagnose(problem)) + "]\n");
  return 1;
}

namespace {

const std::vector<const Command*>& commands() {
  static const std::vector<const Command*> list = {
#define OCTET_COMMAND(name) &name##_command,
#include "cli/commands.def"
#undef OCTET_COMMAND
  };
  return list;
}

/// Variables of the environment that have a say in every command.
Result<Done> check_environment() {
  const auto wrong = [](const char* variable, const char* value, const char* expected) {
    return Error{ErrorCode::bad_argument, std::string(variable) + "=" + value + ": expected " + expected};
  };
  if (const char* log = std::getenv("OCTET_LOG"); log && *log && std::strcmp(log, "quiet") != 0 &&
                                                  std::strcmp(log, "notes") != 0 && std::strcmp(log, "verbose") != 0)
    return wrong("OCTET_LOG", log, "quiet, notes or verbose");
  if (const char* threads = std::getenv("OCTET_THREADS"); threads && *threads) {
    std::string text = threads;
    if (!thread_count().operator()(text).empty() || text == "0")
      return wrong("OCTET_THREADS", threads, "a number from 1 to 1024");
  }
  return Done{};
}

/// One or two models are "MODEL [MODEL2]", for which CLI11 has "MODEL(1x)".
class HelpText : public CLI::Formatter {
 public:
  std::string make_option_usage(const CLI::Option* option) const override {
    if (option->get_expected_min() == 1 && option->get_expected_max() == 2)
      return option->get_name(true) + " " + option->get_type_name();
    return CLI::Formatter::make_option_usage(option);
  }
};

int run(int argc, char** argv) {
  if (const Result<Done> ok = check_environment(); !ok) {
    fail(ok.error());
    return k_bad_usage;
  }
  CLI::App app(
      "octet: small and fast 8-bit neural networks, with proof.\nReads an ONNX file, finds the ranges of its "
      "activations, writes "
      "Q/DQ ONNX, runs it in INT8 and shows that the answers are still right.",
      "octet");
  app.formatter(std::make_shared<HelpText>());
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "this text");
  app.set_version_flag("--version", version_text(), "version, commit, instruction sets of this CPU, back ends");
  app.footer(
      "octet COMMAND --help shows the options of a command, with an example.\n"
      "octet --describe ops|repairs|tensorrt prints a page of the docs from the code's own lists.\n"
      "Exit status: 0 done, 1 bad input or failed check, 2 bad usage.");
  int status = 0;
  for (const Command* command : commands()) {
    CLI::App* sub = app.add_subcommand(command->name, command->summary);
    sub->set_help_flag("-h,--help", "this text");
    sub->footer(std::string("Example:\n  ") + command->example);
    Action action = command->add(*sub);
    sub->callback([action = std::move(action), &status] { status = action(); });
  }
  if (argc == 3 && std::strcmp(argv[1], "--describe") == 0) {
    const Result<std::string> page = describe(argv[2]);
    if (!page) return fail(page.error());
    std::fputs(page->c_str(), stdout);
    return 0;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // CLI11 reports by exception; help and version come this way too, with exit code 0.
    if (e.get_exit_code() == 0) return app.exit(e);
    fail({ErrorCode::bad_argument, usage_message(app, e, {argv + 1, argv + argc})});
    return k_bad_usage;
  }
  return status;
}

}  // namespace
}  // namespace octet::cli

int main(int argc, char** argv) {
  try {
    // trtexec has rules of its own for its command line, its streams and its exit status.
    const std::string called = argc > 0 ? argv[0] : "octet";
    if (called.substr(called.rfind('/') + 1) == "trtexec")
      return octet::cli::trtexec::run(called, {argv + 1, argv + argc});
    if (argc > 1 && std::string(argv[1]) == "trtexec")
      return octet::cli::trtexec::run(called + " trtexec", {argv + 2, argv + argc});
    const int status = octet::cli::run(argc, argv);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
    return octet::cli::fail({octet::ErrorCode::io, "the results could not be written to stdout: is there room?"});
  } catch (const std::exception& e) {
    return octet::cli::fail({octet::ErrorCode::internal, e.what()});
  }
}
