#pragma once
// ONNX Runtime's calibration tables, as write_calibration_table() of onnxruntime.quantization leaves them in a folder:
//
//   calibration.cache        text, sorted by name: NAME SP AMAX; a name may hold blanks, so the last one splits
//   calibration.json         {"NAME": [MIN, MAX]} in 2022; since then {"CLS": "TensorsData", "data": {"NAME": {"CLS":
//                            "TensorData", "lowest": X, "highest": X}}}, X a number or {"CLS": "numpy.array", "data":
//                            X}
//   calibration.flatbuffers  table TrtTable { dict: [KeyValue]; }  table KeyValue { key: string; value: string; }
//   without
//                            file identifier; value is the text of AMAX
//
// AMAX was max(|min|, |max|) at first; the current source takes max(min, max) without absolute values, so a tensor in
// [-5, 1] gets 1. The JSON form has both ends and is to be preferred.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace octet {

enum class OrtForm { text, json, flatbuffers };

struct OrtRange {
  std::string name;
  double amax = 0;                                // as it stands in the file; json: the larger absolute end
  std::optional<std::pair<double, double>> ends;  // json
  bool operator==(const OrtRange&) const = default;
};

struct OrtTable {
  OrtForm form = OrtForm::text;
  std::string method;            // "MinMax" where the JSON says it
  std::vector<OrtRange> ranges;  // in the file's order; flatbuffers are kept sorted by name
  std::vector<std::string> notes;
};

/// Which form the bytes look like; nothing when none. Text: the first line ends in a blank and a decimal number.
std::optional<OrtForm> ort_form(std::string_view bytes);
/// Errors name the line, key or byte offset: not a number, NaN, negative amax, ends out of order, offsets that lie.
Result<OrtTable> parse_ort_table(std::string_view bytes, OrtForm form);
/// The file as ONNX Runtime writes it. text: a parsed file gives the same bytes. json: the current form; ends from amax
/// where there are none.
std::string to_bytes(const OrtTable& table, OrtForm form);

// ort_flatbuffers.cpp
Result<OrtTable> parse_ort_flatbuffers(std::string_view bytes);
std::string ort_flatbuffers(const OrtTable& table);
/// Python's repr(float): what both text forms hold. "2.5", "6.0", "1.5e-07".
std::string python_number(double x);
/// The whole text is one finite decimal number.
std::optional<double> decimal_number(std::string_view text);

}  // namespace octet
