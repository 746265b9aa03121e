#include "checkpoint/pickle.h"

#include <bit>
#include <map>
#include <optional>
#include <string_view>

#include "data/byte_reader.h"

namespace octet {
namespace {

using Kind = PickleValue::Kind;

/// A value takes at least one byte of the stream; what one byte may copy (memo reads are copies of an index) is bounded
/// by this, so that a small file cannot ask for much memory.
constexpr size_t k_most_values = size_t{1} << 24;

std::optional<DType> storage_dtype(std::string_view global) {
  constexpr std::pair<std::string_view, DType> k_types[] = {
      {"torch.FloatStorage", DType::f32},     {"torch.DoubleStorage", DType::f64}, {"torch.HalfStorage", DType::f16},
      {"torch.BFloat16Storage", DType::bf16}, {"torch.LongStorage", DType::s64},   {"torch.IntStorage", DType::s32},
      {"torch.ShortStorage", DType::s16},     {"torch.CharStorage", DType::s8},    {"torch.ByteStorage", DType::u8},
      {"torch.BoolStorage", DType::boolean}};
  for (const auto& [name, dtype] : k_types)
    if (name == global) return dtype;
  return std::nullopt;
}

class Unpickler {
 public:
  Unpickler(std::span<const std::byte> bytes, size_t at) : in_(bytes, at) {}

  Result<Pickle> run() {
    while (true) {
      if (in_.failed()) return broken("it ends in the middle of a value");
      if (pickle_.pool.size() > k_most_values) return broken("it makes more values than a checkpoint has");
      const auto op = static_cast<unsigned char>(in_.unsigned_number(1));
      if (in_.failed()) return broken("it ends without STOP");
      if (op == '.') break;
      if (Result<Done> done = step(op); !done) return done.error();
    }
    if (stack_.empty() || stack_.back() == k_mark) return broken("it leaves no value");
    pickle_.root = stack_.back();
    pickle_.end = in_.at();
    return std::move(pickle_);
  }

 private:
  static constexpr PickleId k_mark = 0xffffffff;

  Error broken(const std::string& what) const {
    return {ErrorCode::bad_model, "damaged pickle at byte " + std::to_string(in_.at()) + ": " + what};
  }

  PickleValue& make(Kind kind) {
    stack_.push_back(static_cast<PickleId>(pickle_.pool.size()));
    pickle_.pool.push_back({});
    pickle_.pool.back().kind = kind;
    return pickle_.pool.back();
  }
  void integer(int64_t value) { make(Kind::integer).integer = value; }
  void text(std::span<const std::byte> bytes) {
    make(Kind::text).text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  PickleValue& value(PickleId id) { return pickle_.pool[id]; }

  bool pop(PickleId& id) {
    if (stack_.empty() || stack_.back() == k_mark) return false;
    id = stack_.back();
    stack_.pop_back();
    return true;
  }
  /// What lies above the last mark; the mark goes too.
  std::optional<std::vector<PickleId>> pop_to_mark() {
    for (size_t i = stack_.size(); i-- > 0;) {
      if (stack_[i] != k_mark) continue;
      std::vector<PickleId> items(stack_.begin() + static_cast<std::ptrdiff_t>(i) + 1, stack_.end());
      stack_.resize(i);
      return items;
    }
    return std::nullopt;
  }

  Result<Done> step(unsigned char op) {
    if (scalar(op) || memo(op)) return Done{};
    switch (op) {
      case 0x80: in_.take(1); return Done{};  // PROTO
      case 0x95: in_.take(8); return Done{};  // FRAME
      case '(': stack_.push_back(k_mark); return Done{};
      case ')':
      case ']': make(Kind::list); return Done{};
      case '}': make(Kind::dict); return Done{};
      case 't': return tuple_to_mark();
      case 0x85:
      case 0x86:
      case 0x87: return tuple_of(op - 0x84u);
      case 'a':
      case 'e': return append(op == 'e');
      case 's':
      case 'u': return set_items(op == 'u');
      case 'c': return global_lines();
      case 0x93: return stack_global();
      case 'Q': return persistent();
      case 'R': return reduce();
      case 'b': return build();
      case '0': return drop();
      case 0x81:
      case 'o':
      case 'i': return Error{ErrorCode::unsupported, made_by_class()};
      default:
        return Error{ErrorCode::unsupported, "pickle opcode " + std::to_string(op) + " at byte " +
                                                 std::to_string(in_.at() - 1) +
                                                 ", which no checkpoint of tensors and plain containers needs"};
    }
  }

  /// Numbers, texts, constants.
  bool scalar(unsigned char op) {
    switch (op) {
      case 'N': make(Kind::none); return true;
      case 0x88:
      case 0x89: make(Kind::boolean).integer = op == 0x88; return true;
      case 'K': integer(static_cast<int64_t>(in_.unsigned_number(1))); return true;
      case 'M': integer(in_.u16()); return true;
      case 'J': integer(in_.s32()); return true;
      case 0x8a: long1(); return true;
      case 'G': big_endian_double(); return true;
      case 'X':
      case 'T': text(in_.take(in_.u32())); return true;
      case 0x8c:
      case 'U': text(in_.take(in_.unsigned_number(1))); return true;
      case 0x8d: text(in_.take(in_.u64())); return true;
      default: return false;
    }
  }

  void long1() {  // little-endian two's complement; torch's magic number has ten bytes and keeps its low eight
    const size_t size = in_.unsigned_number(1);
    uint64_t value = 0;
    uint64_t last = 0;
    for (size_t i = 0; i < size; ++i) {
      last = in_.unsigned_number(1);
      if (i < 8) value |= last << (8 * i);
    }
    if (size > 0 && size < 8 && last >= 0x80) value |= ~uint64_t{0} << (8 * size);
    integer(static_cast<int64_t>(value));
  }
  void big_endian_double() {
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | in_.unsigned_number(1);
    make(Kind::real).real = std::bit_cast<double>(bits);
  }

  bool memo(unsigned char op) {
    switch (op) {
      case 'q': put(in_.unsigned_number(1)); return true;
      case 'r': put(in_.u32()); return true;
      case 0x94: put(memo_.size()); return true;
      case 'h': get(in_.unsigned_number(1)); return true;
      case 'j': get(in_.u32()); return true;
      default: return false;
    }
  }
  void put(uint64_t key) {
    if (!stack_.empty() && stack_.back() != k_mark) memo_[key] = stack_.back();
  }
  void get(uint64_t key) {
    const auto at = memo_.find(key);
    if (at != memo_.end()) {
      stack_.push_back(at->second);
    } else {
      make(Kind::none);
    }
  }

  Result<Done> tuple_to_mark() {
    std::optional<std::vector<PickleId>> items = pop_to_mark();
    if (!items) return broken("TUPLE without a mark");
    make(Kind::list).items = *std::move(items);
    return Done{};
  }
  Result<Done> tuple_of(size_t count) {
    std::vector<PickleId> items(count);
    for (size_t i = count; i-- > 0;)
      if (!pop(items[i])) return broken("a tuple of values that are not there");
    make(Kind::list).items = std::move(items);
    return Done{};
  }
  Result<Done> append(bool to_mark) {
    std::optional<std::vector<PickleId>> items;
    if (to_mark) {
      items = pop_to_mark();
    } else if (PickleId one = 0; pop(one)) {
      items = std::vector<PickleId>{one};
    }
    if (!items || stack_.empty() || stack_.back() == k_mark || value(stack_.back()).kind != Kind::list)
      return broken("APPEND to something that is no list");
    std::vector<PickleId>& list = value(stack_.back()).items;
    list.insert(list.end(), items->begin(), items->end());
    return Done{};
  }
  Result<Done> set_items(bool to_mark) {
    std::optional<std::vector<PickleId>> items;
    if (to_mark) {
      items = pop_to_mark();
    } else if (PickleId v = 0, k = 0; pop(v) && pop(k)) {
      items = std::vector<PickleId>{k, v};
    }
    if (!items || items->size() % 2 != 0 || stack_.empty() || stack_.back() == k_mark ||
        value(stack_.back()).kind != Kind::dict)
      return broken("SETITEMS on something that is no dict");
    for (size_t i = 0; i < items->size(); i += 2)
      value(stack_.back()).entries.emplace_back((*items)[i], (*items)[i + 1]);
    return Done{};
  }
  Result<Done> drop() {
    if (stack_.empty()) return broken("POP of nothing");
    stack_.pop_back();
    return Done{};
  }

  std::string line() {
    std::string word;
    while (!in_.failed()) {
      const char c = static_cast<char>(in_.unsigned_number(1));
      if (c == '\n' || word.size() > 256) break;
      word += c;
    }
    return word;
  }
  Result<Done> global_lines() {
    const std::string module = line();
    make(Kind::global).text = module + "." + line();
    return Done{};
  }
  Result<Done> stack_global() {
    PickleId name = 0, module = 0;
    if (!pop(name) || !pop(module) || value(name).kind != Kind::text || value(module).kind != Kind::text)
      return broken("STACK_GLOBAL without two names");
    const std::string full = value(module).text + "." + value(name).text;
    make(Kind::global).text = full;
    return Done{};
  }

  /// ('storage', torch.FloatStorage, key, location, elements[, view]): torch's only persistent id.
  Result<Done> persistent() {
    PickleId id = 0;
    if (!pop(id)) return broken("BINPERSID of nothing");
    const std::vector<PickleId> parts = value(id).items;
    if (parts.size() < 5 || value(parts[0]).text != "storage" || value(parts[1]).kind != Kind::global ||
        value(parts[2]).kind != Kind::text || value(parts[4]).kind != Kind::integer)
      return broken("a persistent id that is no torch storage");
    const std::string type = value(parts[1]).text;
    const std::optional<DType> dtype = storage_dtype(type);
    if (!dtype) return Error{ErrorCode::unsupported, "a storage of type " + type + ", which octet does not read"};
    if (parts.size() > 5 && value(parts[5]).kind != Kind::none)
      return Error{ErrorCode::unsupported,
                   "storage '" + value(parts[2]).text + "' is a view of another one; save the checkpoint again"};
    const std::string key = value(parts[2]).text;
    const int64_t elements = value(parts[4]).integer;
    if (elements < 0) return broken("storage '" + key + "' has a negative length");
    PickleValue& made = make(Kind::storage);
    made.text = key;
    made.dtype = *dtype;
    made.elements = elements;
    return Done{};
  }

  Result<Done> reduce() {
    PickleId arguments = 0, callee = 0;
    if (!pop(arguments) || !pop(callee)) return broken("REDUCE without a function");
    if (value(callee).kind != Kind::global) return broken("REDUCE of something that is no name");
    const std::string name = value(callee).text;
    const std::vector<PickleId> given = value(arguments).items;
    if (name == "collections.OrderedDict") {
      make(Kind::dict);
      return given.empty() ? Result<Done>(Done{}) : broken("an OrderedDict with arguments");
    }
    if (name == "torch._utils._rebuild_tensor" || name == "torch._utils._rebuild_tensor_v2") return tensor(given);
    if (name == "torch._utils._rebuild_parameter" && !given.empty()) {
      stack_.push_back(given[0]);
      return Done{};
    }
    if (name == "torch.Size" && given.size() == 1) {
      stack_.push_back(given[0]);
      return Done{};
    }
    return Error{ErrorCode::unsupported, refusal(name)};
  }

  static std::string refusal(const std::string& name) {
    return "the file wants to call " + name +
           ", which octet does not do: only tensors and plain containers are read. Save model.state_dict() instead of "
           "the whole model or training state";
  }
  std::string made_by_class() {
    for (size_t i = stack_.size(); i-- > 0;)
      if (stack_[i] != k_mark && value(stack_[i]).kind == Kind::global) return refusal(value(stack_[i]).text);
    return refusal("a class");
  }

  std::optional<std::vector<int64_t>> integers(PickleId id) {
    if (value(id).kind != Kind::list) return std::nullopt;
    std::vector<int64_t> numbers;
    for (const PickleId item : value(id).items) {
      if (value(item).kind != Kind::integer || value(item).integer < 0) return std::nullopt;
      numbers.push_back(value(item).integer);
    }
    return numbers;
  }

  /// (storage, offset, dims, strides, ...)
  Result<Done> tensor(const std::vector<PickleId>& given) {
    if (given.size() < 4 || value(given[0]).kind != Kind::storage || value(given[1]).kind != Kind::integer)
      return broken("a tensor without storage");
    std::optional<std::vector<int64_t>> dims = integers(given[2]), strides = integers(given[3]);
    if (!dims || !strides || dims->size() != strides->size() || value(given[1]).integer < 0)
      return broken("a tensor whose shape and strides do not fit");
    const int64_t offset = value(given[1]).integer;
    PickleValue& made = make(Kind::tensor);
    made.items = {given[0]};
    made.integer = offset;
    made.dims = *std::move(dims);
    made.strides = *std::move(strides);
    return Done{};
  }

  /// torch hangs attributes (_metadata) on its OrderedDict; they carry no tensors.
  Result<Done> build() {
    PickleId state = 0;
    if (!pop(state) || stack_.empty() || stack_.back() == k_mark) return broken("BUILD of nothing");
    if (value(stack_.back()).kind == Kind::dict || value(stack_.back()).kind == Kind::tensor) return Done{};
    return Error{ErrorCode::unsupported, made_by_class()};
  }

  ByteReader in_;
  Pickle pickle_;
  std::vector<PickleId> stack_;
  std::map<uint64_t, PickleId> memo_;
};

}  // namespace

Result<Pickle> read_pickle(std::span<const std::byte> bytes, size_t at) { return Unpickler(bytes, at).run(); }

}  // namespace octet
