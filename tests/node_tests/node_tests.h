#pragma once
// The ONNX project's backend node tests: one folder each with model.onnx and test_data_set_N/{input,output}_M.pb.

#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace octet::testing {

enum class Verdict {
  passed,
  failed,
  refused,  // all ops are octet's, but it refuses the file by name: strings, sequences, a condition that is no constant
  unclaimed,  // an op that octet does not have
};

/// How one back end did.
struct Outcome {
  Verdict verdict = Verdict::failed;
  std::string reason;  // empty when passed
};

struct NodeTest {
  std::string name;
  std::set<std::string> ops;  // of the file, foreign domains as "domain:op"
  Outcome ref, cpu;
};

/// Folder names in order.
std::vector<std::string> list_node_tests(const std::string& folder);
/// Reads the model, runs the passes, evaluates on `ref` and, where all extents are known, on `cpu`, and compares with
/// the files. Floats within 1e-3 of the wanted value + 1e-7 as ONNX's own runner, everything else exactly.
NodeTest run_node_test(const std::string& folder, const std::string& name);

}  // namespace octet::testing
