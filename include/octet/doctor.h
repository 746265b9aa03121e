#pragma once
// The self-check: small steps with bundled answers, on every ISA and device of this machine.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace octet {

/// A graph in text form whose inputs w, w_scale, b and table are constants; all elements come from a fixed generator.
/// answer: hash of the outputs' bytes, 0 for float steps, whose judge is the reference back end within `tolerance`.
struct DoctorCase {
  std::string_view name, graph;
  uint64_t answer = 0;
  double tolerance = 0;  // of the largest reference value
};
const std::vector<DoctorCase>& doctor_cases();

struct DoctorFinding {
  std::string device;  // "ref", "cpu avx2, 2 threads"
  std::string name;
  bool passed = false;
  std::string note;  // what differs, or what could not run
};
struct DoctorReport {
  std::vector<std::string> devices;     // that were checked
  std::vector<std::string> not_here;    // ISAs and back ends that this machine or build lacks
  std::vector<DoctorFinding> findings;  // by device, then case
  bool passed() const;
};
/// Errors: a case that cannot be made at all.
Result<DoctorReport> diagnose(const std::vector<DoctorCase>& cases);
std::string to_text(const DoctorReport& report);
std::string to_json(const DoctorReport& report);

}  // namespace octet
