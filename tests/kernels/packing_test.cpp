// Packed weights that leave a layer and come back: another layer uses them in place, plan files keep them.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/aligned.h"
#include "base/hash.h"
#include "kernels/conv_cases.h"
#include "kernels/conv_f32/conv_f32.h"
#include "kernels/conv_f32/packing.h"
#include "kernels/conv_u8s8/conv_u8s8.h"
#include "kernels/conv_u8s8/packing.h"
#include "kernels/phase_cases.h"

namespace octet {
namespace {

/// An integer layer's numbers.
struct Codes {
  explicit Codes(const ConvCase& shape) {
    std::mt19937 random(7);
    const auto between = [&](int lo, int hi) {
      return lo + static_cast<int>(random() % static_cast<unsigned>(hi - lo));
    };
    desc.geometry = shape.geometry();
    for (int64_t i = 0; i < shape.weight_count(); ++i) weights.push_back(static_cast<int8_t>(between(-127, 128)));
    for (int64_t i = 0; i < shape.oc; ++i) bias.push_back(between(-20000, 20000)), multiplier.push_back(0.001f);
    desc.weights = weights, desc.bias = bias, desc.multiplier = multiplier;
    desc.x_zero_point = 97;
  }
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;
  std::vector<float> multiplier;
  ConvU8S8Desc desc;
};

template <class Y, class Layer, class Args>
std::vector<Y> answers(const Layer& layer, const WindowGeometry& g, Args args) {
  std::vector<Y> y(buffer_elements<Y>(1, g.oh, g.ow, g.y_pitch));
  args.y = y.data();
  const AlignedBytes scratch = allocate_aligned(layer.scratch_bytes());
  for (int64_t chunk = layer.chunks(1, 1); chunk > 0; --chunk) layer.run_chunk(args, chunk - 1, 1, scratch.get());
  return y;
}

AlignedBytes copy_of(std::span<const std::byte> bytes) {
  AlignedBytes copy = allocate_aligned(bytes.size());
  std::copy(bytes.begin(), bytes.end(), copy.get());
  return copy;
}

/// Panels are cut where taps change.
const ConvCase k_phases = square(5, 32, 64, 2, 1, 1);

TEST(PackedWeights, serve_another_integer_layer_in_place) {
  for (const ConvCase& shape :
       {square(5, 100, 130, 3, 1, 1), square(7, 3, 16, 3, 2, 1), square(4, 12, 24, 1, 1, 0, 1, 3), k_phases}) {
    Codes codes(shape);
    if (shape.oc == k_phases.oc) clear_taps(codes.weights, shape, false, false);
    const WindowGeometry g = codes.desc.geometry;
    const std::vector<uint8_t> x(buffer_elements<uint8_t>(1, g.ih, g.iw, g.x_pitch), 200);
    const std::vector<uint8_t> expected =
        answers<uint8_t>(*ConvU8S8::make(codes.desc, Isa::scalar), g, ConvU8S8Args{.x = x.data()});
    for (const ConvVariant& variant : conv_u8s8_variants(codes.desc, 1, available_isas().back(), 1)) {
      if (!variant.refused.empty() || variant.name == "scalar") continue;
      const auto first = ConvU8S8::make(codes.desc, available_isas().back(), variant.name);
      const AlignedBytes kept = copy_of(first->packed().bytes);
      Codes without = codes;  // what is not read cannot matter
      const std::vector<int8_t> zeros(codes.weights.size());
      without.desc.weights = zeros;
      without.desc.packed = {first->packed().form, {kept.get(), first->packed().bytes.size()}};
      const auto second = ConvU8S8::make(without.desc, available_isas().back(), variant.name);
      EXPECT_EQ(second->packed().bytes.data(), kept.get()) << variant.name << ": used in place";
      EXPECT_EQ(answers<uint8_t>(*second, g, ConvU8S8Args{.x = x.data()}), expected) << variant.name << ", " << shape;
    }
  }
}

TEST(PackedWeights, of_another_form_size_or_alignment_are_packed_anew) {
  const Codes codes(square(5, 20, 40, 3, 1, 1));
  const Isa isa = available_isas().back();
  const auto first = ConvU8S8::make(codes.desc, isa);
  if (first->packed().bytes.empty()) GTEST_SKIP() << "not applicable: the scalar layer keeps nothing";
  const size_t size = first->packed().bytes.size();
  const AlignedBytes kept = allocate_aligned(size + 64);
  std::copy_n(first->packed().bytes.begin(), size, kept.get() + 1);
  const std::vector<PackedConvWeights> wrong = {{first->packed().form + "0", {kept.get(), size}},
                                                {first->packed().form, {kept.get(), size - 1}},
                                                {first->packed().form, {kept.get() + 1, size}},
                                                {first->packed().form, {}}};
  for (const PackedConvWeights& given : wrong) {
    ConvU8S8Desc desc = codes.desc;
    desc.packed = given;
    const auto second = ConvU8S8::make(desc, isa);
    ASSERT_EQ(second->packed().bytes.size(), size);
    EXPECT_TRUE(std::equal(first->packed().bytes.begin(), first->packed().bytes.end(), second->packed().bytes.begin()));
  }
}

TEST(PackedWeights, serve_another_float_layer_in_place) {
  for (const ConvCase& shape : {square(5, 20, 70, 3, 1, 1), k_phases}) {
    const WindowGeometry g = shape.geometry();
    std::vector<float> weights(static_cast<size_t>(shape.weight_count())), bias(static_cast<size_t>(shape.oc));
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i));
    for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i);
    if (shape.oc == k_phases.oc) clear_taps(weights, shape, false, false);
    const std::vector<float> zeros(weights.size()), x(buffer_elements<float>(1, g.ih, g.iw, g.x_pitch), 0.5f);
    ConvF32Desc desc;
    desc.geometry = g;
    desc.weights = weights, desc.bias = bias;
    for (const ConvVariant& variant : conv_f32_variants(g, 1, available_isas().back(), 1)) {
      if (!variant.refused.empty() || variant.name == "scalar") continue;
      const auto first = ConvF32::make(desc, available_isas().back(), variant.name);
      const AlignedBytes kept = copy_of(first->packed().bytes);
      ConvF32Desc without = desc;
      without.weights = zeros, without.bias = {};
      without.packed = {first->packed().form, {kept.get(), first->packed().bytes.size()}};
      const auto second = ConvF32::make(without, available_isas().back(), variant.name);
      EXPECT_EQ(second->packed().bytes.data(), kept.get()) << variant.name;
      EXPECT_EQ(answers<float>(*second, g, ConvF32Args{.x = x.data()}),
                answers<float>(*first, g, ConvF32Args{.x = x.data()}));
    }
  }
}

TEST(PackedWeights, tell_the_taps_of_their_panels_or_are_packed_anew) {
  const Isa isa = available_isas().back();
  Codes codes(k_phases);
  clear_taps(codes.weights, k_phases, false, false);
  codes.desc.weights = codes.weights;
  const auto first = ConvU8S8::make(codes.desc, isa);
  const std::string form = first->packed().form;
  const size_t size = first->packed().bytes.size(), taps = form.find(", taps ");
  if (taps == form.npos) GTEST_SKIP() << "not applicable: the form of " << form << " knows no taps";
  const WindowGeometry g = codes.desc.geometry;
  const std::vector<uint8_t> x(buffer_elements<uint8_t>(1, g.ih, g.iw, g.x_pitch), 200);
  const std::vector<uint8_t> expected = answers<uint8_t>(*first, g, ConvU8S8Args{.x = x.data()});
  const AlignedBytes kept = copy_of(first->packed().bytes);
  const std::string begin = form.substr(0, taps);
  for (const std::string end :
       {", taps ", ", taps 16", ", taps 16:", ", taps 16:15", ", taps -16:15 80:15", ", taps 8:15 56:15",
        ", taps 0:15 64:15", ", taps 16:15 9223372036854775807:15", ", taps 64:15 ", ", taps 64:x"}) {
    ConvU8S8Desc desc = codes.desc;
    desc.packed = {begin + end, {kept.get(), size}};
    const auto second = ConvU8S8::make(desc, isa);
    EXPECT_NE(second->packed().bytes.data(), kept.get()) << end;
    EXPECT_EQ(answers<uint8_t>(*second, g, ConvU8S8Args{.x = x.data()}), expected) << end;
  }
}

/// Another version's packing does not tell what this one leaves out, however well it reads.
TEST(PackedWeights, of_another_version_do_not_tell_taps) {
  const Isa isa = available_isas().back();
  Codes codes(square(5, 20, 64, 3, 1, 1));
  const auto first = ConvU8S8::make(codes.desc, isa);
  std::string form = first->packed().form;
  const size_t version = form.rfind(", packing ");
  if (version == form.npos) GTEST_SKIP() << "not applicable: the scalar layer keeps nothing";
  const WindowGeometry g = codes.desc.geometry;
  const std::vector<uint8_t> x(buffer_elements<uint8_t>(1, g.ih, g.iw, g.x_pitch), 200);
  const std::vector<uint8_t> expected = answers<uint8_t>(*first, g, ConvU8S8Args{.x = x.data()});
  const AlignedBytes kept = copy_of(first->packed().bytes);
  ConvU8S8Desc desc = codes.desc;
  desc.packed = {form.substr(0, version) + ", packing 0, taps 64:1", {kept.get(), first->packed().bytes.size()}};
  EXPECT_EQ(answers<uint8_t>(*ConvU8S8::make(desc, isa), g, ConvU8S8Args{.x = x.data()}), expected);
}

/// Plan files keep these bytes: one that was packed otherwise must carry another version. That the bytes are right is
/// for the layers' own tests to say.
TEST(PackedWeights, change_only_with_their_version) {
  struct Form {
    const char* name;
    int rows, lanes, vectors;
    bool wide, tiles;
  };
  const Form forms[] = {{"zmm", 6, 16, 4, false, false},
                        {"ymm", 6, 8, 2, false, false},
                        {"wide", 6, 8, 2, true, false},
                        {"tiles", 16, 16, 2, false, true}};
  std::string all;
  for (const Form& f : forms) {
    const ConvU8S8Kernel kernel = {nullptr, f.rows, f.lanes, f.vectors, f.wide, 1, f.name, f.tiles};
    for (const ConvCase& shape :
         {square(5, 100, 130, 3, 1, 1), square(7, 3, 16, 3, 2, 1), square(4, 12, 24, 1, 1, 0, 1, 3)}) {
      const Codes codes(shape);
      WindowGeometry g = codes.desc.geometry;
      const int64_t merge = merged_groups(g, f.lanes);
      g.groups /= merge;
      const PackedConvU8S8 packed = pack_conv_u8s8(codes.desc, merge, TapTable(g, 1, f.rows), kernel, f.wide);
      all += packed.kept.form + " " + to_hex(hash_bytes(packed.kept.bytes)) + "\n";
    }
  }
  const ConvF32Kernel kernel = {.run = nullptr, .rows = 6, .lanes = 16, .vectors = 4, .dot_cycles = 1, .name = "zmm"};
  const ConvCase shape = square(5, 20, 70, 3, 1, 1);
  std::vector<float> weights(static_cast<size_t>(shape.weight_count()));
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i);
  ConvF32Desc desc;
  desc.geometry = shape.geometry(), desc.weights = weights;
  const ListedTiles tiles(desc.geometry, {Isa::avx512_vnni, kernel.rows, kernel.lanes, kernel.vectors, 1, kernel.name});
  const ListedWeights packed = pack_conv_f32(desc, tiles, kernel);
  all += packed.kept.form + " " + to_hex(hash_bytes(packed.kept.bytes)) + "\n";
  EXPECT_EQ(to_hex(hash_bytes(std::as_bytes(std::span(all.data(), all.size())))), "a70ffd40c128a395")
      << "packed weights changed: raise k_conv_u8s8_packing or k_conv_f32_packing, then put the new value here\n"
      << all;
}

}  // namespace
}  // namespace octet
