#include "quant/walk.h"

#include <algorithm>
#include <array>
#include <cstdlib>

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

/// Neighbours merged where every operand walks on evenly.
std::vector<Loop> merged(const std::vector<Loop>& loops) {
  std::vector<Loop> out;
  for (Loop loop : loops) {
    const auto follows = [&](const Loop& outer) {
      for (size_t o = 0; o < k_operands; ++o) {
        if (outer.stride[o] != loop.stride[o] * loop.extent) return false;
      }
      return true;
    };
    if (!out.empty() && follows(out.back())) {
      loop.extent *= out.back().extent;
      out.back() = loop;
    } else {
      out.push_back(loop);
    }
  }
  return out;
}

/// In the order of memory: of y, or of x where there is no y. A transposed tensor is then as dense as any other. The
/// innermost loop keeps parameters one per element or one for all, which is what rows take.
void sort_by_memory(std::vector<Loop>& loops, bool has_y) {
  std::vector<Loop> sorted = loops;
  std::stable_sort(sorted.begin(), sorted.end(), [has_y](const Loop& a, const Loop& b) {
    const size_t o = has_y ? k_y : k_x;
    return std::abs(a.stride[o]) > std::abs(b.stride[o]);
  });
  if (sorted.back().stride[k_parameter] <= 1) loops = std::move(sorted);
}

/// Loops outermost first.
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
    if (loop.extent != 1) loops.push_back(loop);
  }
  if (loops.empty()) return std::vector<Loop>{{1, {1, 1, 1, 0}}};
  sort_by_memory(loops, w.y.dtype != DType::undefined);
  return merged(loops);
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

/// Every index of the outer loops, from given offsets on.
void run_nest(const Walk& w, std::span<const Loop> loops, std::array<int64_t, k_operands> at, const QuantRows& rows,
              const std::function<void(const Row&)>& row) {
  const size_t outer = loops.size() - 1;
  std::vector<int64_t> index(outer, 0);
  while (true) {
    run_row(w, loops.back(), at, rows, row);
    size_t d = outer;
    for (; d-- > 0;) {
      const Loop& loop = loops[d];
      for (size_t o = 0; o < k_operands; ++o) at[o] += loop.stride[o];
      if (++index[d] < loop.extent) break;
      for (size_t o = 0; o < k_operands; ++o) at[o] -= loop.stride[o] * loop.extent;
      index[d] = 0;
    }
    if (d == static_cast<size_t>(-1)) return;
  }
}

Loop strided(const Loop& loop, int64_t step, int64_t extent) {
  Loop out{extent, loop.stride};
  for (int64_t& s : out.stride) s *= step;
  return out;
}

/// Where the innermost loop strides through x and another one follows x's memory, that one goes over strips of k_strip
/// elements: the cache lines that a strip touches are read whole before they leave the cache.
void run_in_strips(const Walk& w, const std::vector<Loop>& loops, const QuantRows& rows,
                   const std::function<void(const Row&)>& row) {
  constexpr int64_t k_strip = 64;
  const Loop inner = loops.back();
  const auto along_x = std::find_if(loops.begin(), loops.end() - 1, [](const Loop& l) { return l.stride[k_x] == 1; });
  if (inner.stride[k_x] <= 1 || inner.extent <= k_strip || along_x == loops.end() - 1)
    return run_nest(w, loops, {}, rows, row);
  std::vector<Loop> nest(loops.begin(), along_x);
  nest.insert(nest.end(), along_x + 1, loops.end() - 1);
  const size_t strips = nest.size();
  nest.push_back(strided(inner, k_strip, inner.extent / k_strip));
  nest.push_back(*along_x);
  nest.push_back(strided(inner, 1, k_strip));
  run_nest(w, nest, {}, rows, row);
  const int64_t rest = inner.extent % k_strip;
  if (rest == 0) return;
  nest.erase(nest.begin() + static_cast<ptrdiff_t>(strips));
  nest.back().extent = rest;
  run_nest(w, nest, strided(inner, inner.extent - rest, 1).stride, rows, row);
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
  run_in_strips(w, *loops, rows, row);
  return Done{};
}

}  // namespace octet
