// The plan file as a whole: header, section table, checks (docs/plan_format.md).
#include "plan/plan_file.h"

#include <algorithm>
#include <array>

#include "base/aligned.h"
#include "base/hash.h"
#include "ir/op.h"
#include "plan/features.h"
#include "plan/plan_codec.h"

namespace octet {
namespace {

constexpr std::array<uint8_t, 8> k_magic = {0x89, 'O', 'C', 'T', 'P', '\r', '\n', 0x1a};
constexpr size_t k_header_bytes = 128, k_entry_bytes = 128, k_writer_bytes = 64, k_key_bytes = 96;
constexpr size_t k_checked_header_bytes = 120;  // the rest is the checksum itself
constexpr uint32_t k_most_sections = 64;
constexpr uint32_t k_required = 1;

enum Kind : uint32_t { k_graph = 1, k_weights = 2, k_provenance = 3, k_names = 4, k_tuning = 16, k_packed = 17 };

std::string kind_name(uint32_t kind) {
  switch (kind) {
    case k_graph: return "graph section";
    case k_weights: return "weights section";
    case k_provenance: return "provenance section";
    case k_names: return "layer names section";
    case k_tuning: return "tuning section";
    case k_packed: return "packed weights section";
    default: return "section of kind " + std::to_string(kind);
  }
}

Error bad(std::string text) { return Error{ErrorCode::bad_model, std::move(text)}; }

// ---- writing ----

struct Section {
  uint32_t kind = 0, flags = 0;
  std::string key;
  std::vector<std::byte> bytes;
};

void write_fixed_text(std::string_view text, size_t bytes, FieldWriter& out) {
  out.raw(std::as_bytes(std::span(text.data(), text.size())));
  for (size_t i = text.size(); i < bytes; ++i) out.number(uint8_t{0});
}

std::vector<std::byte> provenance_section(const Provenance& provenance) {
  FieldWriter out;
  out.count(provenance.size());
  for (const auto& [key, value] : provenance) out.text(key), out.text(value);
  return std::move(out.bytes());
}

bool has_origins(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return !node.origins.empty(); });
}

std::vector<std::byte> names_section(const Graph& graph) {
  FieldWriter out;
  out.count(graph.nodes.size());
  for (const Node& node : graph.nodes) {
    out.count(node.origins.size());
    for (const std::string& origin : node.origins) out.text(origin);
  }
  return std::move(out.bytes());
}

std::vector<std::byte> tuning_section(const TuningPart& part) {
  FieldWriter out;
  out.text(part.timing_key);
  out.count(part.tactics.size());
  for (const std::string& tactic : part.tactics) out.text(tactic);
  return std::move(out.bytes());
}

/// What packed weights were made from: hashes of the graph section and of the weights section.
struct PackedFrom {
  uint64_t graph = 0, weights = 0;
  bool operator==(const PackedFrom&) const = default;
};

std::vector<std::byte> packed_section(const PackedPart& part, const PackedFrom& from) {
  FieldWriter out;
  out.number(from.graph), out.number(from.weights);
  std::vector<uint32_t> nodes;
  size_t head = 8 + 8 + 4;
  for (size_t n = 0; n < part.steps.size(); ++n) {
    if (part.steps[n].bytes.empty()) continue;
    nodes.push_back(static_cast<uint32_t>(n));
    head += 4 + 4 + part.steps[n].form.size() + 8 + 8;
  }
  out.count(nodes.size());
  size_t at = plan_align(head);
  for (const uint32_t n : nodes) {
    out.number(n);
    out.text(part.steps[n].form);
    out.number(static_cast<uint64_t>(at));
    out.number(static_cast<uint64_t>(part.steps[n].bytes.size()));
    at = plan_align(at + part.steps[n].bytes.size());
  }
  for (const uint32_t n : nodes) {
    out.pad();
    out.raw(part.steps[n].bytes);
  }
  return std::move(out.bytes());
}

Result<std::vector<Section>> sections_of(const PlanFile& plan) {
  FieldWriter graph, weights;
  if (Result<Done> ok = write_graph(plan.graph, plan.profile, graph, weights); !ok) return ok.error();
  std::vector<Section> sections;
  sections.push_back({k_graph, k_required, "", std::move(graph.bytes())});
  sections.push_back({k_weights, k_required, "", std::move(weights.bytes())});
  sections.push_back({k_provenance, k_required, "", provenance_section(plan.provenance)});
  if (has_origins(plan.graph)) sections.push_back({k_names, 0, "", names_section(plan.graph)});
  for (const TuningPart& part : plan.tuning) sections.push_back({k_tuning, 0, part.device_key, tuning_section(part)});
  const PackedFrom from{hash_bytes(sections[0].bytes), hash_bytes(sections[1].bytes)};
  for (const PackedPart& part : plan.packed) sections.push_back({k_packed, 0, part.key, packed_section(part, from)});
  if (sections.size() > k_most_sections)
    return Error{ErrorCode::bad_argument, "a plan holds at most 64 sections, here are " +
                                              std::to_string(sections.size()) + ": leave device parts out"};
  for (const Section& section : sections) {
    if (section.key.size() >= k_key_bytes)
      return Error{ErrorCode::bad_argument, "the device key '" + section.key + "' is longer than 95 bytes"};
  }
  return sections;
}

// ---- reading ----

struct Entry {
  uint32_t kind = 0, flags = 0;
  uint64_t at = 0, size = 0, checksum = 0;
  std::string key;
};

struct Header {
  uint32_t format = 0, arithmetic = 0, sections = 0, zero = 0;
  uint64_t file_bytes = 0, features = 0, checksum = 0;
  std::string writer;
};

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// A text padded with zeros; what follows the first zero must be zero.
std::string fixed_text(std::span<const std::byte> bytes) {
  const auto end = std::find(bytes.begin(), bytes.end(), std::byte{0});
  return std::string(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(end - bytes.begin()));
}

/// Letters that do no harm in an error message.
std::string printable(std::string text) {
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

Header header_of(std::span<const std::byte> bytes) {
  FieldReader in(bytes.subspan(k_magic.size(), k_header_bytes - k_magic.size()), "header");
  Header header;
  header.format = in.number<uint32_t>();
  header.arithmetic = in.number<uint32_t>();
  header.file_bytes = in.number<uint64_t>();
  header.features = in.number<uint64_t>();
  header.sections = in.number<uint32_t>();
  header.writer = printable(fixed_text(bytes.subspan(40, k_writer_bytes)));
  std::memcpy(&header.checksum, bytes.data() + k_checked_header_bytes, sizeof header.checksum);
  return header;
}

uint64_t header_checksum(std::span<const std::byte> bytes, size_t sections) {
  std::vector<std::byte> checked(bytes.begin(), bytes.begin() + k_checked_header_bytes);
  const auto table = bytes.subspan(k_header_bytes, sections * k_entry_bytes);
  checked.insert(checked.end(), table.begin(), table.end());
  return hash_bytes(checked);
}

/// For a plan that an octet of another version understands.
std::string both_versions(const std::string& writer, std::string_view reader) {
  return "it was written by '" + writer + "', this is " + std::string(reader) +
         ": use the version that wrote it or a " +
         "newer one, or build the plan again from its ONNX file with this octet";
}

Error other_version(const Header& header, std::string_view reader) {
  return Error{ErrorCode::unsupported, "plan format " + std::to_string(header.format) + " written by '" +
                                           header.writer + "'; " + std::string(reader) + " reads format " +
                                           std::to_string(k_plan_format) +
                                           ": use the newer of both, or build the plan again with this octet"};
}

Result<Header> whole_header(std::span<const std::byte> bytes) {
  if (bytes.empty()) return bad("is empty: copy it again");
  if (looks_like_cut_plan(bytes))
    return bad("is a plan file cut off after " + std::to_string(bytes.size()) + " bytes: copy it again");
  if (!looks_like_plan(bytes))
    return bad("is not a plan file (it does not begin with 89 4F 43 54 50): 'octet build' writes one");
  if (bytes.size() < k_header_bytes)
    return bad("ends after " + std::to_string(bytes.size()) +
               " bytes, in the middle of the header (128 bytes): copy it again");
  return header_of(bytes);
}

Result<Header> read_header(std::span<const std::byte> bytes, std::string_view reader) {
  const Result<Header> whole = whole_header(bytes);
  if (!whole) return whole.error();
  const Header& header = *whole;
  if (header.format != k_plan_format) return other_version(header, reader);
  const bool table_fits =
      header.sections <= k_most_sections && bytes.size() >= k_header_bytes + header.sections * k_entry_bytes;
  if (!table_fits && header.file_bytes > bytes.size())
    return bad("is cut off: it says " + std::to_string(header.file_bytes) + " bytes, here are " +
               std::to_string(bytes.size()) + ": copy it again");
  if (!table_fits || header_checksum(bytes, header.sections) != header.checksum)
    return bad("header or section table is corrupted (checksum differs): copy it again, or build it again");
  if (header.arithmetic != k_arithmetic_version)
    return Error{ErrorCode::unsupported, "built for arithmetic version " + std::to_string(header.arithmetic) + " by '" +
                                             header.writer + "'; " + std::string(reader) + " computes version " +
                                             std::to_string(k_arithmetic_version) + ": build the plan again"};
  if (header.file_bytes != bytes.size())
    return bad("is " + (header.file_bytes > bytes.size() ? std::string("cut off") : std::string("too long")) +
               ": it says " + std::to_string(header.file_bytes) + " bytes, here are " + std::to_string(bytes.size()) +
               ": copy it again");
  if (const uint64_t unknown = header.features & ~known_features(); unknown != 0)
    return Error{ErrorCode::unsupported, "needs the plan feature " + bits_text(unknown) +
                                             ", which this octet does not " + "have; " +
                                             both_versions(header.writer, reader)};
  return header;
}

Result<std::vector<Entry>> read_table(std::span<const std::byte> bytes, const Header& header, std::string_view reader) {
  std::vector<Entry> entries;
  size_t end = k_header_bytes + header.sections * k_entry_bytes;
  for (size_t i = 0; i < header.sections; ++i) {
    const auto row = bytes.subspan(k_header_bytes + i * k_entry_bytes, k_entry_bytes);
    FieldReader in(row, "section table");
    Entry entry;
    entry.kind = in.number<uint32_t>();
    entry.flags = in.number<uint32_t>();
    entry.at = in.number<uint64_t>();
    entry.size = in.number<uint64_t>();
    entry.checksum = in.number<uint64_t>();
    entry.key = fixed_text(row.subspan(32, k_key_bytes));
    const std::string name = kind_name(entry.kind);
    if (entry.at != plan_align(end) || entry.at > bytes.size() || entry.size > bytes.size() - entry.at)
      return bad(name + " at " + std::to_string(entry.at) + " of " + std::to_string(entry.size) +
                 " bytes does not follow the one before within the file: build it again");
    if (!all_zero(bytes.subspan(end, entry.at - end))) return bad("bytes before the " + name + " are not zero");
    end = entry.at + entry.size;
    const bool known = entry.kind == k_graph || entry.kind == k_weights || entry.kind == k_provenance ||
                       entry.kind == k_names || entry.kind == k_tuning || entry.kind == k_packed;
    if (!known && (entry.flags & k_required) != 0)
      return Error{ErrorCode::unsupported,
                   "needs a " + name + ", which this octet does not know; " + both_versions(header.writer, reader)};
    entries.push_back(std::move(entry));
  }
  if (end != bytes.size()) return bad("something follows the last section: copy it again");
  constexpr uint32_t k_first[] = {k_graph, k_weights, k_provenance};
  for (size_t i = 0; i < std::size(k_first); ++i) {
    if (i >= entries.size() || entries[i].kind != k_first[i]) return bad("has no " + kind_name(k_first[i]));
    for (size_t j = i + 1; j < entries.size(); ++j)
      if (entries[j].kind == k_first[i]) return bad("has two of " + kind_name(k_first[i]));
  }
  return entries;
}

Result<Provenance> read_provenance(std::span<const std::byte> bytes) {
  FieldReader in(bytes, "provenance section");
  Provenance made;
  for (size_t n = in.count(8); n > 0 && !in.failed(); --n) {
    std::string key = in.text();
    made.emplace_back(std::move(key), in.text());
  }
  if (!in.at_end()) in.fail("something follows the last key");
  if (in.failed()) return in.error();
  return made;
}

using LayerNames = std::vector<std::vector<std::string>>;  // by node

Result<LayerNames> read_names(std::span<const std::byte> bytes, size_t nodes) {
  FieldReader in(bytes, "layer names section");
  const size_t said = in.count(4);
  if (!in.failed() && said != nodes)
    in.fail("names of " + std::to_string(said) + " nodes, the graph has " + std::to_string(nodes));
  LayerNames made;
  for (size_t n = 0; n < nodes && !in.failed(); ++n) {
    std::vector<std::string> origins;
    for (size_t i = in.count(4); i > 0 && !in.failed(); --i) origins.push_back(in.text());
    made.push_back(std::move(origins));
  }
  if (!in.at_end()) in.fail("something follows the last name");
  if (in.failed()) return in.error();
  return made;
}

Result<TuningPart> read_tuning(std::span<const std::byte> bytes, const std::string& key) {
  FieldReader in(bytes, "tuning section");
  TuningPart made{key, in.text(), {}};
  for (size_t n = in.count(4); n > 0 && !in.failed(); --n) made.tactics.push_back(in.text());
  if (!in.at_end()) in.fail("something follows the last tactic");
  if (in.failed()) return in.error();
  return made;
}

/// nodes: of the graph. from: what this file's graph and weights are.
Result<PackedPart> read_packed(std::span<const std::byte> bytes, const std::string& key, size_t nodes,
                               const PackedFrom& from) {
  FieldReader in(bytes, "packed weights section");
  PackedPart made{key, {}, {}};
  PackedFrom written;
  written.graph = in.number<uint64_t>(), written.weights = in.number<uint64_t>();
  if (!in.failed() && written != from) in.fail("it was packed from another graph or other weights");
  for (size_t n = in.count(24); n > 0 && !in.failed(); --n) {
    const size_t node = in.number<uint32_t>();
    PackedWeights packed;
    packed.form = in.text();
    const auto at = in.number<uint64_t>(), size = in.number<uint64_t>();
    if (in.failed()) break;
    if (node >= nodes || node < made.steps.size()) {
      in.fail("node " + std::to_string(node) + " is not the next of " + std::to_string(nodes));
    } else if (size == 0 || at % k_plan_alignment != 0 || at > bytes.size() || size > bytes.size() - at) {
      in.fail("a packing of " + std::to_string(size) + " bytes at " + std::to_string(at) + " does not lie in it");
    } else {
      packed.bytes = bytes.subspan(at, size);
      made.steps.resize(node);
      made.steps.push_back(std::move(packed));
    }
  }
  if (in.failed()) return in.error();
  return made;
}

Result<Done> check_profile(const PlanFile& plan) {
  const ShapeProfile& profile = plan.profile;
  for (const ValueId v : plan.graph.inputs)
    if (!plan.graph.value(v).shape)
      return bad("graph section: input '" + plan.graph.value(v).name + "' has no shape: build it again");
  for (size_t i = 0; i < profile.best.size(); ++i) {
    const Value& input = plan.graph.value(plan.graph.inputs[i]);
    const Dims &low = profile.smallest[i], &best = profile.best[i], &high = profile.largest[i];
    bool ok = low.size() == best.size() && best.size() == high.size() && input.shape == to_shape(best);
    for (size_t d = 0; ok && d < best.size(); ++d) ok = low[d] <= best[d] && best[d] <= high[d];
    if (!ok)
      return bad("graph section: the profile of input '" + input.name + "' is " + to_string(low) + ", " +
                 to_string(best) + ", " + to_string(high) + ", which is no smallest, best and largest of its shape");
  }
  return Done{};
}

template <class Part>
void keep_or_note(Result<Part> part, std::vector<Part>& parts, std::vector<std::string>& notes) {
  if (part)
    parts.push_back(*std::move(part));
  else
    notes.push_back("ignored: " + part.error().message);
}

/// A graph that this octet cannot read, though its bytes are as they were written: by another octet's rules, perhaps.
Error told_with_versions(Error error, const std::string& writer, std::string_view reader) {
  if (error.code == ErrorCode::unsupported || writer != reader) error.message += "; " + both_versions(writer, reader);
  return error;
}

Result<PlanFile> read_aligned(std::span<const std::byte> bytes, const std::shared_ptr<const void>& keep_alive,
                              std::string_view reader) {
  const Result<Header> header = read_header(bytes, reader);
  if (!header) return header.error();
  const Result<std::vector<Entry>> entries = read_table(bytes, *header, reader);
  if (!entries) return entries.error();
  const auto section = [&](const Entry& entry) { return bytes.subspan(entry.at, entry.size); };
  for (const Entry& entry : *entries) {
    if (hash_bytes(section(entry)) != entry.checksum)
      return bad(kind_name(entry.kind) + " is corrupted (checksum differs): copy it again, or build it again");
  }
  PlanFile plan;
  plan.writer = header->writer;
  Result<GraphAndProfile> graph = read_graph(section((*entries)[0]), section((*entries)[1]), keep_alive);
  if (!graph) return told_with_versions(graph.error(), plan.writer, reader);
  plan.graph = std::move(graph->graph);
  plan.profile = std::move(graph->profile);
  if (Result<Done> sound = verify(plan.graph); !sound)
    return told_with_versions(within("graph section", sound.error()), plan.writer, reader);
  if (Result<Done> sound = check_profile(plan); !sound) return sound.error();
  Result<Provenance> provenance = read_provenance(section((*entries)[2]));
  if (!provenance) return provenance.error();
  plan.provenance = *std::move(provenance);
  // A broken device part costs time, never answers, and names are for people: they are left out.
  std::vector<LayerNames> names;
  const PackedFrom from{(*entries)[0].checksum, (*entries)[1].checksum};
  for (const Entry& entry : *entries) {
    if (entry.kind == k_names && !names.empty())
      plan.notes.push_back("ignored: a second layer names section");
    else if (entry.kind == k_names)
      keep_or_note(read_names(section(entry), plan.graph.nodes.size()), names, plan.notes);
    else if (entry.kind == k_tuning)
      keep_or_note(read_tuning(section(entry), entry.key), plan.tuning, plan.notes);
    else if (entry.kind == k_packed)
      keep_or_note(read_packed(section(entry), entry.key, plan.graph.nodes.size(), from), plan.packed, plan.notes);
  }
  for (PackedPart& part : plan.packed) part.owner = keep_alive;
  if (!names.empty())
    for (size_t n = 0; n < plan.graph.nodes.size(); ++n) plan.graph.nodes[n].origins = std::move(names[0][n]);
  return plan;
}

}  // namespace

std::string provenance_value(const Provenance& provenance, std::string_view key) {
  for (const auto& [k, value] : provenance)
    if (k == key) return value;
  return "";
}

Result<HeaderVersion> header_version(std::span<const std::byte> bytes) {
  const Result<Header> header = whole_header(bytes);
  if (!header) return header.error();
  return HeaderVersion{header->format, header->arithmetic, header->writer};
}

bool looks_like_plan(std::span<const std::byte> bytes) {
  return bytes.size() >= k_magic.size() && std::memcmp(bytes.data(), k_magic.data(), k_magic.size()) == 0;
}

bool looks_like_cut_plan(std::span<const std::byte> bytes) {
  return !bytes.empty() && bytes.size() < k_magic.size() &&
         std::memcmp(bytes.data(), k_magic.data(), bytes.size()) == 0;
}

Result<std::vector<std::byte>> plan_bytes(const PlanFile& plan) {
  Result<std::vector<Section>> sections = sections_of(plan);
  if (!sections) return sections.error();
  FieldWriter out;
  out.raw(std::as_bytes(std::span(k_magic)));
  out.number(k_plan_format);
  out.number(k_arithmetic_version);
  const size_t file_bytes_at = out.size();
  out.number(uint64_t{0});  // the file's size, below
  out.number(features_of(plan.graph));
  out.count(sections->size());
  out.number(uint32_t{0});
  write_fixed_text(std::string_view(plan.writer).substr(0, k_writer_bytes - 1), k_writer_bytes, out);
  while (out.size() < k_header_bytes) out.number(uint8_t{0});
  size_t end = k_header_bytes + sections->size() * k_entry_bytes;
  for (const Section& section : *sections) {
    const size_t at = plan_align(end);
    out.number(section.kind);
    out.number(section.flags);
    out.number(static_cast<uint64_t>(at));
    out.number(static_cast<uint64_t>(section.bytes.size()));
    out.number(hash_bytes(section.bytes));
    write_fixed_text(section.key, k_key_bytes, out);
    end = at + section.bytes.size();
  }
  out.bytes().reserve(end);
  for (const Section& section : *sections) {
    out.pad();
    out.raw(section.bytes);
  }
  std::vector<std::byte>& bytes = out.bytes();
  const auto file_bytes = static_cast<uint64_t>(bytes.size());
  std::memcpy(bytes.data() + file_bytes_at, &file_bytes, sizeof file_bytes);
  const uint64_t checksum = header_checksum(bytes, sections->size());
  std::memcpy(bytes.data() + k_checked_header_bytes, &checksum, sizeof checksum);
  return std::move(bytes);
}

Result<PlanFile> read_plan(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive,
                           std::string_view reader) {
  if (reinterpret_cast<uintptr_t>(bytes.data()) % k_plan_alignment == 0) return read_aligned(bytes, keep_alive, reader);
  AlignedBytes copy = allocate_aligned(bytes.size());
  if (!copy)
    return Error{ErrorCode::out_of_memory, "no memory for a plan of " + std::to_string(bytes.size()) + " bytes"};
  std::copy(bytes.begin(), bytes.end(), copy.get());
  const std::span<const std::byte> aligned(copy.get(), bytes.size());
  const std::shared_ptr<const void> owner(copy.release(), [](const void* p) { std::free(const_cast<void*>(p)); });
  return read_aligned(aligned, owner, reader);
}

Result<Graph> at_shapes(const PlanFile& plan, const std::vector<Dims>& input_shapes) {
  Graph graph = plan.graph;
  bool changed = false;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    Value& input = graph.value(graph.inputs[i]);
    const Dims& wanted = input_shapes[i];
    if (input.shape == to_shape(wanted)) continue;
    const Dims own = known_dims(*input.shape).value_or(Dims());
    const Dims& low = plan.profile.fixed() ? own : plan.profile.smallest[i];
    const Dims& high = plan.profile.fixed() ? own : plan.profile.largest[i];
    bool inside = wanted.size() == low.size();
    for (size_t d = 0; inside && d < wanted.size(); ++d) inside = low[d] <= wanted[d] && wanted[d] <= high[d];
    if (!inside)
      return Error{ErrorCode::bad_argument,
                   "input '" + input.name + "': the shape " + to_string(wanted) +
                       " was asked for, the plan was built for " +
                       (plan.profile.fixed() ? to_string(own) + " only" : to_string(low) + " to " + to_string(high)) +
                       ": build it with --shapes " + input.name +
                       ":MIN:OPT:MAX that holds yours (octet trtexec: --minShapes, --optShapes, --maxShapes)"};
    input.shape = to_shape(wanted);
    changed = true;
  }
  if (!changed) return graph;
  for (Node& node : graph.nodes)
    for (const ValueId v : node.outputs)
      if (v != k_absent) graph.value(v).shape.reset();
  if (Result<Done> ok = infer_shapes(graph); !ok) return within("with the shapes asked for", ok.error());
  if (Result<Done> ok = verify(graph); !ok) return within("with the shapes asked for", ok.error());
  return graph;
}

}  // namespace octet
