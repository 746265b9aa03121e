#pragma once
// One network's answers to a data set, kept: others are held against them without running it again.
//
//   octet::Result<octet::Baseline> fp32 = octet::Baseline::make(*session, "FP32", {.data = {.path = "val/"}});
//   octet::Result<octet::EvaluationReport> report = fp32->against(*int8, "INT8");

#include <memory>
#include <string>

#include "octet/tasks.h"

namespace octet {

class Baseline {
 public:
  /// Runs the session over the data. beside: a session to come, whose preprocessing serves where neither the spec nor
  /// this session brings one, and with which data need no labels. Errors: those of evaluate().
  static Result<Baseline> make(Session& session, const std::string& name, const EvaluateSpec& spec,
                               const Session* beside = nullptr);
  /// Of the session alone.
  const EvaluationReport& report() const;
  /// The second one over the same data, image by image against the first.
  Result<EvaluationReport> against(Session& second, const std::string& name, const Progress& progress = {}) const;

 private:
  struct Kept;
  std::shared_ptr<const Kept> kept_;
};

}  // namespace octet
