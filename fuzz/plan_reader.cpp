// libFuzzer target of plan files: any bytes give a plan whose graph verifies, or an Error. A plan that reads is written
// and read again to the same bytes; a small one is loaded on the CPU back end and run.
//
// Every byte of a plan is under a checksum, so a mutant that is left alone is refused at once. Mutation knows the
// format: of half of the mutants the contents of one section, a device key, or header fields change, then sections are
// laid out and sealed anew, which tries the reader; of the other half values of the plan change and it is written again
// (mutate_plan.h), which tries what is behind it. What the reader refuses and what gets through is counted at exit.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "backends/open.h"
#include "base/aligned.h"
#include "base/hash.h"
#include "ir/op.h"
#include "ir/text.h"
#include "mutate_plan.h"
#include "plan/plan_file.h"
#include "runtime/load_plan.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using namespace octet;

struct Counts {
  uint64_t run = 0, read = 0, loaded = 0, ran = 0, with_packed = 0, with_tuning = 0;
  ~Counts() {
    std::fprintf(stderr,
                 "plan_reader: %llu inputs, %llu were plans, %llu of these were loaded (%llu used packed weights, %llu "
                 "had tuning), %llu ran\n",
                 static_cast<unsigned long long>(run), static_cast<unsigned long long>(read),
                 static_cast<unsigned long long>(loaded), static_cast<unsigned long long>(with_packed),
                 static_cast<unsigned long long>(with_tuning), static_cast<unsigned long long>(ran));
  }
} counts;

void require(bool fact, const char* sentence) {
  if (fact) return;
  std::fprintf(stderr, "plan_reader: %s\n", sentence);
  std::abort();
}

/// Memory of the input's size and not more, so that the sanitizer sees a read behind it.
struct Exact {
  explicit Exact(std::span<const std::byte> bytes) : size(bytes.size()) {
    void* at = nullptr;
    require(posix_memalign(&at, 64, size ? size : 1) == 0, "no memory");
    memory.reset(static_cast<std::byte*>(at), AlignedFree{});
    std::copy(bytes.begin(), bytes.end(), memory.get());
  }
  std::shared_ptr<std::byte[]> memory;
  size_t size;
  std::span<const std::byte> bytes() const { return {memory.get(), size}; }
};

/// Elements of all values and multiply-accumulates stay small enough for a thousand runs a second.
bool is_small(const Graph& graph) {
  int64_t elements = 0;
  for (const Value& value : graph.values) {
    const std::optional<Dims> dims = value.shape ? known_dims(*value.shape) : std::nullopt;
    const std::optional<int64_t> count = dims ? element_count(*dims) : std::nullopt;
    if (!count || *count > 1 << 16) return false;
    elements += *count;
    if (elements > 1 << 17) return false;
  }
  return graph.nodes.size() <= 64;
}

std::shared_ptr<Backend> backend() {
  static const std::shared_ptr<Backend> cpu = [] {
    Result<std::shared_ptr<Backend>> opened = open_backend("cpu", {.threads = 1});
    require(opened.has_value(), "no back end");
    return *opened;
  }();
  return cpu;
}

/// Zeros for inputs: an index out of range is the caller's affair and has its own error.
void run(const std::shared_ptr<const Engine>& engine) {
  Result<Context> context = Context::make(engine);
  if (!context) return;
  std::vector<AlignedBytes> buffers;
  Bindings io;
  const Graph& graph = engine->plan().graph;
  for (const auto* values : {&graph.inputs, &graph.outputs})
    for (const ValueId v : *values) {
      const Value& value = graph.value(v);
      const Dims dims = *known_dims(*value.shape);
      const size_t bytes = static_cast<size_t>(*element_count(dims)) * size_of(value.dtype);
      buffers.push_back(allocate_aligned(bytes));
      std::memset(buffers.back().get(), 0, bytes);
      (values == &graph.inputs ? io.inputs : io.outputs)
          .push_back(TensorView::dense(value.dtype, dims, buffers.back().get()));
    }
  const Result<Done> ran = context->run(io);
  require(ran || !ran.error().message.empty(), "an error without a message");
  counts.ran += ran.has_value();
}

void use(const PlanFile& plan) {
  const Result<std::vector<std::byte>> written = plan_bytes(plan);
  require(written.has_value(), "octet reads a plan that it cannot write");
  const Exact copy(*written);
  const Result<PlanFile> again = read_plan(copy.bytes(), copy.memory, "octet fuzz");
  require(again.has_value(), "octet refuses what it wrote");
  const Result<std::vector<std::byte>> second = plan_bytes(*again);
  require(second && *second == *written, "a plan that is read and written has other bytes");
  if (!is_small(plan.graph)) return;
  std::vector<std::string> notes;
  const Result<std::shared_ptr<const Engine>> engine = load_engine(plan, backend(), {}, notes);
  if (!engine) return require(!engine.error().message.empty(), "an error without a message");
  ++counts.loaded;
  counts.with_packed += (*engine)->program().borrowed_steps() > 0;
  counts.with_tuning += !plan.tuning.empty();
  run(*engine);
  if (!plan.profile.fixed()) {
    const Result<Graph> largest = at_shapes(plan, plan.profile.largest);
    if (largest && is_small(*largest)) {
      const Result<std::shared_ptr<const Engine>> other =
          Engine::build(*largest, backend(), {}, Engine::packed_of(*engine));
      if (other) run(*other);
    }
  }
}

// ---- mutation by sections ----

using Bytes = std::vector<uint8_t>;
constexpr size_t k_header = 128, k_entry = 128;

struct Section {
  uint8_t row[k_entry];
  Bytes bytes;
};

template <class T>
T get(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
void put(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

/// False when the table leads nowhere.
bool parse(const Bytes& file, Bytes& header, std::vector<Section>& sections) {
  if (file.size() < k_header) return false;
  header.assign(file.begin(), file.begin() + k_header);
  const uint32_t count = get<uint32_t>(file.data() + 32);
  if (count > 64 || file.size() < k_header + count * k_entry) return false;
  for (uint32_t i = 0; i < count; ++i) {
    Section section;
    std::memcpy(section.row, file.data() + k_header + i * k_entry, k_entry);
    const uint64_t at = get<uint64_t>(section.row + 8), size = get<uint64_t>(section.row + 16);
    if (at > file.size() || size > file.size() - at) return false;
    section.bytes.assign(file.begin() + static_cast<ptrdiff_t>(at), file.begin() + static_cast<ptrdiff_t>(at + size));
    sections.push_back(std::move(section));
  }
  return true;
}

/// Lays the sections out and makes every size and checksum right, those of packed weights too.
Bytes seal(Bytes header, std::vector<Section> sections, bool tie_packed) {
  const auto hash = [](const Bytes& bytes) { return hash_bytes(std::as_bytes(std::span(bytes))); };
  if (tie_packed && sections.size() >= 2)
    for (Section& s : sections)
      if (get<uint32_t>(s.row) == 17 && s.bytes.size() >= 16) {
        put(s.bytes.data(), hash(sections[0].bytes));
        put(s.bytes.data() + 8, hash(sections[1].bytes));
      }
  Bytes file = header;
  size_t end = k_header + sections.size() * k_entry;
  for (Section& s : sections) {
    const size_t at = (end + 63) / 64 * 64;
    put(s.row + 8, static_cast<uint64_t>(at));
    put(s.row + 16, static_cast<uint64_t>(s.bytes.size()));
    put(s.row + 24, hash(s.bytes));
    file.insert(file.end(), s.row, s.row + k_entry);
    end = at + s.bytes.size();
  }
  for (const Section& s : sections) {
    file.resize((file.size() + 63) / 64 * 64);
    file.insert(file.end(), s.bytes.begin(), s.bytes.end());
  }
  put(file.data() + 32, static_cast<uint32_t>(sections.size()));
  put(file.data() + 16, static_cast<uint64_t>(file.size()));
  Bytes checked(file.begin(), file.begin() + 120);
  checked.insert(checked.end(), file.begin() + k_header,
                 file.begin() + static_cast<ptrdiff_t>(k_header + sections.size() * k_entry));
  put(file.data() + 120, hash(checked));
  return file;
}

/// Fields of a section: u32 lengths and texts, numbers, lists. A field becomes another number, a text of the file, or
/// is handed to libFuzzer.
void mutate_fields(Bytes& bytes, std::mt19937& random) {
  if (bytes.empty()) return;
  const size_t at = random() % bytes.size();
  constexpr uint32_t k_odd[] = {0,  1,   2,   3,          4,          7,          8,       16,
                                64, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 16, 1 << 24};
  const uint32_t value = random() % 2 ? k_odd[random() % std::size(k_odd)] : random() % 16;
  switch (random() % 8) {
    case 0:
    case 1: bytes[at] = static_cast<uint8_t>(value); break;
    case 2:
      if (at + 4 <= bytes.size()) put(bytes.data() + at, value);
      break;
    case 3:
      if (at + 8 <= bytes.size())
        put(bytes.data() + at, random() % 2 ? uint64_t{value} << 32 | value : uint64_t{value});
      break;
    case 4: bytes[at] = static_cast<uint8_t>(bytes[at] + random() % 3 - 1); break;
    case 5: {  // a run from elsewhere over this place
      const size_t from = random() % bytes.size(),
                   n = std::min({size_t{1} + random() % 24, bytes.size() - from, bytes.size() - at});
      std::memmove(bytes.data() + at, bytes.data() + from, n);
      break;
    }
    case 6: bytes[at] = static_cast<uint8_t>(bytes[at] ^ 1u << random() % 8); break;
    default: {
      const size_t size = bytes.size();
      bytes.resize(size + 16);
      bytes.resize(LLVMFuzzerMutate(bytes.data(), size, size + 16));
    }
  }
}

void mutate_sections(Bytes& header, std::vector<Section>& sections, std::mt19937& random) {
  if (sections.empty() || random() % 64 == 0) {
    header[random() % 120] = static_cast<uint8_t>(random());
    return;
  }
  Section& section = sections[random() % 3 ? 0 : random() % sections.size()];  // most is in the graph
  switch (random() % 32) {
    case 0: section.row[random() % 8] = static_cast<uint8_t>(random() % 20); break;
    case 1: section.row[32 + random() % 96] = static_cast<uint8_t>(random()); break;
    case 2: sections.push_back(section); break;
    case 3: sections.erase(sections.begin() + static_cast<ptrdiff_t>(random() % sections.size())); break;
    case 4: std::swap(section, sections[random() % sections.size()]); break;
    default: mutate_fields(section.bytes, random);
  }
}

/// Values of the plan changed and written again; nothing where the bytes are no plan, or it cannot be written.
Bytes other_plan(const uint8_t* data, size_t size, std::mt19937& random) {
  const Exact exact(std::as_bytes(std::span(data, size)));
  Result<PlanFile> plan = read_plan(exact.bytes(), exact.memory, "octet fuzz");
  if (!plan) return {};
  mutate_plan(*plan, random);
  const Result<std::vector<std::byte>> written = plan_bytes(*plan);
  if (!written) return {};
  const auto* from = reinterpret_cast<const uint8_t*>(written->data());
  return {from, from + written->size()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ++counts.run;
  const Exact exact(std::as_bytes(std::span(data, size)));
  const Result<PlanFile> plan = read_plan(exact.bytes(), exact.memory, "octet fuzz");
  if (!plan) {
    require(!plan.error().message.empty(), "an error without a message");
    return 0;
  }
  ++counts.read;
  require(verify(plan->graph).has_value(), "a plan was read whose graph does not verify");
  use(*plan);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  std::mt19937 random(seed);
  if (random() % 2) {
    const Bytes other = other_plan(data, size, random);
    if (!other.empty() && other.size() <= max_size) {
      std::memcpy(data, other.data(), other.size());
      return other.size();
    }
  }
  Bytes header;
  std::vector<Section> sections;
  if (random() % 50 == 0 || !parse(Bytes(data, data + size), header, sections))
    return LLVMFuzzerMutate(data, size, max_size);
  for (unsigned n = 1 + random() % 3; n > 0; --n) mutate_sections(header, sections, random);
  const Bytes out = seal(std::move(header), std::move(sections), random() % 4 != 0);
  if (out.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, out.data(), out.size());
  return out.size();
}
