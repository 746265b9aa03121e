// octet-train finetune | train: what `octet finetune` and `octet train` run. A program of its own, so that octet itself
// neither needs nor loads libtorch. Exit status: 0 done, 1 bad input or failed, 2 bad usage.

#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <limits>

#include "cli/terminal.h"
#include "cli/usage.h"
#include "octet/diagnostics.h"
#include "train_cli/verb.h"

namespace octet::train_cli {

extern const Verb finetune_verb;
extern const Verb train_verb;

namespace {

std::atomic<bool> stopped{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

void on_interrupt(int) {
  if (stopped.exchange(true)) std::_Exit(130);
}

int run(int argc, char** argv) {
  CLI::App app("octet-train: the part of octet that trains, on libtorch. octet finetune and octet train call it.",
               "octet");
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "this text");
  int status = 0;
  for (const Verb* verb : {&finetune_verb, &train_verb}) {
    CLI::App* sub = app.add_subcommand(verb->name, verb->summary);
    sub->set_help_flag("-h,--help", "this text");
    sub->footer(std::string("Example:\n  ") + verb->example);
    Action action = verb->add(*sub);
    sub->callback([action = std::move(action), &status] { status = action(); });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    fail({ErrorCode::bad_argument, cli::usage_message(app, e, {argv + 1, argv + argc})});
    return k_bad_usage;
  }
  return status;
}

}  // namespace

CLI::Validator file_name() {
  return CLI::Validator(
      [](std::string& text) { return text.empty() ? "'': the name of a file is expected" : std::string(); }, "");
}

int fail(const Error& error) {
  for (const Error& problem : problems_of(error))
    cli::show(stderr, "error[" + std::string(name(problem.code)) + "] " + problem.message + " [" +
                          code_text(diagnose(problem)) + "]\n");
  return 1;
}

int refuse(const Error& error) {
  fail(error);
  return error.code == ErrorCode::bad_argument ? k_bad_usage : 1;
}

const std::atomic<bool>& stop_on_signals() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, on_interrupt);
  return stopped;
}

}  // namespace octet::train_cli

int main(int argc, char** argv) {
  // A training step frees and asks again for the same large tensors: memory stays with the process, instead of going
  // back to the system and coming as fresh pages each time.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  try {
    return octet::train_cli::run(argc, argv);
  } catch (const std::exception& e) {
    octet::cli::show(stderr, "error[internal] " + std::string(e.what(), std::strcspn(e.what(), "\n")) + "\n");
    return 1;
  }
}
