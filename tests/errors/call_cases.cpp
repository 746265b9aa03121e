// Calls of the API with arguments that cannot be.
#include "errors/cases.h"
#include "octet/ranges.h"
#include "octet/session.h"
#include "octet/tasks.h"

namespace octet::errors {
namespace {

Model demo() { return *Model::load(OCTET_DEMO_MODEL); }

Error build_error(const SessionSpec& spec) {
  const Result<Session> session = Session::build(demo(), spec);
  return error_of(session);
}

Error evaluate_error(const DataOptions& data) {
  SessionSpec spec;
  Result<Session> session = Session::build(demo(), spec);
  if (!session) return session.error();
  EvaluateSpec evaluation;
  evaluation.data = data;
  return error_of(evaluate(*session, "demo", nullptr, "", evaluation));
}

}  // namespace

std::vector<Case> call_cases() {
  std::vector<Case> cases;
  const auto add = [&](const char* name, std::function<Error()> run) { cases.push_back({name, std::move(run)}); };
  add("call_no_such_model", [] { return error_of(Model::load("no_such_file.onnx")); });
  add("call_model_is_a_folder", [] { return error_of(Model::load(scratch())); });
  add("call_unknown_pass", [] {
    LoadOptions options;
    options.skip_passes = {"polish"};
    return error_of(Model::load(OCTET_DEMO_MODEL, options));
  });
  add("call_unknown_repair", [] {
    LoadOptions options;
    options.skip_repairs = {"polish"};
    return error_of(Model::load(OCTET_DEMO_MODEL, options));
  });
  add("call_save_into_no_folder", [] { return error_of(demo().save(scratch() + "/no/such/folder/m.onnx")); });
  add("call_save_opset_99", [] { return error_of(demo().save(scratch() + "/m.onnx", 99)); });
  add("call_calibrate_unknown_method", [] {
    CalibrateSpec spec;
    spec.method = "guess";
    return error_of(calibrate(demo(), spec));
  });
  add("call_calibrate_without_data", [] { return error_of(calibrate(demo(), {})); });
  add("call_int8_without_ranges", [] {
    SessionSpec spec;
    spec.precision = "int8";
    return build_error(spec);
  });
  add("call_unknown_device", [] {
    SessionSpec spec;
    spec.device = "abacus";
    return build_error(spec);
  });
  add("call_shape_of_unknown_input", [] {
    SessionSpec spec;
    spec.shapes["ghost"] = {1, 3, 32, 32};
    return build_error(spec);
  });
  add("call_shape_of_wrong_rank", [] {
    SessionSpec spec;
    spec.shapes[demo().inputs()[0].name] = {1, 3};
    return build_error(spec);
  });
  add("call_evaluate_without_data", [] { return evaluate_error({}); });
  add("call_evaluate_no_such_data", [] {
    DataOptions data;
    data.path = "no_such_data";
    return evaluate_error(data);
  });
  add("call_evaluate_unknown_data", [] {
    DataOptions data;
    data.path = scratch_file("data.xyz", "?");
    return evaluate_error(data);
  });
  add("call_evaluate_bad_preprocess", [] {
    DataOptions data;
    data.path = "shapes:10";
    data.preprocess = "rgb,norm=mnist";
    return evaluate_error(data);
  });
  add("call_no_such_ranges", [] { return error_of(Ranges::load("no_such_ranges.json")); });
  return cases;
}

}  // namespace octet::errors
