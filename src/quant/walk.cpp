#include "quant/walk.h"

#include <algorithm>
#include <array>

namespace octet {
namespace {

constexpr size_t k_block = 2048;  // floats: 8 KiB, three operands stay in L1

enum Operand { k_x, k_dy, k_y, k_parameter, k_operands };

/// One loop: an extent and each operand's step in elements.
struct Loop {
  int64_t extent = 1;
  std::array<int64_t, k_operands> stride{};
};

std::string dims_text(const Dims& dims) { return to_string(std::span<const int64_t>(dims)); }

/// Loops outermost first, neighbours merged where every operand walks on evenly.
Result<std::vector<Loop>> make_loops(const Walk& w) {
  const size_t rank = w.x.dims.size();
  const auto misfit = [&] {
    return Error{ErrorCode::bad_argument, std::string(w.what) + " " + dims_text(w.parameter_dims) +
                                              " does not broadcast to the input " + dims_text(w.x.dims) +
                                              ": trailing dimensions must be equal or 1"};
  };
  if (w.parameter_dims.size() > rank) {
    const size_t extra = w.parameter_dims.size() - rank;
    for (size_t d = 0; d < extra; ++d) {
      if (w.parameter_dims[d] != 1) return misfit();
    }
  }
  const std::vector<int64_t> parameter_strides = row_major_strides(w.parameter_dims);
  std::vector<Loop> loops;
  for (size_t d = 0; d < rank; ++d) {
    Loop loop{w.x.dims[d], {w.x.strides[d], 0, 0, 0}};
    if (w.dy.dtype != DType::undefined) loop.stride[k_dy] = w.dy.strides[d];
    if (w.y.dtype != DType::undefined) loop.stride[k_y] = w.y.strides[d];
    const auto from_end = rank - d;
    if (from_end <= w.parameter_dims.size()) {
      const size_t p = w.parameter_dims.size() - from_end;
      if (w.parameter_dims[p] != 1 && w.parameter_dims[p] != w.x.dims[d]) return misfit();
      if (w.parameter_dims[p] != 1) loop.stride[k_parameter] = parameter_strides[p];
    }
    if (loop.extent == 1) continue;
    const auto follows = [&](const Loop& outer) {
      for (size_t o = 0; o < k_operands; ++o) {
        if (outer.stride[o] != loop.stride[o] * loop.extent) return false;
      }
      return true;
    };
    if (!loops.empty() && follows(loops.back())) {
      loop.extent *= loops.back().extent;
      loops.back() = loop;
    } else {
      loops.push_back(loop);
    }
  }
  if (loops.empty()) loops.push_back({1, {1, 1, 1, 0}});
  return loops;
}

/// A block of an operand as dense f32: where it lies, or copied and widened into `buffer`.
const float* load(const TensorView& view, int64_t offset, int64_t stride, size_t n, const QuantRows& rows,
                  float* buffer) {
  if (view.dtype == DType::f32) {
    const float* from = reinterpret_cast<const float*>(view.data) + offset;
    if (stride == 1) return from;
    for (size_t i = 0; i < n; ++i) buffer[i] = from[static_cast<int64_t>(i) * stride];
    return buffer;
  }
  const uint16_t* from = reinterpret_cast<const uint16_t*>(view.data) + offset;
  uint16_t gathered[k_block];
  if (stride != 1) {
    for (size_t i = 0; i < n; ++i) gathered[i] = from[static_cast<int64_t>(i) * stride];
    from = gathered;
  }
  (view.dtype == DType::f16 ? rows.from_f16 : rows.from_bf16)(from, n, buffer);
  return buffer;
}

template <class T>
void store_as(const TensorView& view, int64_t offset, int64_t stride, size_t n, const float* buffer,
              void (*convert)(const float*, size_t, T*)) {
  T* to = reinterpret_cast<T*>(view.data) + offset;
  if (stride == 1) return convert(buffer, n, to);
  T made[k_block];
  convert(buffer, n, made);
  for (size_t i = 0; i < n; ++i) to[static_cast<int64_t>(i) * stride] = made[i];
}

void store(const TensorView& view, int64_t offset, int64_t stride, size_t n, const float* buffer,
           const QuantRows& rows) {
  switch (view.dtype) {
    case DType::f16: return store_as(view, offset, stride, n, buffer, rows.to_f16);
    case DType::bf16: return store_as(view, offset, stride, n, buffer, rows.to_bf16);
    case DType::s8: return store_as(view, offset, stride, n, buffer, rows.to_s8);
    case DType::u8: return store_as(view, offset, stride, n, buffer, rows.to_u8);
    case DType::s16: return store_as(view, offset, stride, n, buffer, rows.to_s16);
    case DType::u16: return store_as(view, offset, stride, n, buffer, rows.to_u16);
    default: break;
  }
  float* to = reinterpret_cast<float*>(view.data) + offset;
  for (size_t i = 0; i < n; ++i) to[static_cast<int64_t>(i) * stride] = buffer[i];
}

/// The innermost loop at given offsets.
void run_row(const Walk& w, const Loop& loop, const std::array<int64_t, k_operands>& at, const QuantRows& rows,
             const std::function<void(const Row&)>& row) {
  float x_buffer[k_block], dy_buffer[k_block], y_buffer[k_block];
  const bool direct = w.y.dtype == DType::f32 && loop.stride[k_y] == 1;
  const bool converts = w.y.dtype != DType::undefined && !direct;
  // Nothing to convert: no reason to cut.
  const bool whole = w.x.dtype == DType::f32 && loop.stride[k_x] == 1 && !converts &&
                     (w.dy.dtype == DType::undefined || (w.dy.dtype == DType::f32 && loop.stride[k_dy] == 1));
  const size_t block = whole ? static_cast<size_t>(loop.extent) : k_block;
  for (int64_t i = 0; i < loop.extent; i += static_cast<int64_t>(block)) {
    Row r;
    r.n = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(block), loop.extent - i));
    r.each = loop.stride[k_parameter] != 0;
    r.at = static_cast<size_t>(at[k_parameter] + i * loop.stride[k_parameter]);
    r.x = load(w.x, at[k_x] + i * loop.stride[k_x], loop.stride[k_x], r.n, rows, x_buffer);
    if (w.dy.dtype != DType::undefined) {
      r.dy = load(w.dy, at[k_dy] + i * loop.stride[k_dy], loop.stride[k_dy], r.n, rows, dy_buffer);
    }
    if (w.y.dtype != DType::undefined) {
      r.y = direct ? reinterpret_cast<float*>(w.y.data) + at[k_y] + i : y_buffer;
    }
    row(r);
    if (converts) store(w.y, at[k_y] + i * loop.stride[k_y], loop.stride[k_y], r.n, y_buffer, rows);
  }
}

Result<Done> check(const Walk& w) {
  for (const auto& [view, what] : {std::pair(&w.x, "the input"), std::pair(&w.dy, "the gradient")}) {
    const bool absent = view->dtype == DType::undefined && view == &w.dy;
    if (absent) continue;
    if (view->dtype != DType::f32 && view->dtype != DType::f16 && view->dtype != DType::bf16) {
      return Error{ErrorCode::bad_argument,
                   std::string(what) + " is " + std::string(name(view->dtype)) + "; expected f32, f16 or bf16"};
    }
    if (view->dims != w.x.dims) {
      return Error{ErrorCode::bad_argument,
                   std::string(what) + " is " + dims_text(view->dims) + ", the input " + dims_text(w.x.dims)};
    }
  }
  if (w.y.dtype != DType::undefined && w.y.dims != w.x.dims) {
    return Error{ErrorCode::bad_argument,
                 "the output is " + dims_text(w.y.dims) + ", the input " + dims_text(w.x.dims)};
  }
  return Done{};
}

}  // namespace

Result<Done> walk(const Walk& w, const QuantRows& rows, const std::function<void(const Row&)>& row) {
  if (Result<Done> fits = check(w); !fits) return fits;
  const Result<std::vector<Loop>> loops = make_loops(w);
  if (!loops) return loops.error();
  if (std::any_of(w.x.dims.begin(), w.x.dims.end(), [](int64_t d) { return d == 0; })) return Done{};
  const size_t outer = loops->size() - 1;
  std::vector<int64_t> index(outer, 0);
  std::array<int64_t, k_operands> at{};
  while (true) {
    run_row(w, loops->back(), at, rows, row);
    size_t d = outer;
    for (; d-- > 0;) {
      const Loop& loop = (*loops)[d];
      for (size_t o = 0; o < k_operands; ++o) at[o] += loop.stride[o];
      if (++index[d] < loop.extent) break;
      for (size_t o = 0; o < k_operands; ++o) at[o] -= loop.stride[o] * loop.extent;
      index[d] = 0;
    }
    if (d == static_cast<size_t>(-1)) return Done{};
  }
}

}  // namespace octet
