#pragma once
// What the commands do with sessions: inspect, evaluate, bench, classify, run on files.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "octet/engine_file.h"
#include "octet/model.h"
#include "octet/session.h"
#include "report/evaluation.h"
#include "report/inspection.h"
#include "report/performance.h"
#include "report/roofline.h"

namespace octet {

/// What the file holds and where each step would run.
Result<Inspection> inspect(const Model& model, const SessionSpec& spec);
Result<Inspection> inspect(const EngineFile& file, const SessionSpec& spec);

/// One or two sessions over the same labelled data (two also without labels). Sessions may have different batches.
struct EvaluateSpec {
  DataOptions data;
  Progress progress;
};
Result<EvaluationReport> evaluate(Session& first, const std::string& first_name, Session* second,
                                  const std::string& second_name, const EvaluateSpec& spec);

struct BenchSpec {
  int64_t iterations = 10;  // at least
  double duration_s = 3;    // at least, after the warm-up
  double warmup_ms = 200;
  int streams = 1;                                 // of bench(): so many contexts, each on a thread of its own
  bool profile = false;                            // further runs with per-layer times, and the roofline of bench()
  std::map<std::string, std::string> inputs = {};  // name -> .npy or raw file; others are random
};
/// trtexec's loop: warm-up, then both minima. Inputs are those of TensorBuffers (octet/measure.h).
Result<PerformanceReport> bench(Session& session, const std::string& name, const BenchSpec& spec);
/// Each layer against the machine's peak, which is measured in the same run: about `seconds` of runs.
Result<RooflineReport> roofline(Session& session, double seconds);
/// Makes the same session again and again, each with an engine of its own, whose weights lie in other memory. What a
/// calibration or a measurement decides is decided once.
class SessionMaker {
 public:
  /// An ONNX file or an engine file, whichever it is.
  static Result<SessionMaker> open(const std::string& path, const SessionSpec& spec, const LoadOptions& options = {});
  static Result<SessionMaker> of(const Model& model, const SessionSpec& spec);
  static SessionMaker of(EngineFile file, const SessionSpec& spec);
  Result<Session> make() const { return make_(); }

 private:
  explicit SessionMaker(std::function<Result<Session>()> make) : make_(std::move(make)) {}
  std::function<Result<Session>()> make_;
};
/// Two networks alternating query by query in one run, so that the machine's mood hits both, over nine pairs of fresh
/// engines, so that the luck of one engine is seen (speed_up() in report/performance.h). Both minima of the spec are
/// met over all pairs.
Result<std::pair<PerformanceReport, PerformanceReport>> bench_paired(const SessionMaker& a, const std::string& a_name,
                                                                     const SessionMaker& b, const std::string& b_name,
                                                                     const BenchSpec& spec);

/// One run on the spec's inputs; each output against the file (.npy, or raw bytes of its size), which passes when no
/// difference exceeds tolerance times the largest expected value. A network with several outputs is refused, because
/// one file holds one.
Result<OutputCheck> check_outputs(Session& session, const std::string& file, const BenchSpec& spec, double tolerance);

/// A C++ program for octet's public API that opens the model with these settings, runs it and prints the median
/// latency: what `octet bench` measured, in a user's own loop.
std::string bench_program(const std::string& model, const SessionSpec& session, const BenchSpec& spec);

struct ClassLine {
  std::string name;
  int64_t index = 0;
  double confidence = 0;  // percent
};
struct Classification {
  std::string image;
  std::vector<ClassLine> lines;  // above 10 %, best first
};
struct ClassifySpec {
  DataOptions data;
  std::string classes_file;  // one name per line; empty = the index is the name
  int64_t iterations = 0;    // > 0: average latency over that many runs of the first image
  int64_t warmup = 5;
  Progress progress = {};
};
struct ClassifyReport {
  std::vector<Classification> images;
  std::string note;               // as RunReport's
  double average_latency_ms = 0;  // with iterations
};
/// Softmax over the first output unless the network ends in one.
Result<ClassifyReport> classify(Session& session, const ClassifySpec& spec);
std::string to_text(const ClassifyReport& report);
std::string to_json(const ClassifyReport& report);

/// Runs every sample of the data (or one named .npy per input) and keeps the outputs.
struct RunSpec {
  DataOptions data;                           // for a single-input network
  std::map<std::string, std::string> inputs;  // name -> .npy file, or raw bytes
  std::string output;  // .npy file, or a folder when there are several outputs; empty = only the summary
  Progress progress = {};
};
struct RunReport {
  struct Output {
    std::string name, shape, file;
    double min = 0, max = 0, mean = 0;
  };
  int64_t samples = 0;
  std::vector<Output> outputs;
  std::string note;  // what makes the outputs doubtful, or the preprocessing that the network brought along; or empty
};
/// Session::open; extents that the network leaves free, and the spec too, are those of the .npy files.
Result<Session> open_for_files(const std::string& path, const SessionSpec& spec, const LoadOptions& options,
                               const RunSpec& run);
Result<RunReport> run_files(Session& session, const RunSpec& spec);
std::string to_text(const RunReport& report);
std::string to_json(const RunReport& report);

/// "octet 0.1.0 (commit), isas ..., back ends ..."
std::string version_text();
/// A page of the docs that is printed from the code's own lists, as Markdown. Topics: ops.
Result<std::string> describe(const std::string& topic);

/// What Model::load mended: by default one line for each repair, with `all` one for each edit.
std::string repairs_text(const Model& model, const std::string& output_file, bool all);
std::string repairs_json(const Model& model, const std::string& output_file);
/// Name and purpose of every repair in running order.
std::vector<std::pair<std::string, std::string>> repair_names();

/// Names of the passes in running order, for --skip-pass.
std::vector<std::string> pass_names();

}  // namespace octet
