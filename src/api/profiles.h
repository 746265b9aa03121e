#pragma once
// Optimization profiles as the text that a plan keeps them in (docs/plan_format.md, provenance); not installed.

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "octet/engine_file.h"

namespace octet {

using OptimizationProfile = std::map<std::string, ShapeRange>;  // by input

/// A line for each input of each profile: number, name, smallest, best, largest ("4x3x32x32"), with tabs between.
std::string profiles_text(const std::vector<OptimizationProfile>& profiles);
/// None where the text is not such.
std::vector<OptimizationProfile> read_profiles(const std::string& text);

/// "[1,3,32,32], [4,3,32,32], [8,3,32,32]".
std::string range_text(const ShapeRange& range);
/// Errors: an extent below 1, or one that is not between its ends.
Result<Done> check_range(const std::string& input, const ShapeRange& range);

}  // namespace octet
