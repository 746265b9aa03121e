#pragma once
// From the sums of a warpgroup kernel to what is stored, see conv_tma.cuh.

#include "backends/cuda/conv_tma_halves.cuh"
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

  /// Where a thread's channels begin, in every 64 columns.
  static __device__ __forceinline__ int column() { return static_cast<int>(threadIdx.x) % 4 * 16; }

  /// The first convolution's sums as codes. ahead: the channels of n0 + column().
  static __device__ __forceinline__ void keep_codes(const ConvParams& p, const Acc (&acc)[BN / 2], int n0,
                                                    FourChannels ahead, Kept& kept) {
#pragma unroll
    for (int g = 0; g < BN / 64; ++g) {
      const int oc = n0 + g * 64 + column();
      if (oc + 16 <= p.oc) codes_of<Residual::none>(p, acc, {g, oc, 0}, ahead, {}, kept.codes[g]);
    }
  }

  /// A warpgroup's part of a tile: its first pixel and channel, where its residual lies.
  struct Tile {
    int m0, n0, group;
    uint32_t residual;
  };
  template <Residual R>
  static __device__ __forceinline__ void finish_tile(const ConvParams& p, const Acc (&acc)[BN / 2], const Tile& tile,
                                                     FourChannels ahead, const Kept& kept) {
    const int m0 = tile.m0;
    const int row =
        tile.group * 64 + static_cast<int>(threadIdx.x) / 32 % 4 * 16 + static_cast<int>(threadIdx.x) % 32 / 4;
#pragma unroll
    for (int g = 0; g < BN / 64; ++g) {
      const int oc = tile.n0 + g * 64 + column();
      if (oc + 16 > p.oc) continue;
      const uint32_t from = tile.residual + (row * BN + g * 64 + column()) * k_element;
      if constexpr (k_codes) {
        uint32_t codes[2][4];
        codes_of<R>(p, acc, {g, oc, from}, ahead, kept.codes[R == Residual::registers ? g : 0], codes);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int m = m0 + row + half * 8;
          if (m < p.m)
            store_words<4>(static_cast<uint8_t*>(p.y) + static_cast<size_t>(m) * p.y_pitch + oc, codes[half]);
        }
      } else {
        finish_halves<R == Residual::shared, BN>(p, acc, {g, m0 + row, oc, from});
      }
    }
  }

  /// 16 channels of two pixels, 8 rows apart: which 64 columns, the first channel, where their residual lies in shared
  /// memory (else in kept).
  struct Channels16 {
    int g, oc;
    uint32_t from;
  };
  /// ahead: the first four of these channels, and then of the next 64 columns.
  template <Residual R>
  static __device__ __forceinline__ void codes_of(const ConvParams& p, const Acc (&acc)[BN / 2], const Channels16& at,
                                                  FourChannels& ahead, const uint32_t (&kept)[2][4],
                                                  uint32_t (&codes)[2][4]) {
    if (p.from_zero) {
      codes_in<R, true>(p, acc, at, ahead, kept, codes);
    } else {
      codes_in<R, false>(p, acc, at, ahead, kept, codes);
    }
  }

  template <Residual R, bool FromZero>
  static __device__ __forceinline__ void codes_in(const ConvParams& p, const Acc (&acc)[BN / 2], const Channels16& at,
                                                  FourChannels& ahead, const uint32_t (&kept)[2][4],
                                                  uint32_t (&codes)[2][4]) {
    uint32_t r[2][4];
    if constexpr (R == Residual::shared) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4 v = load_shared(at.from + half * 8 * BN);
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
      const FourChannels now = ahead;
      if (q < 3 || at.g + 1 < BN / 64) ahead.load(p, q < 3 ? at.oc + 4 * (q + 1) : at.oc + 64);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float v[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const int32_t sum = acc[(at.g * 8 + 2 * q + j / 2) * 4 + half * 2 + j % 2] + now.bias[j];
          v[j] = FromZero || p.small_sums ? small_sum(sum) : __int2float_rn(sum);
          if constexpr (R != Residual::none) {
            v[j] =
                __fmaf_rn(v[j], now.multiplier[j], __fmul_rn(byte_less(r[half][q], j, zero), p.epilogue.r_multiplier));
          } else {
            v[j] = __fmul_rn(v[j], now.multiplier[j]);
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
};

}  // namespace octet::cuda
