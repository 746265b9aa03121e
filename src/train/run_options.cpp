#include "train/run_options.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <sstream>

#include "base/hash.h"
#include "octet/train/tensor_quantizer.h"
#include "onnx/onnx.h"
#include "train/convert.h"

namespace octet::nn {
namespace {

constexpr double k_most = 1e6;
constexpr double k_most_samples = 1e12;

enum class Ends { both, above_low, below_high };  // which of the two bounds belong to the range

struct OptionRow {
  std::string_view flag;
  double low, high;
  Ends ends;
  bool whole;
  double (*value)(const TrainOptions&);  // null: an option of the command line alone
  bool decides = true;                   // the numbers of a run
};

#define OCTET_OPTION(member) [](const TrainOptions& o) { return static_cast<double>(o.member); }
const std::array k_options = {
    OptionRow{"--epochs", 0, k_most, Ends::both, true, OCTET_OPTION(epochs)},
    OptionRow{"--lr", 0, 100, Ends::above_low, false, OCTET_OPTION(rate)},
    OptionRow{"last rate", 0, 100, Ends::both, false, OCTET_OPTION(last_rate)},
    OptionRow{"warm-up epochs", 0, k_most, Ends::both, false, OCTET_OPTION(warmup_epochs)},
    OptionRow{"--momentum", 0, 1, Ends::below_high, false, OCTET_OPTION(momentum)},
    OptionRow{"--weight-decay", 0, 1, Ends::both, false, OCTET_OPTION(weight_decay)},
    OptionRow{"nesterov", 0, 1, Ends::both, true, OCTET_OPTION(nesterov)},
    OptionRow{"--batch", 1, k_most, Ends::both, true, OCTET_OPTION(batch)},
    OptionRow{"crop", 0, 4096, Ends::both, true, OCTET_OPTION(augmentation.crop_pad)},
    OptionRow{"flip", 0, 1, Ends::both, true, OCTET_OPTION(augmentation.flip)},
    OptionRow{"--cutout", 0, k_most, Ends::both, true, OCTET_OPTION(augmentation.cutout)},
    OptionRow{"--label-smoothing", 0, 1, Ends::below_high, false, OCTET_OPTION(label_smoothing)},
    OptionRow{"--held-out", 0, 1, Ends::below_high, false, OCTET_OPTION(held_out)},
    OptionRow{"--keep-start", 0, k_most, Ends::both, false, OCTET_OPTION(keep_start)},
    OptionRow{"--distill", 0, 1, Ends::both, false, OCTET_OPTION(distill)},
    OptionRow{"--temperature", 0.01, 1000, Ends::both, false, OCTET_OPTION(temperature)},
    OptionRow{"--local-statistics", 0, 1, Ends::both, true, OCTET_OPTION(local_statistics)},
    OptionRow{"--deterministic", 0, 1, Ends::both, true, OCTET_OPTION(deterministic)},
    OptionRow{"--threads", 0, 4096, Ends::both, true, OCTET_OPTION(threads), false},
    OptionRow{"--data-memory", 0, k_most, Ends::both, false, OCTET_OPTION(data_memory), false},
    OptionRow{"--original-lr", 0, 1e4, Ends::above_low, false, nullptr},
    OptionRow{"--limit", 0, k_most_samples, Ends::both, true, nullptr},
    OptionRow{"--calib-limit", 1, k_most_samples, Ends::both, true, nullptr},
    OptionRow{"--size", 8, 4096, Ends::both, true, nullptr},
};
#undef OCTET_OPTION

std::string range_text(const OptionRow& row) {
  const std::string kind = row.whole ? "a whole number " : "a number ";
  const std::string low = exact_text(row.low), high = exact_text(row.high);
  switch (row.ends) {
    case Ends::above_low: return kind + "above " + low + ", at most " + high;
    case Ends::below_high: return kind + "from " + low + " to below " + high;
    case Ends::both: break;
  }
  return kind + "from " + low + " to " + high;
}

Result<Done> check(const OptionRow& row, double value) {
  const bool inside = value >= row.low && value <= row.high && (row.ends != Ends::above_low || value > row.low) &&
                      (row.ends != Ends::below_high || value < row.high) && (!row.whole || value == std::trunc(value));
  if (inside) return Done{};
  return Error{ErrorCode::bad_argument,
               std::string(row.flag) + " " + exact_text(value) + ": it takes " + range_text(row)};
}

}  // namespace

std::string exact_text(double value) {
  char text[64];
  const double whole = std::trunc(value);
  if (value == whole && std::abs(value) < 1e15) {
    const auto end = std::to_chars(text, text + sizeof text, static_cast<int64_t>(value)).ptr;
    return {text, end};
  }
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

Result<Done> check_option(std::string_view flag, double value) {
  for (const OptionRow& row : k_options)
    if (row.flag == flag) return check(row, value);
  return Error{ErrorCode::internal, "option '" + std::string(flag) + "' has no range"};
}

Result<Done> check_options(const TrainOptions& options) {
  for (const OptionRow& row : k_options)
    if (row.value)
      if (const Result<Done> ok = check(row, row.value(options)); !ok) return ok;
  return Done{};
}

Result<Done> check_device(const std::string& name) {
  try {
    const torch::Device device(name);
    if (device.is_cpu()) return Done{};
    if (device.is_cuda() && torch::cuda::is_available() &&
        (device.index() < 0 || int64_t{device.index()} < static_cast<int64_t>(torch::cuda::device_count())))
      return Done{};
    return Error{ErrorCode::device, "device '" + name + "': this libtorch finds no such GPU; use --device cpu"};
  } catch (const std::exception&) {
    return Error{ErrorCode::bad_argument, "device '" + name + "' is not known; cpu, cuda or cuda:N"};
  }
}

Identity identity_of(const TrainOptions& options) {
  Identity all = options.origin;
  for (const OptionRow& row : k_options)
    if (row.value && row.decides) all.emplace_back(row.flag, exact_text(row.value(options)));
  all.emplace_back("--seed", std::to_string(options.seed));
  all.emplace_back("--device", torch::Device(options.device).is_cuda() ? "cuda" : "cpu");
  return all;
}

std::string content_hash(const GraphModuleImpl& net) {
  uint64_t hash = 0;
  const auto add = [&](std::span<const std::byte> bytes) { hash = hash_bytes(bytes, hash); };
  for (const auto& [name, tensor] : state_dict(net)) {
    add(std::as_bytes(std::span(name)));
    const octet::Tensor plain = to_octet(tensor.detach());
    add(std::as_bytes(std::span(plain.dims())));
    add(plain.bytes());
  }
  for (const auto& quantizer : net.quantizers()) {
    const Codes& codes = quantizer->limits();
    const int64_t numbers[] = {codes.lo, codes.hi, codes.zero_point, codes.axis, quantizer->learns_scale() ? 1 : 0};
    add(std::as_bytes(std::span(numbers)));
  }
  if (const Result<std::vector<std::byte>> file = write_onnx(net.graph()); file) add(*file);
  return to_hex(hash);
}

std::string to_text(const Identity& identity) {
  std::string text;
  for (const auto& [name, value] : identity) text += name + "=" + value + "\n";
  return text;
}

std::string differences(const std::string& there, const Identity& here) {
  std::map<std::string, std::string> then;
  std::istringstream lines(there);
  for (std::string line; std::getline(lines, line);)
    if (const size_t at = line.find('='); at != std::string::npos) then[line.substr(0, at)] = line.substr(at + 1);
  std::string text;
  const auto differ = [&](const std::string& name, const std::string& was, const std::string& is) {
    text += (text.empty() ? "" : "; ") + name + " " + was + " there, " + is + " here";
  };
  for (const auto& [name, value] : here) {
    const auto at = then.find(name);
    if (at == then.end() || at->second != value) differ(name, at == then.end() ? "not given" : at->second, value);
    if (at != then.end()) then.erase(at);
  }
  for (const auto& [name, value] : then) differ(name, value, "not given");
  if (text.empty() && there != to_text(here)) text = "their order";
  return text;
}

std::string reason(const std::exception& e) {
  const char* what = e.what();
  return {what, std::strcspn(what, "\n")};
}

std::string memory_advice(const std::exception& e, const TrainOptions& options) {
  if (!options.device.starts_with("cuda") || !std::strstr(e.what(), "out of memory")) return "";
  return std::string("; take a smaller --batch") +
         (options.step_graph ? ", or --no-step-graph: a recorded step has memory of its own" : "");
}

}  // namespace octet::nn
