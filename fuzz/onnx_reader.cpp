// libFuzzer target of the ONNX reader: any bytes give a graph or an Error, never a crash, a hang or an absurd
// allocation. What is read must verify or be refused, and a graph that verifies must be written and read back to the
// same text.
//
// Mutation knows the wire format: a changed field leaves the lengths around it right, so that mutants get past the
// parser. At exit the share of inputs that reached the verifier is printed.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "ir/op.h"
#include "ir/text.h"
#include "onnx/importer.h"
#include "onnx/onnx.h"
#include "onnx/wire.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

struct Counts {
  uint64_t run = 0, verifier = 0, verified = 0;
  ~Counts() {
    std::fprintf(stderr, "onnx_reader: %llu inputs, %llu reached the verifier (%.1f %%), %llu passed it\n",
                 static_cast<unsigned long long>(run), static_cast<unsigned long long>(verifier),
                 run ? 100.0 * static_cast<double>(verifier) / static_cast<double>(run) : 0.0,
                 static_cast<unsigned long long>(verified));
  }
} counts;

void require(bool fact, const char* sentence) {
  if (fact) return;
  std::fprintf(stderr, "onnx_reader: %s\n", sentence);
  std::abort();
}

octet::Graph rewritten(const octet::Graph& graph, const std::vector<std::byte>& written) {
  const auto kept = std::make_shared<const std::vector<std::byte>>(written);
  octet::Result<octet::OnnxModel> again = octet::read_onnx(std::span(*kept), kept);
  if (!again) std::fprintf(stderr, "%s\n%s\n", again.error().message.c_str(), octet::print(graph).c_str());
  require(again.has_value(), "octet refuses what it wrote");
  return std::move(again->graph);
}

void require_same(const octet::Graph& before, const octet::Graph& after) {
  octet::Graph named = before;
  named.name = after.name;  // a graph without a name gets one from the writer
  const std::string a = octet::print(named), b = octet::print(after);
  if (a != b) std::fprintf(stderr, "before:\n%s\nafter:\n%s\n", a.c_str(), b.c_str());
  require(a == b, "a round trip changed the graph");
}

/// Opset 18 wants num_outputs of a Split that had none below, so that the first round trip may add it.
bool may_gain_attributes(const octet::Graph& graph) {
  for (const octet::Node& node : graph.nodes)
    if (octet::is_op(node, "Split")) return true;
  return false;
}

/// Written and read again, a graph prints the same.
void check_round_trip(const octet::Graph& graph) {
  const octet::Result<std::vector<std::byte>> written = octet::write_onnx(graph);
  if (!written) return;  // no opset has this op in this form
  const octet::Graph once = rewritten(graph, *written);
  if (!may_gain_attributes(graph)) return require_same(graph, once);
  const octet::Result<std::vector<std::byte>> second = octet::write_onnx(once);
  require(second.has_value(), "octet writes a graph, but not what it reads back");
  require_same(once, rewritten(once, *second));
}

// ---- mutation by fields ----

using Bytes = std::vector<uint8_t>;

/// One field of a message; children when its bytes are read as a message in turn.
struct Field {
  uint32_t number = 0;
  octet::WireType type = octet::WireType::varint;
  Bytes raw;  // payload: varint or fixed bytes as they lie, or the content of a length-delimited field
  std::vector<Field> children;
  bool is_message = false;
};

void put_varint(Bytes& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<uint8_t>(value | 0x80));
  out.push_back(static_cast<uint8_t>(value));
}

/// The fields of a message; false when it is none. Field numbers above 30 do not occur in ONNX: probably not a message.
bool parse_fields(const Bytes& message, int depth, std::vector<Field>& out) {
  const auto* data = reinterpret_cast<const std::byte*>(message.data());
  octet::WireReader in(std::span(data, message.size()), data, "message");
  while (in.next()) {
    if (in.number() > 30) return false;
    Field field{in.number(), in.type(), {}, {}, false};
    if (in.type() == octet::WireType::varint) {
      put_varint(field.raw, static_cast<uint64_t>(in.integer()));
    } else if (in.type() == octet::WireType::bytes) {
      const std::span<const std::byte> payload = in.bytes();
      const auto* begin = reinterpret_cast<const uint8_t*>(payload.data());
      field.raw.assign(begin, begin + payload.size());
      field.is_message = depth > 0 && payload.size() > 1 && parse_fields(field.raw, depth - 1, field.children);
      if (!field.is_message) field.children.clear();
    } else if (in.type() == octet::WireType::fixed32) {
      std::vector<uint32_t> bits;
      in.append_fixed32(bits);
      field.raw.resize(4);
      std::memcpy(field.raw.data(), bits.data(), 4);
    } else {
      std::vector<uint64_t> bits;
      in.append_fixed64(bits);
      field.raw.resize(8);
      std::memcpy(field.raw.data(), bits.data(), 8);
    }
    out.push_back(std::move(field));
  }
  return !in.failed();
}

Bytes serialize(const std::vector<Field>& fields) {
  Bytes out;
  for (const Field& f : fields) {
    put_varint(out, uint64_t{f.number} << 3 | static_cast<uint64_t>(f.type));
    const Bytes payload = f.is_message ? serialize(f.children) : f.raw;
    if (f.type == octet::WireType::bytes) put_varint(out, payload.size());
    out.insert(out.end(), payload.begin(), payload.end());
  }
  return out;
}

void collect(std::vector<Field>& fields, std::vector<std::vector<Field>*>& lists) {
  lists.push_back(&fields);
  for (Field& f : fields)
    if (f.is_message) collect(f.children, lists);
}

bool is_text(const Field& field) {
  if (field.type != octet::WireType::bytes || field.is_message || field.raw.empty()) return false;
  for (const uint8_t byte : field.raw)
    if (byte < 0x20 || byte > 0x7e) return false;
  return true;
}

/// Another text of the file, mostly: random letters would only ever make a missing value or an unknown op.
void mutate_text(Field& field, const std::vector<std::vector<Field>*>& lists, std::mt19937& random) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    const std::vector<Field>& list = *lists[random() % lists.size()];
    if (list.empty()) continue;
    const Field& donor = list[random() % list.size()];
    if (!is_text(donor) || donor.raw == field.raw) continue;
    field.raw = donor.raw;
    return;
  }
}

void mutate_value(Field& field, std::mt19937& random) {
  if (field.type == octet::WireType::varint) {
    constexpr uint64_t k_odd[] = {
        0, 1, 2, 3, 7, 13, 18, 255, 1u << 31, ~uint64_t{0}, uint64_t{1} << 40, ~uint64_t{0} >> 1};
    field.raw.clear();
    put_varint(field.raw, random() % 3 ? k_odd[random() % std::size(k_odd)] : random() % 16);
    return;
  }
  const size_t size = field.raw.size();
  const size_t room = field.type == octet::WireType::bytes ? size + 8 : size;
  field.raw.resize(room);
  const size_t made = LLVMFuzzerMutate(field.raw.data(), size, room);
  if (field.type == octet::WireType::bytes) field.raw.resize(made);
}

/// Changes, removes, doubles or swaps one field somewhere, or copies one over from another message.
void mutate_fields(std::vector<Field>& model, std::mt19937& random) {
  std::vector<std::vector<Field>*> lists;
  collect(model, lists);
  std::vector<Field>& list = *lists[random() % lists.size()];
  if (list.empty()) return;
  const size_t at = random() % list.size();
  switch (random() % 8) {
    case 0: list.erase(list.begin() + static_cast<ptrdiff_t>(at)); break;
    case 1: {
      const Field copy = list[at];
      list.insert(list.begin() + static_cast<ptrdiff_t>(random() % (list.size() + 1)), copy);
      break;
    }
    case 2: std::swap(list[at], list[random() % list.size()]); break;
    case 3: {
      const std::vector<Field>& other = *lists[random() % lists.size()];
      if (other.empty()) break;
      const Field donor = other[random() % other.size()];
      if (random() % 2)
        list[at].raw = donor.raw;
      else
        list[at] = donor;
      break;
    }
    default:
      if (is_text(list[at]) && random() % 8 != 0)
        mutate_text(list[at], lists, random);
      else if (!list[at].is_message)
        mutate_value(list[at], random);
      else if (random() % 16 == 0)
        list[at].is_message = false, mutate_value(list[at], random);
      break;
  }
}

/// Inputs that made a graph, the newest over the oldest.
class Pool {
 public:
  void add(const uint8_t* data, size_t size) {
    constexpr size_t k_most = 512;
    if (inputs_.size() < k_most) inputs_.emplace_back();
    inputs_[next_++ % inputs_.size()].assign(data, data + size);
  }
  bool empty() const { return inputs_.empty(); }
  const Bytes& pick(std::mt19937& random) const { return inputs_[random() % inputs_.size()]; }

 private:
  std::vector<Bytes> inputs_;
  size_t next_ = 0;
} pool;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ++counts.run;
  const auto kept = std::make_shared<const std::vector<uint8_t>>(data, data + size);
  const octet::Result<octet::OnnxModel> model = octet::import_with_problems(std::as_bytes(std::span(*kept)), kept);
  if (!model) {
    require(!model.error().message.empty(), "an error without a message");
    return 0;
  }
  if (!model->problems.empty()) {  // the rest is looked at for more
    for (const octet::Error& problem : model->problems)
      require(!problem.message.empty(), "a problem without a message");
    (void)octet::validation_problems(model->graph);
    (void)octet::verify(model->graph);
    return 0;
  }
  ++counts.verifier;
  pool.add(data, size);
  if (!octet::verify(model->graph)) return 0;
  ++counts.verified;
  check_round_trip(model->graph);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Field> model;
  constexpr int k_depth = 7;  // model, graph, node, attribute, tensor and one to spare
  const Bytes base = pool.empty() || random() % 4 == 0 ? Bytes(data, data + size) : pool.pick(random);
  if (random() % 20 == 0 || !parse_fields(base, k_depth, model)) return LLVMFuzzerMutate(data, size, max_size);
  for (unsigned i = 0, n = random() % 3 == 0 ? 1 + random() % 3 : 1; i < n; ++i) mutate_fields(model, random);
  const Bytes out = serialize(model);
  if (out.empty() || out.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, out.data(), out.size());
  return out.size();
}
