#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "api/samples.h"
#include "octet/baseline.h"

namespace octet {
namespace {

/// Top-1 answers and all outputs of one session over the data.
struct Answers {
  std::vector<int64_t> top1;
  std::vector<uint8_t> right1, right5;
  std::vector<float> outputs;
  double seconds = 0;
  int64_t largest_label = -1, classes = 0;
};

bool holds(const std::vector<int64_t>& labels, int64_t c) {
  return std::find(labels.begin(), labels.end(), c) != labels.end();
}

/// One of the five largest is an accepted class (fewer than five classes: one of all).
bool right_in_top5(std::span<const float> row, const std::vector<int64_t>& labels) {
  for (const int64_t label : labels) {
    if (label < 0 || label >= static_cast<int64_t>(row.size())) continue;
    int64_t larger = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      const float own = row[static_cast<size_t>(label)];
      larger += row[i] > own || (row[i] == own && static_cast<int64_t>(i) < label);
    }
    if (larger < 5) return true;
  }
  return false;
}

struct Work {
  int64_t done = 0, total = 0;
  const Progress& progress;
};

Result<Answers> answers_of(Session& session, const SampleSet& data, Work& work) {
  Result<SampleBuffers> buffers = SampleBuffers::make(session);
  if (!buffers) return buffers.error();
  Answers answers;
  for (int64_t begin = 0; begin < data.size(); begin += session.batch()) {
    const int64_t count = std::min(session.batch(), data.size() - begin);
    if (const Result<Done> filled = buffers->fill(data, begin, count); !filled) return filled.error();
    const auto start = std::chrono::steady_clock::now();
    if (const Result<Done> ran = buffers->run(session); !ran) return ran.error();
    answers.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (int64_t i = 0; i < count; ++i) {
      const std::span<const float> row = buffers->row(i);
      const std::vector<int64_t> labels = data.labels(begin + i);
      answers.classes = static_cast<int64_t>(row.size());
      for (const int64_t label : labels) {
        answers.largest_label = std::max(answers.largest_label, label);
        if (label < 0 || label >= static_cast<int64_t>(row.size()))
          return Error{ErrorCode::bad_argument, data.sample_name(begin + i) + ": its label is " +
                                                    std::to_string(label) + ", but the network has " +
                                                    std::to_string(row.size()) + " classes"};
      }
      answers.top1.push_back(arg_max(row));
      answers.right1.push_back(holds(labels, answers.top1.back()));
      answers.right5.push_back(right_in_top5(row, labels));
      answers.outputs.insert(answers.outputs.end(), row.begin(), row.end());
    }
    work.done += count;
    if (work.progress) work.progress(work.done, work.total);
  }
  return answers;
}

Evaluation evaluation_of(const Session& session, const std::string& name, const Answers& answers, bool labelled) {
  Evaluation e;
  e.model = name;
  e.precision = session.precision();
  e.device = session.description();
  for (const Port& port : session.inputs()) e.inputs.push_back({port.name, port.dtype, port.dims});
  for (const Port& port : session.outputs()) e.outputs.push_back({port.name, port.dtype, port.dims});
  e.images = static_cast<int64_t>(answers.top1.size());
  e.labelled = labelled;
  e.top1_right = std::count(answers.right1.begin(), answers.right1.end(), 1);
  e.top5_right = std::count(answers.right5.begin(), answers.right5.end(), 1);
  e.seconds = answers.seconds;
  return e;
}

Comparison comparison_of(const Answers& a, const Answers& b) {
  Comparison c;
  const auto n = static_cast<int64_t>(a.top1.size());
  int64_t same = 0, gained = 0, lost = 0;
  for (size_t i = 0; i < a.top1.size(); ++i) {
    same += a.top1[i] == b.top1[i];
    gained += b.right1[i] && !a.right1[i];
    lost += a.right1[i] && !b.right1[i];
  }
  c.agreement = static_cast<double>(same) / static_cast<double>(n);
  c.difference = static_cast<double>(gained - lost) / static_cast<double>(n);
  c.difference_ci95 = paired_ci95(gained, lost, n);
  double signal = 0, noise = 0, other = 0, dot = 0;
  for (size_t i = 0; i < a.outputs.size(); ++i) {
    const double x = a.outputs[i], y = b.outputs[i];
    signal += x * x;
    other += y * y;
    dot += x * y;
    noise += (x - y) * (x - y);
  }
  c.sqnr_db = noise > 0 ? 10 * std::log10(signal / noise) : std::numeric_limits<double>::infinity();
  c.cosine = signal > 0 && other > 0 ? dot / std::sqrt(signal * other) : (signal == other ? 1 : 0);
  return c;
}

/// Sub-folders are numbered from 0. Where they are some of a larger network's classes (ten of ImageNet's thousand, or
/// one folder with all pictures), these are not the network's numbers. Right answers show that they are.
std::string classes_note(const Answers& answers, const Evaluation& e) {
  if (!e.labelled || answers.largest_label >= answers.classes / 2 || e.top1_right >= e.images / 4) return {};
  return "the labels go up to " + std::to_string(answers.largest_label) + ", the network has " +
         std::to_string(answers.classes) +
         " classes: where sub-folders are not its first ones in order, a labels.csv with lines file,class says which "
         "they are";
}

/// A session calibrated under one preprocessing and judged under another is a common silent mistake: say it. So are
/// figures of a network whose ranges are noise.
void warn(const Session& session, const SampleSet& data, const Answers& answers, Evaluation& e) {
  e.note = preprocess_note(data, session);
  if (const std::string note = classes_note(answers, e); !note.empty())
    e.note = note + (e.note.empty() ? "" : "; " + e.note);
  if (session.is_uncalibrated())
    e.note =
        "UNCALIBRATED: the ranges come from noise, this accuracy means nothing" + (e.note.empty() ? "" : "; " + e.note);
}

}  // namespace

struct Baseline::Kept {
  SampleSet data;
  Answers answers;
  EvaluationReport report;  // of the session alone
};

Result<Baseline> Baseline::make(Session& session, const std::string& name, const EvaluateSpec& spec,
                                const Session* beside) {
  Result<SampleSet> data = open_data(spec.data, session, beside);
  if (!data) return data.error();
  const bool labelled = !data->labels(0).empty();
  if (!labelled && !beside)
    return Error{ErrorCode::bad_argument, spec.data.path +
                                              ": has no labels; give a folder with class sub-folders or a labels.txt, "
                                              "or two models to compare their outputs"};
  Work work{0, data->size() * (beside ? 2 : 1), spec.progress};
  Result<Answers> answers = answers_of(session, *data, work);
  if (!answers) return within(name, answers.error());
  EvaluationReport report{evaluation_of(session, name, *answers, labelled), {}, {}};
  warn(session, *data, *answers, report.first);
  Baseline made;
  made.kept_ = std::make_shared<const Kept>(Kept{*std::move(data), *std::move(answers), std::move(report)});
  return made;
}

const EvaluationReport& Baseline::report() const { return kept_->report; }

Result<EvaluationReport> Baseline::against(Session& second, const std::string& name, const Progress& progress) const {
  const Answers& a = kept_->answers;
  Work work{kept_->data.size(), 2 * kept_->data.size(), progress};
  const Result<Answers> b = answers_of(second, kept_->data, work);
  if (!b) return within(name, b.error());
  if (a.outputs.size() != b->outputs.size())
    return Error{ErrorCode::bad_argument,
                 "the two networks' outputs differ in size: " + std::to_string(a.outputs.size()) + " and " +
                     std::to_string(b->outputs.size()) + " values"};
  EvaluationReport report = kept_->report;
  report.second = evaluation_of(second, name, *b, report.first.labelled);
  warn(second, kept_->data, *b, *report.second);
  report.comparison = comparison_of(a, *b);
  return report;
}

Result<EvaluationReport> evaluate(Session& first, const std::string& first_name, Session* second,
                                  const std::string& second_name, const EvaluateSpec& spec) {
  const Result<Baseline> baseline = Baseline::make(first, first_name, spec, second);
  if (!baseline) return baseline.error();
  return second ? baseline->against(*second, second_name, spec.progress) : baseline->report();
}

}  // namespace octet
