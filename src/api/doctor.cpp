#include "octet/doctor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "backends/cpu/cpu_backend.h"
#include "backends/open.h"
#include "base/hash.h"
#include "base/isa.h"
#include "ir/text.h"
#include "report/json_text.h"
#include "report/text_table.h"
#include "runtime/engine.h"

namespace octet {
namespace {

/// Knuth's MMIX generator; only whole-number arithmetic, so that every machine draws the same elements.
class Draw {
 public:
  explicit Draw(uint64_t seed) : state_(seed) {}
  uint32_t below(uint32_t n) {
    state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<uint32_t>((state_ >> 33) % n);
  }

 private:
  uint64_t state_;
};

/// Codes over their whole range, biases within +-5000, scales k / 4096 for k in 1..64, other floats k / 256 in +-4.
Result<Tensor> drawn(const Value& value, uint64_t seed) {
  const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
  if (!dims) return Error{ErrorCode::internal, "value '" + value.name + "' has no concrete shape"};
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(value.dtype, *dims);
  if (!made) return made.error();
  Draw draw(seed);
  auto put = [at = made->second](auto v) mutable {
    std::memcpy(at, &v, sizeof v);
    at += sizeof v;
  };
  const bool is_scale = value.name.ends_with("scale");
  for (int64_t i = 0; i < made->first.size(); ++i) {
    if (value.dtype == DType::f32) {
      put(is_scale ? static_cast<float>(1 + draw.below(64)) / 4096.0f
                   : (static_cast<float>(draw.below(2048)) - 1024.0f) / 256.0f);
    } else if (value.dtype == DType::s32) {
      put(static_cast<int32_t>(draw.below(10001)) - 5000);
    } else {
      // Weights keep to -127..127.
      const uint32_t code = draw.below(256);
      put(static_cast<uint8_t>(value.name == "w" && code == 128 ? 129 : code));
    }
  }
  return made->first;
}

struct Prepared {
  Graph graph;
  std::vector<Tensor> inputs;
};

Result<Prepared> prepare(const DoctorCase& c) {
  Result<Graph> graph = parse_graph(c.graph);
  if (!graph) return within(c.name, graph.error());
  Prepared p{*std::move(graph), {}};
  std::vector<ValueId> inputs;
  uint64_t seed = 1;
  const std::set<std::string> constants = {"w", "w_scale", "b", "table"};
  for (const ValueId v : p.graph.inputs) {
    Result<Tensor> tensor = drawn(p.graph.value(v), seed++);
    if (!tensor) return within(c.name, tensor.error());
    if (constants.count(p.graph.value(v).name)) {
      p.graph.value(v).constant = *std::move(tensor);
    } else {
      inputs.push_back(v);
      p.inputs.push_back(*std::move(tensor));
    }
  }
  p.graph.inputs = inputs;
  return p;
}

Result<std::vector<std::byte>> run_on(const Prepared& p, const std::shared_ptr<Backend>& backend) {
  const Result<std::shared_ptr<const Engine>> engine = Engine::build(p.graph, backend);
  if (!engine) return engine.error();
  Result<Context> context = Context::make(*engine);
  if (!context) return context.error();
  Bindings io;
  for (const Tensor& t : p.inputs)
    io.inputs.push_back(TensorView::dense(t.dtype(), t.dims(), const_cast<std::byte*>(t.bytes().data())));
  const Value& output = (*engine)->output(0);
  const Dims dims = *known_dims(*output.shape);
  std::vector<std::byte> bytes(static_cast<size_t>(*element_count(dims)) * size_of(output.dtype));
  io.outputs.push_back(TensorView::dense(output.dtype, dims, bytes.data()));
  if (const Result<Done> ran = context->run(io); !ran) return ran.error();
  return bytes;
}

/// Largest difference of two float outputs over the largest reference value.
double relative_difference(std::span<const std::byte> made, std::span<const std::byte> reference) {
  double largest = 0, difference = 0;
  for (size_t i = 0; i + sizeof(float) <= reference.size(); i += sizeof(float)) {
    float a = 0, b = 0;
    std::memcpy(&a, made.data() + i, sizeof a);
    std::memcpy(&b, reference.data() + i, sizeof b);
    largest = std::max(largest, std::fabs(static_cast<double>(b)));
    const double d = std::fabs(static_cast<double>(a) - static_cast<double>(b));
    difference = std::isnan(d) ? d : std::max(difference, d);
  }
  return largest > 0 ? difference / largest : difference;
}

DoctorFinding check(const DoctorCase& c, const Prepared& p, const std::shared_ptr<Backend>& backend,
                    const std::vector<std::byte>& reference) {
  DoctorFinding finding{backend->description(), std::string(c.name), false, ""};
  const Result<std::vector<std::byte>> made = run_on(p, backend);
  if (!made) {
    finding.note = made.error().message;
  } else if (c.tolerance > 0) {
    const double d = relative_difference(*made, reference);
    finding.passed = d <= c.tolerance;
    finding.note = "difference " + short_number(d) + ", allowed " + short_number(c.tolerance);
  } else {
    const uint64_t hash = hash_bytes(*made);
    finding.passed = hash == c.answer;
    finding.note = finding.passed ? "equal" : "gave " + to_hex(hash) + ", the bundled answer is " + to_hex(c.answer);
  }
  return finding;
}

std::vector<std::shared_ptr<Backend>> devices_here(DoctorReport& report) {
  std::vector<std::shared_ptr<Backend>> devices;
  const std::vector<Isa> isas = available_isas();
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx_vnni, Isa::avx512_vnni, Isa::amx}) {
    if (std::find(isas.begin(), isas.end(), isa) == isas.end()) {
      report.not_here.push_back("cpu " + std::string(name(isa)));
      continue;
    }
    for (const int threads : {1, 2}) devices.push_back(cpu::make_backend({.threads = threads, .isa = isa}));
  }
  const std::string gpu_name = gpu_backend_name();
  if (const Result<std::shared_ptr<Backend>> gpu = open_backend(gpu_name); gpu) {
    devices.push_back(*gpu);
  } else {
    report.not_here.push_back(gpu_name + " (" + gpu.error().message + ")");
  }
  return devices;
}

}  // namespace

bool DoctorReport::passed() const {
  return std::all_of(findings.begin(), findings.end(), [](const DoctorFinding& f) { return f.passed; });
}

Result<DoctorReport> diagnose(const std::vector<DoctorCase>& cases) {
  DoctorReport report;
  const Result<std::shared_ptr<Backend>> ref = open_backend("ref");
  if (!ref) return ref.error();
  std::vector<std::shared_ptr<Backend>> devices = {*ref};
  for (std::shared_ptr<Backend>& device : devices_here(report)) devices.push_back(std::move(device));
  std::vector<Prepared> prepared;
  std::vector<std::vector<std::byte>> references;
  for (const DoctorCase& c : cases) {
    Result<Prepared> p = prepare(c);
    if (!p) return p.error();
    Result<std::vector<std::byte>> reference = run_on(*p, *ref);
    if (!reference) return within(c.name, reference.error());
    prepared.push_back(*std::move(p));
    references.push_back(*std::move(reference));
  }
  for (const std::shared_ptr<Backend>& device : devices) {
    report.devices.push_back(device->description());
    for (size_t i = 0; i < cases.size(); ++i)
      report.findings.push_back(check(cases[i], prepared[i], device, references[i]));
  }
  return report;
}

std::string to_text(const DoctorReport& report) {
  std::vector<std::vector<std::string>> rows = {{"Device", "Checks", "Verdict"}};
  std::string failures;
  for (const std::string& device : report.devices) {
    int64_t passed = 0, all = 0;
    for (const DoctorFinding& f : report.findings) {
      if (f.device != device) continue;
      ++all;
      passed += f.passed;
      if (!f.passed) failures += device + ": " + f.name + ": " + f.note + "\n";
    }
    rows.push_back({device, std::to_string(passed) + "/" + std::to_string(all), passed == all ? "well" : "ILL"});
  }
  std::string text = text_table(rows);
  for (const std::string& missing : report.not_here) text += "not on this machine: " + missing + "\n";
  return text + failures +
         (report.passed() ? "all checks passed\n" : "some checks FAILED: do not trust this build here\n");
}

std::string to_json(const DoctorReport& report) {
  nlohmann::ordered_json j = {{"passed", report.passed()}, {"devices", report.devices}, {"not_here", report.not_here}};
  j["findings"] = nlohmann::ordered_json::array();
  for (const DoctorFinding& f : report.findings)
    j["findings"].push_back({{"device", f.device}, {"check", f.name}, {"passed", f.passed}, {"note", f.note}});
  return json_text(j);
}

}  // namespace octet
