// AttributeProto -> Attribute.

#include <bit>

#include "onnx/importer.h"
#include "onnx/schema.h"
#include "onnx/wire.h"

namespace octet {
namespace {

struct Fields {
  std::string name;
  std::string reference;
  AttributeType type = AttributeType::undefined;
  AttributeType seen = AttributeType::undefined;  // which field is filled: files before IR version 3 name no type
  float real = 0;
  int64_t integer = 0;
  std::string string;
  ByteSpan tensor;
  std::vector<uint32_t> reals;
  std::vector<int64_t> integers;
  std::vector<std::string> strings;
};

Result<Fields> parse(ByteSpan message, const std::byte* origin) {
  namespace field = onnx_field::attribute;
  WireReader in(message, origin, "attribute");
  Fields out;
  while (in.next()) {
    switch (in.number()) {
      case field::name: out.name = in.text(); break;
      case field::ref_attr_name: out.reference = in.text(); break;
      case field::type: out.type = static_cast<AttributeType>(in.integer()); break;
      case field::f: out.seen = AttributeType::real, out.real = in.real(); break;
      case field::i: out.seen = AttributeType::integer, out.integer = in.integer(); break;
      case field::s: out.seen = AttributeType::string, out.string = in.text(); break;
      case field::t: out.seen = AttributeType::tensor, out.tensor = in.bytes(); break;
      case field::g: out.seen = AttributeType::graph; break;
      case field::graphs: out.seen = AttributeType::graphs; break;
      case field::floats: out.seen = AttributeType::reals, in.append_fixed32(out.reals); break;
      case field::ints: out.seen = AttributeType::integers, in.append_varints(out.integers); break;
      case field::strings: out.seen = AttributeType::strings, out.strings.emplace_back(in.text()); break;
      default: break;
    }
  }
  if (in.failed()) return in.error();
  if (out.type == AttributeType::undefined) out.type = out.seen;
  return out;
}

}  // namespace

Result<std::pair<std::string, Attribute>> read_attribute(ByteSpan message, TensorReader& tensors) {
  Result<Fields> parsed = parse(message, tensors.origin());
  if (!parsed) return parsed.error();
  Fields& in = *parsed;
  const std::string place = "attribute '" + in.name + "'";
  if (in.name.empty()) return Error{ErrorCode::bad_model, "an attribute has no name"};
  if (!in.reference.empty())
    return Error{ErrorCode::bad_model, place + " refers to '" + in.reference + "', which only a function may do"};
  const auto named = [&](Attribute value) { return std::pair(std::move(in.name), std::move(value)); };
  switch (in.type) {
    case AttributeType::real: return named(in.real);
    case AttributeType::integer: return named(in.integer);
    case AttributeType::string: return named(std::move(in.string));
    case AttributeType::integers: return named(std::move(in.integers));
    case AttributeType::strings: return named(std::move(in.strings));
    case AttributeType::reals: {
      std::vector<float> values;
      values.reserve(in.reals.size());
      for (const uint32_t bits : in.reals) values.push_back(std::bit_cast<float>(bits));
      return named(std::move(values));
    }
    case AttributeType::tensor: {
      Result<std::pair<std::string, Tensor>> tensor = tensors.read(in.tensor);
      if (!tensor) return within(place, tensor.error());
      return named(std::move(tensor->second));
    }
    case AttributeType::graph:
    case AttributeType::graphs:
      return Error{ErrorCode::unsupported, place + " is a subgraph; control flow is not supported"};
    default:
      return Error{ErrorCode::unsupported, place + " has the type " + std::to_string(static_cast<int64_t>(in.type)) +
                                               ", which octet does not read"};
  }
}

}  // namespace octet
