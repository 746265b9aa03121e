// Buffers of a session's inputs and outputs: random, from raw files or from .npy.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "base/file.h"
#include "data/npy.h"
#include "octet/measure.h"
#include "tensor/half.h"

namespace octet {
namespace {

/// An element of float16.
struct Half {
  uint16_t bits = 0;
  explicit operator double() const { return static_cast<double>(half_to_float(bits)); }
};

template <class T, class Distribution>
void fill(std::byte* bytes, size_t count, Distribution distribution) {
  std::default_random_engine engine;  // the default seed: the same values in every run
  for (size_t i = 0; i < count; ++i) {
    const T value = static_cast<T>(distribution(engine));
    std::memcpy(bytes + i * sizeof(T), &value, sizeof(T));
  }
}

void fill_random(const Port& port, std::byte* bytes) {
  using Whole = std::uniform_int_distribution<int32_t>;
  if (port.dtype == "float32") {
    fill<float>(bytes, port.bytes / sizeof(float), std::uniform_real_distribution<float>(-1.0f, 1.0f));
  } else if (port.dtype == "float16") {
    std::default_random_engine engine;  // the values of a float32 tensor of this size, rounded
    std::uniform_real_distribution<float> distribution(-1.0f, 1.0f);
    for (size_t i = 0; i < port.bytes / sizeof(uint16_t); ++i) {
      const uint16_t half = float_to_half(distribution(engine));
      std::memcpy(bytes + i * sizeof half, &half, sizeof half);
    }
  } else if (port.dtype == "float64") {
    fill<double>(bytes, port.bytes / sizeof(double), std::uniform_real_distribution<double>(-1.0, 1.0));
  } else if (port.dtype == "int8") {
    fill<int8_t>(bytes, port.bytes, Whole(-128, 127));
  } else if (port.dtype == "uint8") {
    fill<uint8_t>(bytes, port.bytes, Whole(0, 255));
  } else if (port.dtype == "bool") {
    fill<uint8_t>(bytes, port.bytes, Whole(0, 1));
  } else if (port.dtype == "int32") {
    fill<int32_t>(bytes, port.bytes / sizeof(int32_t), Whole(-128, 127));
  } else if (port.dtype == "int64") {
    fill<int64_t>(bytes, port.bytes / sizeof(int64_t), Whole(-128, 127));
  } else {
    std::memset(bytes, 0, port.bytes);
  }
}

/// Either names of DType as the public ports spell them.
bool same_type(DType dtype, const std::string& word) {
  switch (dtype) {
    case DType::f32: return word == "float32";
    case DType::f64: return word == "float64";
    case DType::f16: return word == "float16";
    case DType::s8: return word == "int8";
    case DType::u8: return word == "uint8";
    case DType::s16: return word == "int16";
    case DType::s32: return word == "int32";
    case DType::s64: return word == "int64";
    case DType::boolean: return word == "bool";
    default: return false;
  }
}

bool is_npy(std::span<const std::byte> bytes) {
  return bytes.size() >= 6 && std::memcmp(bytes.data(), "\x93NUMPY", 6) == 0;
}

/// kind: "input" or "reference output".
Result<std::vector<std::byte>> read_tensor(const std::string& kind, const Port& port, const std::string& path) {
  const Result<std::shared_ptr<const MappedFile>> file = MappedFile::open(path);
  if (!file) return Error{ErrorCode::io, "Cannot open file " + path + "! (" + file.error().message + ")"};
  std::span<const std::byte> bytes = (*file)->bytes();
  Result<Tensor> tensor = Tensor();
  if (is_npy(bytes)) {
    tensor = read_npy(path);
    if (!tensor) return tensor.error();
    if (tensor->dims() != port.dims || !same_type(tensor->dtype(), port.dtype))
      return Error{ErrorCode::bad_argument, path + ": holds " + std::string(name(tensor->dtype())) +
                                                to_string(tensor->dims()) + ", " + kind + " '" + port.name + "' is " +
                                                port.dtype + to_string(port.dims)};
    bytes = tensor->bytes();
  }
  if (bytes.size() != port.bytes)
    return Error{ErrorCode::bad_argument, "Unexpected file size for " + kind + " file: " + path +
                                              ". Note: " + (kind == "input" ? "Input" : "Output") +
                                              " binding size is: " + std::to_string(port.bytes) +
                                              " bytes but the file size is " + std::to_string(bytes.size()) +
                                              " bytes. Double check the size and datatype of the provided data."};
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

Result<size_t> find_port(const std::vector<Port>& ports, const std::string& kind, const std::string& name) {
  std::string known;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name == name) return i;
    known += (i ? ", '" : "'") + ports[i].name + "'";
  }
  return Error{ErrorCode::bad_argument, "the network has no " + kind + " '" + name + "'; it has " + known};
}

/// The tensor's elements as doubles.
Result<std::vector<double>> numbers(const std::string& dtype, std::span<const std::byte> bytes) {
  std::vector<double> values;
  const auto collect = [&]<class T>(T) {
    values.resize(bytes.size() / sizeof(T));
    for (size_t i = 0; i < values.size(); ++i) {
      T value;
      std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
      values[i] = static_cast<double>(value);
    }
  };
  if (dtype == "float32")
    collect(float());
  else if (dtype == "float64")
    collect(double());
  else if (dtype == "float16")
    collect(Half());
  else if (dtype == "int8")
    collect(int8_t());
  else if (dtype == "uint8" || dtype == "bool")
    collect(uint8_t());
  else if (dtype == "int32")
    collect(int32_t());
  else if (dtype == "int64")
    collect(int64_t());
  else
    return Error{ErrorCode::unsupported, "no comparison of " + dtype + " outputs"};
  return values;
}

}  // namespace

Result<TensorBuffers> TensorBuffers::make(const Session& session) {
  TensorBuffers b;
  b.inputs_ = session.inputs();
  b.outputs_ = session.outputs();
  const auto add = [&](const Port& port, std::vector<std::byte*>& to) {
    AlignedBytes bytes = allocate_aligned(port.bytes);
    if (!bytes) return false;
    to.push_back(bytes.get());
    b.owned_.push_back(std::move(bytes));
    return true;
  };
  for (const auto* ports : {&b.inputs_, &b.outputs_}) {
    const bool is_input = ports == &b.inputs_;
    for (const Port& port : *ports) {
      if (!add(port, is_input ? b.in_ : b.out_))
        return Error{ErrorCode::out_of_memory,
                     "no memory for '" + port.name + "' (" + std::to_string(port.bytes) + " bytes)"};
      if (is_input) {
        fill_random(port, b.in_.back());
      } else {
        std::memset(b.out_.back(), 0, port.bytes);
      }
    }
  }
  b.const_in_.assign(b.in_.begin(), b.in_.end());
  return b;
}

Result<size_t> TensorBuffers::find_input(const std::string& name) const { return find_port(inputs_, "input", name); }
Result<size_t> TensorBuffers::find_output(const std::string& name) const { return find_port(outputs_, "output", name); }

Result<Done> TensorBuffers::load(const std::string& input_name, const std::string& path) {
  const Result<size_t> at = find_input(input_name);
  if (!at) return at.error();
  const Result<std::vector<std::byte>> bytes = read_tensor("input", inputs_[*at], path);
  if (!bytes) return bytes.error();
  std::memcpy(in_[*at], bytes->data(), bytes->size());
  return Done{};
}

Result<std::vector<std::byte>> TensorBuffers::read_output(const std::string& output_name,
                                                          const std::string& path) const {
  const Result<size_t> at = find_output(output_name);
  if (!at) return at.error();
  return read_tensor("reference output", outputs_[*at], path);
}

Result<double> output_loss(const std::string& algorithm, const std::string& dtype, std::span<const std::byte> actual,
                           std::span<const std::byte> reference, double atol, double rtol) {
  const Result<std::vector<double>> a = numbers(dtype, actual);
  if (!a) return a.error();
  const Result<std::vector<double>> r = numbers(dtype, reference);
  if (!r) return r.error();
  if (a->size() != r->size() || a->empty())
    return Error{ErrorCode::bad_argument, "the output has " + std::to_string(a->size()) + " elements, the reference " +
                                              std::to_string(r->size())};
  double over = 0, absolute = 0, squared = 0, largest = 0, dot = 0, aa = 0, rr = 0;
  for (size_t i = 0; i < a->size(); ++i) {
    const double x = (*a)[i], y = (*r)[i], d = std::fabs(x - y);
    // Written so that a NaN counts as a difference.
    over += !(d <= atol + rtol * std::fabs(y));
    absolute += d;
    squared += d * d;
    largest = d > largest || std::isnan(d) ? d : largest;
    dot += x * y;
    aa += x * x;
    rr += y * y;
  }
  const auto n = static_cast<double>(a->size());
  if (algorithm == "l0") return over / n;
  if (algorithm == "l1") return absolute / n;
  if (algorithm == "l2") return squared / n;
  if (algorithm == "lInf") return largest;
  if (algorithm == "cos") return aa == 0 && rr == 0 ? 0.0 : 1 - dot / std::sqrt(aa * rr);
  return Error{ErrorCode::bad_argument, "Unknown accuracyAlgorithm: " + algorithm + "; l0, l1, l2, lInf or cos"};
}

}  // namespace octet
