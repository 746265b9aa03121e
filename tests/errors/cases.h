#pragma once
// Broken files and calls, each with the Error it gives. The texts expected of them stand in messages.txt.

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace octet::errors {

struct Case {
  std::string name;
  std::function<Error()> run;  // kind "internal" and an empty message when nothing failed
};

/// The error of a result; no error is the failure of the case.
template <class T>
Error error_of(const Result<T>& result) {
  return result ? Error{ErrorCode::internal, ""} : result.error();
}

std::vector<Case> text_cases();  // graphs in text form
std::vector<Case> file_cases();  // ONNX files
std::vector<Case> data_cases();  // pictures, arrays, ranges, preprocessing
std::vector<Case> call_cases();  // the API

/// A folder of this test run's own; its path is taken out of messages.
const std::string& scratch();
/// Writes a file there and returns its path.
std::string scratch_file(const std::string& name, const std::string& bytes);

}  // namespace octet::errors
