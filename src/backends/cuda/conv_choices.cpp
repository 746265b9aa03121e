#include "backends/cuda/conv_choices.h"

#include <cuda_fp16.h>

#include <cmath>
#include <sstream>

#include "backends/cuda/cluster.h"
#include "backends/cuda/conv_layer.h"
#include "backends/cuda/cublas.h"
#include "backends/cuda/cudnn.h"
#include "backends/cuda/fused_steps.h"
#include "backends/cuda/tile_limits.h"
#include "backends/cuda/tma.h"

namespace octet::cuda {
namespace {

constexpr size_t k_room = 16;  // bytes behind uploaded arrays

/// m pixels of y by n channels, k bytes: what the estimate knows of a layer.
double estimate_us(const ConvTile& tile, const ConvParams& p, int split, const Device& device, double rate) {
  const double tiles = static_cast<double>((p.m + tile.bm - 1) / tile.bm) * ((p.oc + tile.bn - 1) / tile.bn) * split;
  const double threads = tile.group_threads * tile.groups;
  const double k = std::ceil(static_cast<double>(p.k_used) / tile.k_bytes) * tile.k_bytes / split;
  const double shared = static_cast<double>(tile.bm + tile.bn) * tile.k_bytes * tile.groups *
                        (tile.groups > 1 ? tile.stages : std::min<double>(tile.stages, k / tile.k_bytes));
  const double resident = std::max(1.0, std::min(227e3 / shared, 65536 / (threads * 170)));
  const double macs_us = tile.bm * tile.bn * k / rate, bytes_us = (tile.bm + tile.bn) * k / 60e3;
  const double waves = std::ceil(tiles / device.sms) / 1.0;
  const double latency = 0.8 + 0.35 * std::ceil(k / tile.k_bytes / tile.groups) / std::min(resident, waves);
  return 1.0 + (split > 1 ? 1.0 : 0.0) + waves * std::max(macs_us, bytes_us) + latency;
}

/// A kernel as a choice: its name, and how it is enqueued with the addresses filled in.
struct Kernel {
  std::string name;
  double cost_us = 0;
  bool is_small = false;  // about one wave of CTAs: when the next kernel starts makes a difference
  const void* w = nullptr;
  std::function<cudaError_t(const ConvParams&, const Launch&)> enqueue;
  Room room = {};
};

/// Adds a choice for each trigger that is worth it and wanted.
void add_choice(const DenseConv& conv, const Kernel& kernel, const StepBuilder& builder, PreparedStep& step) {
  for (const NamedTrigger& t : k_triggers) {
    if (t.trigger != Trigger::landed && !kernel.is_small) break;
    if (!builder.wants(kernel.name + t.suffix)) continue;
    ConvParams filled = conv.params;
    filled.trigger = t.trigger, filled.w = kernel.w;
    step.choices.push_back({kernel.name + t.suffix,
                            kernel.cost_us,
                            [filled, enqueue = kernel.enqueue, x = conv.x.place, r = conv.residual.place,
                             y = conv.y.place](const Launch& run) {
                              ConvParams p = filled;
                              p.x = run.at(x), p.residual = run.at(r), p.y = run.at(y);
                              return enqueue(p, run);
                            },
                            {kernel.w},
                            kernel.room});
  }
}

int64_t tiles_of(const ConvTile& tile, const ConvParams& p) {
  return int64_t{(p.m + tile.bm - 1) / tile.bm} * ((p.oc + tile.bn - 1) / tile.bn);
}

std::string key_of(ConvType type, const ConvParams& p) {
  std::ostringstream key;
  for (const int v : {static_cast<int>(type),
                      p.m,
                      p.oc,
                      p.k_bytes,
                      p.ih,
                      p.iw,
                      p.oh,
                      p.ow,
                      p.kh,
                      p.kw,
                      p.stride_h,
                      p.stride_w,
                      p.pad_top,
                      p.pad_left,
                      p.dilation_h,
                      p.dilation_w,
                      p.x_pitch,
                      p.y_pitch,
                      p.r_pitch,
                      int{p.fill != 0},
                      int{p.epilogue.on_values},
                      static_cast<int>(p.epilogue.to),
                      static_cast<int>(p.epilogue.act),
                      int{p.epilogue.has_residual}})
    key << v << ' ';
  return key.str();
}

/// Multiply-accumulates per microsecond of one SM.
double rate_of(ConvType type) {
  switch (type) {
    case ConvType::u8s8: return 3.2e6;
    case ConvType::f16: return 3.2e6;  // in bytes of K: half the rate, twice the bytes
    case ConvType::tf32: return 1.6e6;
    case ConvType::f32: return 0.4e6;
  }
  return 1e6;
}

/// Persistent kernels: waves of tiles, each as long as its products or its bytes take.
double estimate_persistent_us(const ConvTile& tile, const ConvParams& p, int element, const Device& device) {
  const double tiles = std::ceil(static_cast<double>(p.m) / tile.bm) * ((p.oc + tile.bn - 1) / tile.bn);
  const double k = std::ceil(static_cast<double>(p.k_used) / tile.k_bytes) * tile.k_bytes;
  const double bytes = (tile.bm + tile.bn) * k + (p.epilogue.has_residual ? tile.bm * tile.bn * element : 0);
  return 3 + std::ceil(tiles / device.sms) * (std::max(tile.bm * tile.bn * k / 5e6, bytes / 60e3) + 0.5);
}

std::vector<std::string> tile_names_of(ConvType type) {
  std::vector<std::string> names;
  for (int i = 0; i < conv_tile_count(type); ++i) {
    names.emplace_back(conv_tile(type, i).name);
    for (const char* split : {" split 2", " split 4", " split 8"})
      if (type == ConvType::u8s8) names.push_back(conv_tile(type, i).name + std::string(split));
  }
  for (int i = 0; i < tma_tile_count(type); ++i) names.emplace_back(tma_tile(type, i).name);
  return names;
}

/// Every name with every trigger.
std::vector<std::string> with_triggers(const std::vector<std::string>& names) {
  std::vector<std::string> made;
  for (const std::string& name : names)
    for (const NamedTrigger& t : k_triggers) made.push_back(name + t.suffix);
  return made;
}

}  // namespace

ConvParams conv_params(const WindowParams& window, const PackedWeights& packed, const Layout& x, const Layout& y) {
  ConvParams p;
  p.ih = window.ih, p.iw = window.iw, p.oh = window.oh, p.ow = window.ow, p.kh = window.kh, p.kw = window.kw;
  p.stride_h = window.stride_h, p.stride_w = window.stride_w;
  p.pad_top = window.pad_top, p.pad_left = window.pad_left;
  p.dilation_h = window.dilation_h, p.dilation_w = window.dilation_w;
  p.m = window.batch * window.oh * window.ow;
  p.x_pitch = static_cast<int>(static_cast<size_t>(window.x_pitch) * x.element_bytes);
  p.y_pitch = window.y_pitch, p.r_pitch = window.r_pitch;
  p.oc = window.y_pitch;  // padding channels are written too
  p.w_rows = packed.rows, p.k_bytes = packed.row_bytes, p.taps = packed.taps;
  p.k_used = packed.taps * packed.tap_chunks * 16;
  p.pointwise = p.kh == 1 && p.kw == 1 && p.stride_h == 1 && p.stride_w == 1 && p.oh == p.ih && p.ow == p.iw;
  p.wide_store = static_cast<size_t>(p.y_pitch) * y.element_bytes % 16 == 0;
  p.by_plane = fast_div(int64_t{p.oh} * p.ow), p.by_ow = fast_div(p.ow);
  p.by_chunks = fast_div(packed.tap_chunks), p.by_kw = fast_div(p.kw);
  return p;
}

Result<const void*> DenseConv::upload_rows(StepBuilder& builder) {
  if (rows) return rows;
  std::vector<std::byte> bytes = packed.bytes;
  bytes.resize(bytes.size() + k_room);
  Result<const void*> made = builder.upload(bytes);
  if (made) rows = *made;
  return made;
}

Result<PreparedStep> conv_choices(DenseConv& conv, StepBuilder& builder) {
  const Device& device = builder.device();
  const ConvParams& params = conv.params;
  PreparedStep step;
  step.packed_bytes = conv.packed.bytes.size();
  step.key = key_of(conv.type, params);
  for (int i = 0; i < conv_tile_count(conv.type); ++i) {
    const ConvTile& tile = conv_tile(conv.type, i);
    if (tile.small_c != conv.small_c || conv_tile_bytes(conv.type, i) > device.shared_bytes) continue;
    const int64_t tiles = tiles_of(tile, params);
    for (const int split : {1, 2, 4, 8}) {
      const bool worth = conv.type == ConvType::u8s8 && tiles * split <= 2 * device.sms &&
                         params.k_used / tile.k_bytes >= split * tile.groups;
      if (split > 1 && !worth) break;
      std::string name = tile.name;
      if (split > 1) name += " split " + std::to_string(split);
      if (!builder.wants_tile(name)) continue;
      const Result<const void*> w = conv.upload_rows(builder);
      if (!w) return w.error();
      const auto enqueue = [i, split, type = conv.type](ConvParams p, const Launch& run) {
        p.partial = run.partial, p.arrived = run.arrived;
        return launch_conv(type, i, p, split, run.stream);
      };
      Room room;
      if (split > 1)
        room.partial_sums = static_cast<size_t>(tiles * tile.bm * tile.bn), room.tiles = static_cast<size_t>(tiles);
      add_choice(conv,
                 {name, estimate_us(tile, params, split, device, rate_of(conv.type)), tiles * split <= 2 * device.sms,
                  *w, enqueue, room},
                 builder, step);
    }
  }
  return step;
}

Result<Done> add_hopper_choices(const DenseConv& conv, StepBuilder& builder, PreparedStep& step) {
  const Device& device = builder.device();
  if (device.major != 9) return Done{};
  const void* blocks[2] = {};  // of 64 and 128 bytes, uploaded when first needed
  for (int i = 0; i < tma_tile_count(conv.type); ++i) {
    const ConvTile& tile = tma_tile(conv.type, i);
    if (!tma_takes(conv.type, tile, conv.params) || !builder.wants_tile(tile.name)) continue;
    const void*& w = blocks[tile.k_bytes / 128];
    if (!w) {
      Result<const void*> made = builder.upload(pack_blocks(conv.packed, tile.k_bytes));
      if (!made) return made.error();
      w = *made;
    }
    const auto enqueue = [i, type = conv.type, sms = device.sms](const ConvParams& p, const Launch& run) {
      return launch_tma(type, i, p, sms, run.stream);
    };
    const int element = conv.type == ConvType::u8s8 ? 1 : 2;
    add_choice(conv,
               {tile.name, estimate_persistent_us(tile, conv.params, element, device),
                tiles_of(tile, conv.params) <= 2 * device.sms, w, enqueue},
               builder, step);
  }
  return Done{};
}

Result<Done> add_cluster_choices(DenseConv& conv, StepBuilder& builder, PreparedStep& step) {
  const Device& device = builder.device();
  const ConvParams& params = conv.params;
  for (int i = 0; i < cluster_tile_count() && device.has_clusters(); ++i) {
    const ConvTile& tile = cluster_tile(i);
    const int64_t tiles = tiles_of(tile, params);
    for (const int split : {1, 2, 4, 8}) {
      if (split > 1 && (tiles * split > 2 * device.sms || params.k_used / tile.k_bytes < split * tile.groups)) break;
      const std::string name = std::string(tile.name) + " " + std::to_string(split);
      if (!builder.wants_tile(name)) continue;
      const Result<const void*> w = conv.upload_rows(builder);
      if (!w) return w.error();
      const auto enqueue = [i, split](const ConvParams& p, const Launch& run) {
        return launch_cluster(i, p, split, run.stream);
      };
      add_choice(conv,
                 {name, estimate_us(tile, params, split, device, rate_of(conv.type)), tiles * split <= 2 * device.sms,
                  *w, enqueue},
                 builder, step);
    }
  }
  return Done{};
}

Result<const void*> upload_stored_bias(ConvType type, const std::vector<float>& bias, size_t n, StepBuilder& builder) {
  std::vector<float> values(n, 0.0f);
  std::copy(bias.begin(), bias.end(), values.begin());
  if (type != ConvType::f16) return builder.upload(values);
  std::vector<__half> halves;
  for (const float v : values) halves.emplace_back(v);
  return builder.upload(halves.data(), halves.size() * sizeof(__half));
}

std::string refuse_tile(const std::string& choice, bool codes, size_t limit) {
  const std::vector<ConvType> types =
      codes ? std::vector{ConvType::u8s8} : std::vector{ConvType::f16, ConvType::f32, ConvType::tf32};
  size_t least = 0;  // of the types that have the tile
  for (const ConvType type : types) {
    for (int i = 0; i < conv_tile_count(type); ++i) {
      const std::string tile = conv_tile(type, i).name;
      const std::string rest = choice.starts_with(tile) ? choice.substr(tile.size()) : "no";
      const bool is_it = rest.empty() || rest.starts_with(" split ") || rest == " early" || rest == " at once";
      if (is_it && (least == 0 || conv_tile_bytes(type, i) < least)) least = conv_tile_bytes(type, i);
    }
  }
  if (least <= limit) return "";
  return "the tile needs " + std::to_string(least) + " bytes of shared memory, the GPU gives a CTA " +
         std::to_string(limit);
}

std::vector<std::string> code_choices() {
  std::vector<std::string> names = tile_names_of(ConvType::u8s8);
  for (int i = 0; i < cluster_tile_count(); ++i)
    for (const char* split : {" 1", " 2", " 4", " 8"}) names.push_back(cluster_tile(i).name + std::string(split));
  for (std::string& name : joined_names()) names.push_back(std::move(name));
  for (std::string& name : chain_names()) names.push_back(std::move(name));
  names = with_triggers(names);
  for (std::string& name : stem_names()) names.push_back(std::move(name));
  names.emplace_back("gemv");
  return names;
}

std::vector<std::string> float_choices() {
  std::vector<std::string> names;
  for (const ConvType type : {ConvType::f16, ConvType::f32, ConvType::tf32})
    for (std::string& name : tile_names_of(type))
      if (std::count(names.begin(), names.end(), name) == 0) names.push_back(std::move(name));
  names = with_triggers(names);
  for (std::string& name : cublas_names()) names.push_back(std::move(name));
  names.emplace_back(k_cudnn_choice);
  for (std::string& name : half_stem_names()) names.push_back(std::move(name));
  return names;
}

}  // namespace octet::cuda
