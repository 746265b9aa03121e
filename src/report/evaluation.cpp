#include "report/evaluation.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "report/json_text.h"
#include "report/text_table.h"

namespace octet {
namespace {

std::string one_text(const Evaluation& e) {
  std::string text = e.model + " (" + e.precision + ", " + e.device + ")\n";
  text += "  images    " + std::to_string(e.images) + "\n";
  if (e.labelled) {
    text += "  top-1     " + fixed(100 * e.top1(), 2) + " % (" + std::to_string(e.top1_right) + " right)\n";
    text += "  top-5     " + fixed(100 * e.top5(), 2) + " % (" + std::to_string(e.top5_right) + " right)\n";
  }
  text += "  images/s  " + fixed(e.images_per_s(), 1) + "\n";
  if (!e.note.empty()) text += "  note      " + e.note + "\n";
  return text;
}

constexpr const char* k_format = "TensorFormat.LINEAR";  // dense and row-major, as every tensor of a session is

std::string tuple_text(const std::vector<int64_t>& dims) {
  std::string text;
  for (const int64_t extent : dims) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "(" + text + (dims.size() == 1 ? ",)" : ")");
}

nlohmann::ordered_json tensors_json(const std::vector<EvaluatedTensor>& tensors) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const EvaluatedTensor& t : tensors)
    list.push_back({{"name", t.name}, {"shape", t.dims}, {"dtype", t.dtype}, {"format", k_format}});
  return list;
}

nlohmann::ordered_json one_json(const Evaluation& e) {
  nlohmann::ordered_json j = {
      {"model", e.model}, {"precision", e.precision}, {"device", e.device}, {"images", e.images}};
  if (e.labelled) {
    j["top1_right"] = e.top1_right;
    j["top1"] = e.top1();
    j["top5_right"] = e.top5_right;
    j["top5"] = e.top5();
  }
  j["images_per_s"] = e.images_per_s();
  j["inputs"] = tensors_json(e.inputs);
  j["outputs"] = tensors_json(e.outputs);
  if (!e.note.empty()) j["note"] = e.note;
  return j;
}

/// JSON has no infinity: equal outputs have an infinite signal-to-noise ratio, written as null.
nlohmann::ordered_json finite_or_null(double x) { return std::isfinite(x) ? nlohmann::ordered_json(x) : nullptr; }

}  // namespace

double paired_ci95(int64_t gained, int64_t lost, int64_t n) {
  if (n <= 0) return 0;
  const auto d = static_cast<double>(gained - lost);
  const double variance = static_cast<double>(gained + lost) - d * d / static_cast<double>(n);
  return 1.96 * std::sqrt(std::max(variance, 0.0)) / static_cast<double>(n);
}

std::string tensors_text(const Evaluation& evaluation) {
  std::string text;
  for (const auto& [title, tensors] :
       {std::pair("Input Tensor:\n", &evaluation.inputs), std::pair("Output Tensor:\n", &evaluation.outputs)}) {
    text += title;
    for (const EvaluatedTensor& t : *tensors)
      text += "Tensor Name: " + t.name + " Shape: " + tuple_text(t.dims) + " Data Type: " + t.dtype +
              " Data Format: " + k_format + "\n";
  }
  return text;
}

std::string to_text(const EvaluationReport& report) {
  std::string text = one_text(report.first);
  if (report.second) text += one_text(*report.second);
  if (report.comparison) {
    const Comparison& c = *report.comparison;
    text += "second against first\n  same answer   " + fixed(100 * c.agreement, 2) + " %\n";
    if (report.first.labelled)
      text += "  top-1 change  " + std::string(c.difference >= 0 ? "+" : "") + fixed(100 * c.difference, 2) +
              " points (95 % interval +-" + fixed(100 * c.difference_ci95, 2) + ")\n";
    text += "  SQNR          " + (std::isfinite(c.sqnr_db) ? fixed(c.sqnr_db, 1) + " dB" : "infinite (equal outputs)") +
            "\n  cosine        " + fixed(c.cosine, 6) + "\n";
  }
  return text;
}

std::string to_json(const EvaluationReport& report) {
  if (!report.second) return json_text(one_json(report.first));
  nlohmann::ordered_json j = {{"first", one_json(report.first)}, {"second", one_json(*report.second)}};
  if (report.comparison) {
    j["agreement"] = report.comparison->agreement;
    if (report.first.labelled) {
      j["difference"] = report.comparison->difference;
      j["difference_ci95"] = report.comparison->difference_ci95;
    }
    j["sqnr_db"] = finite_or_null(report.comparison->sqnr_db);
    j["cosine"] = finite_or_null(report.comparison->cosine);
  }
  return json_text(j);
}

}  // namespace octet
