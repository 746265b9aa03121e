#pragma once
// From a plan file's contents to an engine: shapes, tuning, packed weights.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plan/plan_file.h"
#include "runtime/engine.h"

namespace octet {

struct WantedShapes {
  int64_t batch = 0;  // leading extent of every input; 0 = the best shape's
  std::map<std::string, Dims> shapes;
};
/// notes: device parts that do not fit. sibling: an engine of the same plan and back end whose packed weights are
/// shared where they fit; null = those of the file. Errors: shapes outside the profile, a step that the back end cannot
/// run.
Result<std::shared_ptr<const Engine>> load_engine(const PlanFile& plan, const std::shared_ptr<Backend>& backend,
                                                  const WantedShapes& wanted, std::vector<std::string>& notes,
                                                  const std::shared_ptr<const Engine>& sibling = nullptr);

/// What a user of an uncalibrated plan is told; "" for others.
std::string uncalibrated_note(const PlanFile& plan);

}  // namespace octet
