#include "tensor/activation.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <string>

namespace octet {

namespace {

struct Spelling {
  Activation activation;
  std::string_view word;
  size_t params;
};
constexpr Spelling k_spellings[] = {
    {Activation::none, "", 0},
    {Activation::relu, "Relu", 0},
    {Activation::clip, "Clip", 2},
    {Activation::leaky_relu, "LeakyRelu", 1},
    {Activation::sigmoid, "Sigmoid", 0},
    {Activation::hard_sigmoid, "HardSigmoid", 2},
    {Activation::hard_swish, "HardSwish", 0},
    {Activation::silu, "Silu", 0},
    {Activation::tanh, "Tanh", 0},
};

const Spelling& spelling(Activation activation) {
  const auto* found = std::ranges::find(k_spellings, activation, &Spelling::activation);
  assert(found != std::end(k_spellings));
  return *found;
}

// std::max and std::min return their first argument when the comparison is false, so a NaN of x passes through.
float hard_sigmoid(float x, float alpha, float beta) {
  return std::min(std::max(std::fma(x, alpha, beta), 0.0f), 1.0f);
}

}  // namespace

Result<Activation> activation_from_name(std::string_view word) {
  for (const Spelling& s : k_spellings)
    if (s.word == word) return s.activation;
  return Error{ErrorCode::bad_model,
               "unknown activation '" + std::string(word) +
                   "'; known are Relu, Clip, LeakyRelu, Sigmoid, HardSigmoid, HardSwish, Silu, Tanh and '' for none"};
}

std::string_view name(Activation activation) { return spelling(activation).word; }

size_t activation_param_count(Activation activation) { return spelling(activation).params; }

float exp_f32(float x) {
  if (std::isnan(x)) return x;
  x = std::min(std::max(x, -87.0f), 88.0f);
  const float n = std::rint(x * 0x1.715476p+0f);  // 1 / ln 2
  float r = std::fma(n, -0x1.62e400p-1f, x);      // ln 2 in two parts; the first has 17 bits
  r = std::fma(n, -0x1.7f7d1cp-20f, r);
  float p = 0x1.a0d2cep-13f;
  for (const float c : {0x1.6e879cp-10f, 0x1.111210p-7f, 0x1.555382p-5f, 0x1.555554p-3f, 0x1.000000p-1f})
    p = std::fma(p, r, c);
  const float y = std::fma(p, r * r, r) + 1.0f;
  // y lies in [0.70, 1.42] and n in [-126, 127], so the exponent neither underflows nor reaches infinity's.
  return std::bit_cast<float>(std::bit_cast<uint32_t>(y) + (static_cast<uint32_t>(static_cast<int32_t>(n)) << 23));
}

float activate(Activation activation, std::span<const float> params, float x) {
  assert(params.size() >= activation_param_count(activation) && "the op's infer function checks the parameters");
  switch (activation) {
    case Activation::none: return x;
    case Activation::relu: return std::max(x, 0.0f);
    case Activation::clip: return std::min(std::max(x, params[0]), params[1]);
    case Activation::leaky_relu: return x < 0.0f ? x * params[0] : x;
    case Activation::sigmoid: return 1.0f / (1.0f + exp_f32(-x));
    case Activation::hard_sigmoid: return hard_sigmoid(x, params[0], params[1]);
    case Activation::hard_swish: return x * hard_sigmoid(x, 1.0f / 6.0f, 0.5f);
    case Activation::silu: return x / (1.0f + exp_f32(-x));
    case Activation::tanh: return 1.0f - 2.0f / (exp_f32(x + x) + 1.0f);
  }
  return x;
}

}  // namespace octet
