#pragma once
// From the sums of a warpgroup kernel to what is stored, see conv_tma.cuh.

#include "backends/cuda/conv_tma_producer.cuh"

namespace octet::cuda {

template <class Shape>
struct TmaFinish {
  static constexpr ConvType T = Shape::T;
  static constexpr int BN = Shape::BN, k_element = Shape::k_element;
  static constexpr bool k_codes = Shape::k_codes, Joined = Shape::Joined;
  using Acc = typename Shape::Acc;

  enum class Residual { none, shared, registers };
  /// The codes of a thread's outputs: 16 channels of two pixels in every 64 columns.
  struct Kept {
    uint32_t codes[Joined ? BN / 64 : 1][2][4];
  };

  /// The first convolution's sums as codes.
  static __device__ __forceinline__ void keep_codes(const ConvParams& p, const Acc (&acc)[BN / 2], int n0, Kept& kept) {
#pragma unroll
    for (int g = 0; g < BN / 64; ++g) {
      const int oc = n0 + g * 64 + static_cast<int>(threadIdx.x) % 4 * 16;
      if (oc + 16 <= p.oc) codes_of<Residual::none>(p, acc, g, oc, 0, {}, kept.codes[g]);
    }
  }

  template <Residual R>
  static __device__ __forceinline__ void finish_tile(const ConvParams& p, const Acc (&acc)[BN / 2], int m0, int n0,
                                                     int group, uint32_t residual, const Kept& kept) {
    const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    const int row = group * 64 + warp * 16 + lane / 4, column = lane % 4 * 16;
#pragma unroll
    for (int g = 0; g < BN / 64; ++g) {
      const int oc = n0 + g * 64 + column;
      if (oc + 16 > p.oc) continue;
      const uint32_t from = residual + (row * BN + g * 64 + column) * k_element;
      if constexpr (k_codes) {
        uint32_t codes[2][4];
        codes_of<R>(p, acc, g, oc, from, kept.codes[R == Residual::registers ? g : 0], codes);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int m = m0 + row + half * 8;
          if (m < p.m)
            store_words<4>(static_cast<uint8_t*>(p.y) + static_cast<size_t>(m) * p.y_pitch + oc, codes[half]);
        }
      } else {
        finish_halves_of<R == Residual::shared>(p, acc, g, m0 + row, oc, from);
      }
    }
  }

  static __device__ __forceinline__ uint4 load_shared(uint32_t from) {
    uint4 v;
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(from));
    return v;
  }

  /// 16 channels of two pixels, 8 rows apart; their residual is at `from` in shared memory, or in kept.
  template <Residual R>
  static __device__ __forceinline__ void codes_of(const ConvParams& p, const Acc (&acc)[BN / 2], int g, int oc,
                                                  uint32_t from, const uint32_t (&kept)[2][4],
                                                  uint32_t (&codes)[2][4]) {
    if (p.from_zero) {
      codes_in<R, true>(p, acc, g, oc, from, kept, codes);
    } else {
      codes_in<R, false>(p, acc, g, oc, from, kept, codes);
    }
  }

  template <Residual R, bool FromZero>
  static __device__ __forceinline__ void codes_in(const ConvParams& p, const Acc (&acc)[BN / 2], int g, int oc,
                                                  uint32_t from, const uint32_t (&kept)[2][4],
                                                  uint32_t (&codes)[2][4]) {
    uint32_t r[2][4];
    if constexpr (R == Residual::shared) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4 v = load_shared(from + half * 8 * BN);
        r[half][0] = v.x, r[half][1] = v.y, r[half][2] = v.z, r[half][3] = v.w;
      }
    }
    if constexpr (R == Residual::registers) {
#pragma unroll
      for (int i = 0; i < 8; ++i) r[i / 4][i % 4] = kept[i / 4][i % 4];
    }
    const float zero = 8388608.0f + static_cast<float>(p.epilogue.r_zero);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      int32_t bias[4];
      float multiplier[4];
      load_channels<T, 4>(p, oc + 4 * q, bias, multiplier);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float v[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int32_t sum = acc[(g * 8 + 2 * q + j / 2) * 4 + half * 2 + j % 2] + bias[j];
          v[j] = FromZero || p.small_sums ? small_sum(sum) : __int2float_rn(sum);
          if constexpr (R != Residual::none) {
            v[j] = __fmaf_rn(v[j], multiplier[j], __fmul_rn(byte_less(r[half][q], j, zero), p.epilogue.r_multiplier));
          } else {
            v[j] = __fmul_rn(v[j], multiplier[j]);
          }
        }
        uint32_t word[1];
        if constexpr (FromZero) {
          pack_codes_from_zero<4>(v, word);
        } else {
          pack_codes<4>(p.epilogue, v, word);
        }
        codes[half][q] = word[0];
      }
    }
  }

  template <bool HasResidual>
  static __device__ __forceinline__ void finish_halves_of(const ConvParams& p, const Acc (&acc)[BN / 2], int g, int m,
                                                          int oc, uint32_t from) {
    float bias[16], none[16];
    load_channels<T, 16>(p, oc, bias, none);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t words[8];
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        uint32_t r[4] = {};
        if constexpr (HasResidual) {
          const uint4 v = load_shared(from + half * 8 * BN * 2 + part * 16);
          r[0] = v.x, r[1] = v.y, r[2] = v.z, r[3] = v.w;
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int c = part * 8 + 2 * i, at = (g * 8 + c / 2) * 4 + half * 2;
          float2 v = make_float2(acc[at] + bias[c], acc[at + 1] + bias[c + 1]);
          if constexpr (HasResidual) {
            const float2 f = __half22float2(*reinterpret_cast<const __half2*>(&r[i]));
            v.x += f.x, v.y += f.y;
          }
          if (p.epilogue.act != Act::none) {  // ReLU or Clip: the planner offers these kernels no other
            v.x = keep_max(v.x, p.epilogue.p0), v.y = keep_max(v.y, p.epilogue.p0);
            v.x = keep_min(v.x, p.epilogue.p1), v.y = keep_min(v.y, p.epilogue.p1);
          }
          const __half2 h = __floats2half2_rn(v.x, v.y);
          words[part * 4 + i] = *reinterpret_cast<const uint32_t*>(&h);
        }
      }
      if (m + half * 8 < p.m)
        store_words<8>(static_cast<__half*>(p.y) + static_cast<size_t>(m + half * 8) * p.y_pitch + oc, words);
    }
  }
};

}  // namespace octet::cuda
