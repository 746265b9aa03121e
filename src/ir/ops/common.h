#pragma once
// What several op files need: checks, axes, broadcasting, element-wise maps.

#include <array>
#include <cassert>
#include <cmath>
#include <limits>

#include "ir/op.h"
#include "ir/ops/elements.h"

namespace octet {

#define OCTET_OP(op) extern const OpDef op;
#include "ir/ops/ops.def"
#undef OCTET_OP

/// Tensors of a higher rank exist only in hostile files.
inline constexpr int64_t k_max_rank = 64;

using ValueTypes = std::vector<ValueType>;
using Tensors = std::vector<Tensor>;

// ---- inference ----

/// One output of input 0's dtype and shape.
Result<ValueTypes> infer_same(const NodeContext& context);
/// The same for ops of real numbers; an Error when input 0 is not f32, f64, f16 or bf16.
Result<ValueTypes> infer_same_float(const NodeContext& context);
/// infer_same_float() of an op that works along the attribute `axis` (-1 where it is absent); an Error when input 0 has
/// no such axis.
Result<ValueTypes> infer_along_axis(const NodeContext& context);
/// Inputs 0 and 1 (and any more) of one dtype, broadcast as NumPy does.
Result<ValueTypes> infer_broadcast(const NodeContext& context);

/// "input 1 is s64, expected f32" when the dtypes of the two inputs differ.
Result<Done> require_same_dtype(const NodeContext& context, size_t a, size_t b);
Result<Done> require_float(const NodeContext& context, size_t input);
/// An Error when the rank of an input is known and not the one wanted.
Result<Done> require_rank(const NodeContext& context, size_t input, size_t rank);

/// "[-1,3]": integers for a message, negative ones too.
std::string list_text(std::span<const int64_t> values);
/// axis in [-rank, rank) as [0, rank); an Error that names the axis and the rank.
Result<size_t> normalized_axis(const NodeContext& context, int64_t axis, size_t rank);
/// The same for a list; a repeated axis is an Error.
Result<std::vector<size_t>> normalized_axes(const NodeContext& context, std::span<const int64_t> axes, size_t rank);

/// The integers of a constant input; nothing when the input is absent or not constant.
Result<std::optional<std::vector<int64_t>>> constant_ints(const NodeContext& context, size_t input);

/// Input 0's dtype with these extents, or of unknown shape.
inline ValueTypes typed(const NodeContext& context, std::optional<Shape> shape = {}) {
  return {{context.dtype(0), std::move(shape)}};
}
/// Extents that must be equal, as one that says what either says; nothing when they contradict each other.
std::optional<Dim> unified_dim(const Dim& a, const Dim& b);
/// The extent of a and b broadcast together; nothing when they contradict each other.
std::optional<Dim> broadcast_dim(const Dim& a, const Dim& b);
Result<Shape> broadcast_shapes(const NodeContext& context, const Shape& a, const Shape& b);
/// The product of extents: the known product, the lone symbol when all others are 1, else unknown.
/// Errors: more than k_max_elements.
Result<Dim> product(const NodeContext& context, std::span<const Dim> dims);

// ---- reference kernels ----

inline bool is_present(std::span<const Tensor> inputs, size_t i) {
  return i < inputs.size() && inputs[i].dtype() != DType::undefined;
}
/// The integers of an input that is present.
Result<std::vector<int64_t>> ints_of(const NodeContext& context, std::span<const Tensor> inputs, size_t i);

Result<Dims> broadcast_dims(const NodeContext& context, const Dims& a, const Dims& b);
/// Strides (in elements) that read a dense tensor of these dims as if it were broadcast to out.
std::vector<int64_t> broadcast_strides(std::span<const int64_t> dims, std::span<const int64_t> out);
/// y[index] = x[base + sum index*stride] for all indices of out, for any dtype. Every address must lie inside x.
Result<Tensor> gather_strided(const Tensor& x, const Dims& out, std::span<const int64_t> strides, int64_t base = 0);
/// The one tensor as a reference kernel's answer.
Result<Tensors> single(Result<Tensor> tensor);
/// Elements as float (f32, f16, bf16: exact; f64: rounded); an Error for other dtypes.
Result<Tensor> to_f32(const NodeContext& context, const Tensor& x);

/// What map_elements() and map_pairs() compile per dtype and function: the loop alone. f is what they were given.
using ElementLoop = void (*)(const void* f, const std::byte* x, std::byte* y, int64_t n);
using PairLoop = void (*)(const void* f, const std::byte* a, const std::byte* b, std::byte* y, LineWalk<2>& lines);
Result<Tensor> map_bytes(const Tensor& x, ElementLoop loop, const void* f);
Result<Tensor> map_byte_pairs(const NodeContext& context, const Tensor& a, const Tensor& b, DType out, PairLoop loop,
                              const void* f);

/// y[i] = f(x[i]); f maps Wide<T> to Wide<T>.
template <class T, class F>
Result<Tensor> map_elements(const Tensor& x, F f) {
  assert(sizeof(T) == size_of(x.dtype()));
  return map_bytes(
      x,
      [](const void* g, const std::byte* from, std::byte* to, int64_t n) {
        const F& map = *static_cast<const F*>(g);
        const T* in = reinterpret_cast<const T*>(from);
        T* y = reinterpret_cast<T*>(to);
        for (int64_t i = 0; i < n; ++i) y[i] = static_cast<T>(map(static_cast<Wide<T>>(in[i])));
      },
      &f);
}
/// y = f(a, b), broadcast; f maps two Wide<T> to something that Out is made from.
template <class T, class Out, class F>
Result<Tensor> map_pairs(const NodeContext& context, const Tensor& a, const Tensor& b, DType out, F f) {
  assert(sizeof(T) == size_of(a.dtype()) && sizeof(T) == size_of(b.dtype()) && sizeof(Out) == size_of(out));
  return map_byte_pairs(
      context, a, b, out,
      [](const void* g, const std::byte* x0, const std::byte* x1, std::byte* to, LineWalk<2>& lines) {
        const F& map = *static_cast<const F*>(g);
        Out* y = reinterpret_cast<Out*>(to);
        for (; !lines.done(); lines.next()) {
          const T* p = reinterpret_cast<const T*>(x0) + lines.at()[0];
          const T* q = reinterpret_cast<const T*>(x1) + lines.at()[1];
          const int64_t n = lines.line(), step_p = lines.step()[0], step_q = lines.step()[1];
          for (int64_t i = 0; i < n; ++i)
            *y++ = static_cast<Out>(map(static_cast<Wide<T>>(p[i * step_p]), static_cast<Wide<T>>(q[i * step_q])));
        }
      },
      &f);
}

}  // namespace octet
