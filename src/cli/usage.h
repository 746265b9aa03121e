#pragma once
// What a command line that cannot be parsed is answered with, by octet and octet-train alike.

#include <CLI/CLI.hpp>
#include <array>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/near_name.h"

namespace octet::cli {

/// Options of other tools whose name says nothing here.
struct ForeignOption {
  std::string_view typed, wants, meant;  // meant where the command has the option `wants`
};
constexpr std::array<ForeignOption, 11> k_foreign_options = {{{"--int8", "--precision", "--precision int8"},
                                                              {"--fp16", "--precision", "--precision fp16"},
                                                              {"--bf16", "--precision", "--precision bf16"},
                                                              {"--fp32", "--precision", "--precision fp32"},
                                                              {"--best", "--precision", "--precision best"},
                                                              {"--saveEngine", "--output", "--output"},
                                                              {"--input", "--loadInputs", "--loadInputs"},
                                                              {"--onnx", "MODEL", "MODEL, without a flag"},
                                                              {"--model", "MODEL", "MODEL, without a flag"},
                                                              {"--input", "MODEL", "MODEL, without a flag"},
                                                              {"--loadEngine", "MODEL", "MODEL, without a flag"}}};

inline std::string near_option(const CLI::App& command, const std::string& typed) {
  for (const ForeignOption& foreign : k_foreign_options)
    if (typed == foreign.typed && command.get_option_no_throw(std::string(foreign.wants)))
      return std::string(foreign.meant);
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return near_name(typed, names);
}

/// The first word behind the command that looks like an option and is none of it.
inline std::optional<std::string> unknown_option(const CLI::App& command, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    const bool is_long =
        name.size() > 2 && name[0] == '-' && (name[1] == '-' || std::isalpha(static_cast<unsigned char>(name[1])) != 0);
    if (!is_long || command.get_option_no_throw(name)) continue;
    if (name[1] != '-' && command.get_option_no_throw(name.substr(0, 2))) continue;  // -oFILE
    return name;
  }
  return std::nullopt;
}

/// The commands below `app`, and that of a name among them.
inline std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(sub->get_name());
  return names;
}

inline const CLI::App* command_of(const CLI::App& app, const std::string& name) {
  const std::vector<const CLI::App*> found =
      app.get_subcommands([&](const CLI::App* sub) { return sub->get_name() == name; });
  return found.empty() ? nullptr : found[0];
}

/// One line for words (behind the program's name) that `app` did not take: what is wrong, what may be meant, where the
/// help is.
inline std::string usage_message(const CLI::App& app, const CLI::ParseError& error,
                                 const std::vector<std::string>& words) {
  std::string called = app.get_name();
  if (words.empty()) return "no command is given; " + called + " --help lists them";
  const CLI::App* command = &app;
  size_t at = 0;
  for (; at < words.size() && !command_names(*command).empty(); ++at) {
    const CLI::App* sub = command_of(*command, words[at]);
    if (!sub && command != &app && words[at][0] == '-') break;
    if (!sub) {
      std::vector<std::string> names = command_names(*command);
      if (command == &app) names.insert(names.end(), {"--help", "--version"});
      return "'" + words[at] + "' is no command" + (command == &app ? "" : " of " + called) +
             did_you_mean(near_name(words[at], names)) + "; " + called + " --help lists them";
    }
    command = sub;
    called += " " + words[at];
  }
  const std::string options = "; " + called + " --help shows the options";
  const bool of_words =
      dynamic_cast<const CLI::ExtrasError*>(&error) || dynamic_cast<const CLI::RequiredError*>(&error);
  if (of_words)
    if (const auto unknown = unknown_option(*command, {words.begin() + static_cast<ptrdiff_t>(at), words.end()}))
      return "'" + *unknown + "' is no option of " + called + did_you_mean(near_option(*command, *unknown)) + options;
  return error.what() + options;
}

}  // namespace octet::cli
