#include "kernels/strips_f32/strips_f32.h"

#include <algorithm>

#include "kernels/depthwise/depthwise_f32.h"
#include "kernels/depthwise/door.h"

namespace octet {
namespace {

/// What lies between the layers takes about so much of L2 (1 to 2 MB), beside weights, input and output.
constexpr int64_t k_strip_bytes = 256 << 10;
/// Rows of the depthwise layer that a chunk should have: it makes some rows in front of it that the chunk before has
/// made, too.
constexpr int64_t k_chunk_rows = 16;

int64_t round_up(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// Rows of the ring that serve `rows` output rows.
int64_t ring_rows(const WindowGeometry& g, int64_t rows) {
  return std::min(g.ih, (rows - 1) * g.stride_h + (g.kh - 1) * g.dilation_h + 1);
}

int64_t between_bytes(const WindowGeometry& g, int64_t rows, bool has_expand, bool has_project) {
  const int64_t ring = has_expand ? ring_rows(g, rows) * g.iw * g.x_pitch : 0;
  const int64_t filtered = has_project ? rows * g.ow * g.y_pitch : 0;
  return round_up(4 * ring + static_cast<int64_t>(k_tail_bytes)) +
         round_up(4 * filtered + static_cast<int64_t>(k_tail_bytes));
}

int64_t strip_rows(const WindowGeometry& g, bool has_expand, bool has_project) {
  int64_t rows = 1;
  while (rows < g.oh && between_bytes(g, rows + 1, has_expand, has_project) <= k_strip_bytes) ++rows;
  const int64_t strips = (g.oh + rows - 1) / rows;
  return (g.oh + strips - 1) / strips;
}

class StripsF32 final : public ConvF32 {
 public:
  StripsF32(const StripsF32Desc& desc, std::unique_ptr<const DenseConvF32> expand,
            std::unique_ptr<const DenseConvF32> project, Isa isa)
      : expand_(std::move(expand)),
        depthwise_(*desc.depthwise, isa),
        project_(std::move(project)),
        x_image_(image_elements(desc.expand ? desc.expand->geometry : desc.depthwise->geometry)),
        y_pitch_(desc.project ? desc.project->geometry.y_pitch : desc.depthwise->geometry.y_pitch),
        residual_pitch_(desc.project && desc.project->has_residual ? desc.project->geometry.residual_pitch : 0),
        rows_(strip_rows(desc.depthwise->geometry, desc.expand, desc.project)),
        ring_rows_(expand_ ? ring_rows(desc.depthwise->geometry, rows_) : desc.depthwise->geometry.ih) {}

  const char* kernel_name() const override { return depthwise_.kernel_name(); }
  size_t packed_bytes() const override {
    return depthwise_.packed_bytes() + (expand_ ? expand_->packed_bytes() : 0) +
           (project_ ? project_->packed_bytes() : 0);
  }
  PackedConvWeights packed() const override { return project_ ? project_->packed() : PackedConvWeights(); }

  int64_t chunks(int64_t batch, int threads) const override {
    if (threads <= 1) return 1;
    const int64_t rows = batch * depthwise_.geometry().oh;
    return std::min(rows, threads * std::clamp<int64_t>(rows / (k_chunk_rows * threads), 1, 4));
  }

  size_t scratch_bytes() const override {
    const int64_t between = between_bytes(depthwise_.geometry(), rows_, expand_ != nullptr, project_ != nullptr);
    return static_cast<size_t>(between) +
           std::max(expand_ ? expand_->scratch_bytes() : 0, project_ ? project_->scratch_bytes() : 0);
  }

  void run_chunk(const ConvF32Args& args, int64_t chunk, int threads, std::byte* scratch) const override {
    const int64_t oh = depthwise_.geometry().oh, rows = args.batch * oh, count = chunks(args.batch, threads);
    const int64_t last = rows * (chunk + 1) / count;
    for (int64_t row = rows * chunk / count; row < last;) {
      const int64_t image = row / oh, end = std::min(last, (image + 1) * oh);
      run_image(args, image, {row % oh, end - image * oh}, scratch);
      row = end;
    }
  }

 private:
  static int64_t image_elements(const WindowGeometry& g) { return g.ih * g.iw * g.x_pitch; }

  /// Output rows of one image, strip by strip. The ring goes on from strip to strip.
  void run_image(const ConvF32Args& args, int64_t image, IndexRange rows, std::byte* scratch) const {
    const WindowGeometry& g = depthwise_.geometry();
    float* const ring = reinterpret_cast<float*>(scratch);
    float* const filtered =
        ring + (expand_ ? round_up(4 * ring_rows_ * g.iw * g.x_pitch + static_cast<int64_t>(k_tail_bytes)) / 4 : 0);
    std::byte* const inner = scratch + between_bytes(g, rows_, expand_ != nullptr, project_ != nullptr);
    int64_t made = std::max<int64_t>(rows.begin * g.stride_h - g.pad_top, 0);
    for (int64_t row = rows.begin; row < rows.end;) {
      const int64_t row_end = std::min(rows.end, row + rows_), first = (image * g.oh + row) * g.ow;
      const int64_t wanted = (row_end - 1) * g.stride_h - g.pad_top + (g.kh - 1) * g.dilation_h + 1;
      if (expand_) made = fill_ring(args, image, {made, std::min(wanted, g.ih)}, ring, inner);
      float* const y = args.y + first * y_pitch_;
      depthwise_.run({.x = expand_ ? ring : args.x + image * x_image_,
                      .x_rows = ring_rows_,
                      .residual = nullptr,
                      .y = project_ ? filtered : y},
                     {row, row_end}, {0, g.ic});
      if (project_) {
        const float* const residual = residual_pitch_ ? args.residual + first * residual_pitch_ : nullptr;
        project_->run_pixels({.batch = 1, .x = filtered, .residual = residual, .y = y}, {0, (row_end - row) * g.ow}, y,
                             inner);
      }
      row = row_end;
    }
  }

  /// Makes the rows that the depthwise layer reads; the first one behind them.
  int64_t fill_ring(const ConvF32Args& args, int64_t image, IndexRange rows, float* ring, std::byte* inner) const {
    const WindowGeometry& g = depthwise_.geometry();
    int64_t row = rows.begin;
    while (row < rows.end) {
      const int64_t slot = row % ring_rows_, end = std::min(rows.end, row + ring_rows_ - slot);
      const int64_t first = image * g.ih;
      expand_->run_pixels({.batch = args.batch, .x = args.x}, {(first + row) * g.iw, (first + end) * g.iw},
                          ring + slot * g.iw * g.x_pitch, inner);
      row = end;
    }
    return std::max(rows.begin, rows.end);
  }

  std::unique_ptr<const DenseConvF32> expand_;
  DepthwiseRowsF32 depthwise_;
  std::unique_ptr<const DenseConvF32> project_;
  int64_t x_image_, y_pitch_, residual_pitch_;
  int64_t rows_, ring_rows_;  // of a strip; of the ring, or of the image that the depthwise layer reads
};

bool is_dense_before(const ConvF32Desc& expand, const WindowGeometry& depthwise) {
  const WindowGeometry& g = expand.geometry;
  return g.groups == 1 && !expand.has_residual && g.oc == depthwise.ic && g.oh == depthwise.ih &&
         g.ow == depthwise.iw && g.y_pitch == depthwise.x_pitch;
}

bool is_pixel_by_pixel_behind(const ConvF32Desc& project, const WindowGeometry& depthwise) {
  const WindowGeometry& g = project.geometry;
  return g.groups == 1 && g.kh == 1 && g.kw == 1 && g.stride_h == 1 && g.stride_w == 1 && g.ic == depthwise.oc &&
         g.ih == depthwise.oh && g.iw == depthwise.ow && g.oh == g.ih && g.ow == g.iw && g.pad_top == 0 &&
         g.pad_left == 0 && g.x_pitch == depthwise.y_pitch;
}

}  // namespace

int64_t strips_f32_bytes(const WindowGeometry& depthwise, bool has_expand, bool has_project) {
  return between_bytes(depthwise, strip_rows(depthwise, has_expand, has_project), has_expand, has_project);
}

std::unique_ptr<const ConvF32> make_strips_f32(const StripsF32Desc& desc, Isa isa) {
  const WindowGeometry& g = desc.depthwise->geometry;
  if (!is_depthwise(g) || desc.depthwise->has_residual || (!desc.expand && !desc.project)) return nullptr;
  if (desc.expand && !is_dense_before(*desc.expand, g)) return nullptr;
  if (desc.project && !is_pixel_by_pixel_behind(*desc.project, g)) return nullptr;
  std::unique_ptr<const DenseConvF32> expand, project;
  if (desc.expand) expand = ConvF32::make(*desc.expand, isa, desc.expand_variant);
  if (desc.project) project = ConvF32::make(*desc.project, isa, desc.project_variant);
  if ((desc.expand && !expand) || (desc.project && !project)) return nullptr;
  return std::make_unique<StripsF32>(desc, std::move(expand), std::move(project), isa);
}

}  // namespace octet
