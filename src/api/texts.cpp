// Texts of public values that need more than one room to say.

#include <nlohmann/json.hpp>

#include "octet/engine_file.h"
#include "octet/model.h"
#include "octet/tasks.h"
#include "report/json_text.h"
#include "report/text_table.h"

namespace octet {

std::string rows_text(const Quantized& quantized) {
  std::vector<std::vector<std::string>> rows = {{"Node", "Op", "Decision"}};
  rows.insert(rows.end(), quantized.rows.begin(), quantized.rows.end());
  return text_table(rows);
}

std::string to_json(const Quantized& quantized, const std::string& output_file) {
  nlohmann::ordered_json j = {{"output", output_file}, {"quantized", quantized.quantized}, {"total", quantized.total}};
  j["layers"] = nlohmann::ordered_json::array();
  for (const std::vector<std::string>& row : quantized.rows)
    j["layers"].push_back({{"name", row[0]}, {"op", row[1]}, {"decision", row[2]}});
  j["notes"] = quantized.notes;
  return json_text(j);
}

std::string to_json(const EngineFile& engine, const std::string& output_file) {
  const SessionTimes& times = engine.times();
  return json_text({{"plan", output_file},
                    {"bytes", engine.size_bytes()},
                    {"hash", engine.hash()},
                    {"precision", engine.precision()},
                    {"int8_percent", engine.int8_percent()},
                    {"uncalibrated", engine.is_uncalibrated()},
                    {"calibrate_s", times.calibrate_s},
                    {"tune_s", times.tune_s},
                    {"build_s", times.build_s},
                    {"notes", engine.notes()}});
}

}  // namespace octet
