#pragma once
// The first corpus of the plan reader's fuzzer, as graphs in text form: every op is in at least one of them
// (tests/fuzz/seeds_test.cpp), since mutation changes a plan's values, but not which ops it has.

#include <string>
#include <vector>

#include "plan/plan_file.h"

namespace octet {

struct PlanSeed {
  std::string name, graph;
  ShapeProfile profile = {};
};

std::vector<PlanSeed> plan_seeds();

}  // namespace octet
