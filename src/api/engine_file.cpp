#include "octet/engine_file.h"

#include <algorithm>
#include <chrono>

#include "api/io_formats.h"
#include "api/layer_counts.h"
#include "api/profiles.h"
#include "api/state.h"
#include "base/hash.h"
#include "ir/text.h"
#include "octet/version.h"
#include "runtime/load_plan.h"

namespace octet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

TensorInfo info_of(const Value& value, const Dims* low, const Dims* high) {
  TensorInfo info;
  info.name = value.name;
  info.dtype = numpy_name(value.dtype);
  const Dims dims = value.shape ? known_dims(*value.shape).value_or(Dims()) : Dims();
  std::string shape;
  for (size_t d = 0; d < dims.size(); ++d) {
    shape += d ? "," : "";
    const bool free = low && (*low)[d] != (*high)[d];
    shape += free ? std::to_string((*low)[d]) + ".." + std::to_string((*high)[d]) : std::to_string(dims[d]);
  }
  info.shape = "[" + shape + "]";
  return info;
}

/// Whether a tensor of a plan can be in this format. The text that says it is a stranger's.
bool can_have(const Value& value, const IoFormat& format) {
  if (!format.dtype.empty() && numpy_name(value.dtype) != format.dtype) return false;
  if (format.channels_together == 0) return true;
  const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
  if (!dims) return false;
  if (format.channels_together == 1) return dims->size() == 4;
  const int64_t k = format.channels_together;
  return dims->size() == 5 && (*dims)[4] == k && format.channels > ((*dims)[1] - 1) * k &&
         format.channels <= (*dims)[1] * k;
}

// ---- optimization profiles ----

/// Of an input in the plan's one range of shapes.
ShapeRange range_of_input(const PlanFile& plan, size_t i) {
  const Dims own = known_dims(*plan.graph.value(plan.graph.inputs[i]).shape).value_or(Dims());
  if (plan.profile.fixed()) return {own, own, own};
  return {plan.profile.smallest[i], plan.profile.best[i], plan.profile.largest[i]};
}

/// Whether every range names an input of the plan and lies within its shapes.
bool is_within(const std::map<std::string, ShapeRange>& profile, const PlanFile& plan) {
  for (const auto& [name, range] : profile) {
    size_t i = 0;
    while (i < plan.graph.inputs.size() && plan.graph.value(plan.graph.inputs[i]).name != name) ++i;
    if (i == plan.graph.inputs.size() || !check_range(name, range)) return false;
    const ShapeRange whole = range_of_input(plan, i);
    if (range.best.size() != whole.best.size()) return false;
    for (size_t d = 0; d < whole.best.size(); ++d)
      if (range.smallest[d] < whole.smallest[d] || range.largest[d] > whole.largest[d]) return false;
  }
  return true;
}

/// "FP16" of "int8 and fp16". Beside BF16 layers, which the graph names, all others are FP32.
std::string upper_floats(const std::string& precision) {
  for (const auto& [ending, upper] : {std::pair("fp16", "FP16"), {"tf32", "TF32"}})
    if (precision.ends_with(ending)) return upper;
  return "FP32";
}

}  // namespace

std::string plan_writer() { return std::string("octet ") + k_version; }

bool EngineFile::is_engine_file(const std::string& path) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  return file && looks_like_plan((*file)->bytes());
}

Result<PlanVersion> EngineFile::version(const std::string& path) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  const Result<HeaderVersion> said = header_version((*file)->bytes());
  if (!said) return within(path, said.error());
  return PlanVersion{said->format, said->arithmetic, said->writer};
}

std::vector<std::string> EngineFile::device_parts() const {
  std::vector<std::string> parts;
  for (const TuningPart& part : state_->plan.tuning) parts.push_back("tactics for " + part.timing_key);
  for (const PackedPart& part : state_->plan.packed) parts.push_back("packed weights for " + part.key);
  return parts;
}

Result<EngineFile> EngineFile::load(const std::string& path) {
  const auto start = Clock::now();
  Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return file.error();
  Result<PlanFile> plan = read_plan((*file)->bytes(), *file, plan_writer());
  if (!plan) return within(path, plan.error());
  auto state = std::make_shared<State>();
  state->path = path;
  state->file = *file;
  state->file_bytes = (*file)->bytes().size();
  state->plan = *std::move(plan);
  if (const std::string note = uncalibrated_note(state->plan); !note.empty()) state->notes.push_back(note);
  state->notes.insert(state->notes.end(), state->plan.notes.begin(), state->plan.notes.end());
  state->times.load_s = seconds_since(start);
  return EngineFile(std::move(state));
}

Result<Done> EngineFile::save(const std::string& path) const {
  const std::span<const std::byte> bytes = state_->file ? state_->file->bytes() : std::span(state_->bytes);
  return write_file_atomically(path, bytes);
}

std::string EngineFile::hash() const {
  return to_hex(hash_bytes(state_->file ? state_->file->bytes() : std::span<const std::byte>(state_->bytes)));
}

double EngineFile::int8_percent() const { return count_layers(state_->plan.graph).percent(); }

std::string EngineFile::layer_counts() const {
  const LayerCounts counts = count_layers(state_->plan.graph);
  std::string text = std::to_string(counts.integer) + " INT8, " +
                     (counts.bf16 > 0 ? std::to_string(counts.bf16) + " BF16, " : "") + std::to_string(counts.real) +
                     " " + upper_floats(precision()) + " layers, " + std::to_string(counts.conversions) +
                     (counts.conversions == 1 ? " conversion" : " conversions");
  if (counts.all_macs > 0) text += "; " + percent_text(counts.percent()) + " of MACs in INT8";
  return text;
}

const std::string& EngineFile::path() const { return state_->path; }
size_t EngineFile::size_bytes() const { return state_->file_bytes; }
std::string EngineFile::writer() const { return state_->plan.writer; }
bool EngineFile::is_uncalibrated() const { return provenance_value(state_->plan.provenance, "uncalibrated") == "yes"; }
const std::vector<std::pair<std::string, std::string>>& EngineFile::provenance() const {
  return state_->plan.provenance;
}
const std::vector<std::string>& EngineFile::notes() const { return state_->notes; }
const std::string& EngineFile::tuning_log() const { return state_->tuning_log; }
const SessionTimes& EngineFile::times() const { return state_->times; }
std::string EngineFile::text(bool elided) const { return print(state_->plan.graph, {.elide_constants = elided}); }

std::string EngineFile::precision() const {
  const std::string stored = provenance_value(state_->plan.provenance, "precision");
  for (const char* known :
       {"int8", "fp16", "bf16", "tf32", "int8 and fp32", "int8 and fp16", "int8 and bf16", "int8 and tf32"})
    if (stored == known) return stored;
  return "fp32";
}

bool EngineFile::is_refittable() const { return provenance_value(state_->plan.provenance, "refit") == "yes"; }

std::vector<std::map<std::string, ShapeRange>> EngineFile::profiles() const {
  const PlanFile& plan = state_->plan;
  std::vector<std::map<std::string, ShapeRange>> profiles =
      read_profiles(provenance_value(plan.provenance, "profiles"));
  const auto fits = [&](const std::map<std::string, ShapeRange>& profile) { return is_within(profile, plan); };
  if (!std::all_of(profiles.begin(), profiles.end(), fits)) profiles.clear();
  if (profiles.empty()) profiles.emplace_back();
  for (std::map<std::string, ShapeRange>& profile : profiles)
    for (size_t i = 0; i < plan.graph.inputs.size(); ++i)
      profile.emplace(plan.graph.value(plan.graph.inputs[i]).name, range_of_input(plan, i));
  return profiles;
}

std::vector<TensorInfo> EngineFile::inputs() const {
  const PlanFile& plan = state_->plan;
  std::vector<TensorInfo> infos;
  for (size_t i = 0; i < plan.graph.inputs.size(); ++i) {
    const bool fixed = plan.profile.fixed();
    infos.push_back(info_of(plan.graph.value(plan.graph.inputs[i]), fixed ? nullptr : &plan.profile.smallest[i],
                            fixed ? nullptr : &plan.profile.largest[i]));
  }
  return infos;
}

std::map<std::string, IoFormat> EngineFile::formats() const {
  std::map<std::string, IoFormat> formats;
  const Graph& graph = state_->plan.graph;
  const std::string key = " format=", options = " " + provenance_value(state_->plan.provenance, "options") + " ";
  for (size_t at = options.find(key); at != std::string::npos; at = options.find(key, at + 1)) {
    const std::string word = options.substr(at + key.size(), options.find(' ', at + 1) - at - key.size());
    const size_t order = word.rfind(':'), type = order == std::string::npos ? order : word.rfind(':', order - 1);
    if (type == std::string::npos || type == 0) continue;
    const std::optional<IoFormat> format = read_format(word.substr(type + 1));
    const std::string name = word.substr(0, type);
    for (const auto* ids : {&graph.inputs, &graph.outputs})
      for (const ValueId v : *ids)
        if (format && graph.value(v).name == name && can_have(graph.value(v), *format)) formats[name] = *format;
  }
  return formats;
}

std::vector<TensorInfo> EngineFile::outputs() const {
  std::vector<TensorInfo> infos;
  for (const ValueId v : state_->plan.graph.outputs)
    infos.push_back(info_of(state_->plan.graph.value(v), nullptr, nullptr));
  return infos;
}

}  // namespace octet
