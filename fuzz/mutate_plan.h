#pragma once
// A plan that reads, changed in its values and written again: most of these read as well, so that what is behind the
// reader gets to see odd networks.

#include <random>

#include "plan/plan_file.h"

namespace octet {

/// Changes one to three things: bytes of a constant, a number or word of an attribute, a tactic, packed bytes, a shape
/// of the profile, a text of the provenance.
void mutate_plan(PlanFile& plan, std::mt19937& random);

}  // namespace octet
