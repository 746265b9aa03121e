// Every broken file and call gives its text of messages.txt, with its code. After a change of a text on purpose:
//   OCTET_WRITE_MESSAGES=1 octet_errors_test, and read the difference.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/diagnostics.h"
#include "errors/cases.h"

namespace octet::errors {

const std::string& scratch() {
  struct Folder {
    std::string path = std::filesystem::temp_directory_path() / ("octet_errors_" + std::to_string(::getpid()));
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() { std::filesystem::remove_all(path); }
  };
  static const Folder folder;
  return folder.path;
}

std::string scratch_file(const std::string& name, const std::string& bytes) {
  const std::string path = scratch() + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

namespace {

const std::string k_messages = std::string(OCTET_SOURCE) + "/tests/errors/messages.txt";

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

/// "name<newline>  OCT-1001 text<newline>" with a line for each problem.
std::string shown(const Case& each, std::set<int>& numbers) {
  std::string text = each.name + "\n";
  for (Error problem : problems_of(each.run())) {
    const Diagnostic& row = diagnose(problem);
    numbers.insert(row.number);
    replace_all(problem.message, scratch() + "/", "");
    replace_all(problem.message, scratch(), "FOLDER");
    replace_all(problem.message, OCTET_DEMO_MODEL, "demo.onnx");
    text += "  " + code_text(row) + " " + problem.message + "\n";
  }
  return text;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto& some : {text_cases(), file_cases(), data_cases(), call_cases()})
    cases.insert(cases.end(), some.begin(), some.end());
  return cases;
}

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The program's exit status and stderr.
std::pair<int, std::string> octet(const std::string& arguments) {
  const std::string err = scratch() + "/stderr";
  const int status = std::system((std::string(OCTET_PROGRAM) + " " + arguments + " >/dev/null 2>" + err).c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(err)};
}

TEST(Errors, every_case_has_its_text_and_code) {
  std::set<int> numbers;
  std::string all;
  const std::vector<Case> cases = all_cases();
  for (const Case& each : cases) {
    EXPECT_FALSE(each.run().message.empty()) << each.name << " did not fail";
    all += shown(each, numbers);
  }
  EXPECT_GE(cases.size(), 80u);
  EXPECT_GE(numbers.size(), 40u);
  if (std::getenv("OCTET_WRITE_MESSAGES")) std::ofstream(k_messages, std::ios::binary) << all;
  EXPECT_EQ(all, read(k_messages));
}

TEST(Errors, codes_are_unique_and_the_general_ones_come_last) {
  std::set<int> seen;
  for (const Diagnostic& d : all_diagnostics()) EXPECT_TRUE(seen.insert(d.number).second) << d.number;
  std::map<ErrorCode, bool> general;
  for (const Diagnostic& d : all_diagnostics()) {
    EXPECT_FALSE(general[d.kind]) << code_text(d) << " stands behind the general row of its kind";
    general[d.kind] = d.pattern.empty();
  }
}

TEST(Errors, a_name_in_quotes_does_not_choose_the_code) {
  const Error honest{ErrorCode::bad_model, "node 'a' (Relu): lies on a cycle; expected a graph without cycles"};
  const Error sly{ErrorCode::bad_model,
                  "node 'the file is empty' (Relu): lies on a cycle; expected a graph without cycles"};
  EXPECT_EQ(diagnose(honest).number, 2002);
  EXPECT_EQ(diagnose(sly).number, 2002);
}

TEST(Errors, the_page_is_up_to_date) {
  EXPECT_EQ(read(std::string(OCTET_SOURCE) + "/docs/errors.md"), diagnostics_page())
      << "run: octet explain --page > docs/errors.md";
}

TEST(Errors, the_program_prints_the_code_ends_with_1_and_writes_nothing) {
  const std::string bad = scratch_file("bad.onnx", "this is not a network");
  const std::string out = scratch() + "/out.onnx";
  for (const std::string& command :
       {"repair " + bad + " -o " + out, "quantize " + bad + " --calib-data shapes:4 -o " + out,
        "calibrate " + bad + " --calib-data shapes:4 -o " + out, "build " + bad + " -o " + out,
        "run " + bad + " --data shapes:4 -o " + out}) {
    const auto [status, err] = octet(command);
    EXPECT_EQ(status, 1) << command;
    EXPECT_TRUE(err.starts_with("error[bad_model] ")) << err;
    EXPECT_NE(err.find(" [OCT-1"), std::string::npos) << err;
    EXPECT_FALSE(std::filesystem::exists(out)) << command;
  }
}

TEST(Errors, the_program_explains_a_rule_of_tensorrt) {
  EXPECT_EQ(octet("explain R21").first, 0);
  const auto [status, err] = octet("explain R43");
  EXPECT_EQ(status, 1);
  EXPECT_EQ(err,
            "error[bad_argument] explain R43: there is no code or rule of this name; docs/tensorrt.md lists R1 to R42 "
            "[OCT-4018]\n");
}

TEST(Errors, a_line_behind_the_first_has_the_code_of_its_own_kind) {
  const std::vector<Error> lines =
      problems_of({ErrorCode::unsupported,
                   "node 'a' (Relu): attribute 'bar' = 3 is not supported\nnode 'b' (Softmax): axis 9 is out "
                   "of range for rank 2, expected -2 to 1"});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(diagnose(lines[0]).number, 3008);
  EXPECT_EQ(diagnose(lines[1]).number, 2034);
  EXPECT_EQ(lines[1].code, ErrorCode::bad_model);
}

TEST(Errors, the_program_explains_every_code) {
  for (const Diagnostic& d : all_diagnostics()) EXPECT_EQ(octet("explain " + code_text(d)).first, 0) << code_text(d);
  const auto [status, err] = octet("explain OCT-0007");
  EXPECT_EQ(status, 1);
  EXPECT_EQ(
      err,
      "error[bad_argument] explain OCT-0007: there is no code of this name; octet explain lists them [OCT-4018]\n");
}

}  // namespace
}  // namespace octet::errors
