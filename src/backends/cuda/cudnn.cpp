#include "backends/cuda/cudnn.h"

#include <map>
#include <mutex>

#include "backends/cuda/cublas.h"
#include "backends/cuda/libraries.h"

namespace octet::cuda {
namespace {

// The part of the library's C interface (version 9) that is used, so that building needs no header of it.
using Handle = void*;
using Object = void*;                               // cudnnTensorDescriptor_t and the other descriptors
constexpr int k_float = 0, k_half = 2;              // cudnnDataType_t
constexpr int k_nhwc = 1, k_cross_correlation = 1;  // cudnnTensorFormat_t, cudnnConvolutionMode_t
constexpr int k_default_math = 0, k_tensor_math = 1, k_fma_math = 3;  // cudnnMathType_t
constexpr int k_precomputed = 1;                                      // cudnnConvolutionFwdAlgo_t
constexpr int k_relu = 1, k_identity = 5, k_propagate_nan = 1;        // cudnnActivationMode_t, cudnnNanPropagation_t

struct Library {
  std::string missing;
  int (*create)(Handle*) = nullptr;
  int (*set_stream)(Handle, cudaStream_t) = nullptr;
  int (*make_tensor)(Object*) = nullptr;
  int (*set_tensor)(Object, int format, int type, int n, int c, int h, int w) = nullptr;
  int (*free_tensor)(Object) = nullptr;
  int (*make_filter)(Object*) = nullptr;
  int (*set_filter)(Object, int type, int format, int k, int c, int h, int w) = nullptr;
  int (*free_filter)(Object) = nullptr;
  int (*make_conv)(Object*) = nullptr;
  int (*set_conv)(Object, int pad_h, int pad_w, int stride_h, int stride_w, int dilation_h, int dilation_w, int mode,
                  int compute) = nullptr;
  int (*set_math)(Object, int) = nullptr;
  int (*free_conv)(Object) = nullptr;
  int (*make_activation)(Object*) = nullptr;
  int (*set_activation)(Object, int mode, int nan, double) = nullptr;
  int (*free_activation)(Object) = nullptr;
  int (*workspace)(Handle, Object x, Object w, Object conv, Object y, int algorithm, size_t* bytes) = nullptr;
  int (*run)(Handle, const void* alpha, Object, const void* x, Object, const void* w, Object conv, int algorithm,
             void* workspace, size_t bytes, const void* beta, Object, const void* residual, Object, const void* bias,
             Object activation, Object, void* y) = nullptr;
};

/// The functions of a library that is open; missing: one is not there.
Library functions_of(void* library) {
  Library made;
  const bool complete = find_function(library, "cudnnCreate", made.create) &&
                        find_function(library, "cudnnSetStream", made.set_stream) &&
                        find_function(library, "cudnnCreateTensorDescriptor", made.make_tensor) &&
                        find_function(library, "cudnnSetTensor4dDescriptor", made.set_tensor) &&
                        find_function(library, "cudnnDestroyTensorDescriptor", made.free_tensor) &&
                        find_function(library, "cudnnCreateFilterDescriptor", made.make_filter) &&
                        find_function(library, "cudnnSetFilter4dDescriptor", made.set_filter) &&
                        find_function(library, "cudnnDestroyFilterDescriptor", made.free_filter) &&
                        find_function(library, "cudnnCreateConvolutionDescriptor", made.make_conv) &&
                        find_function(library, "cudnnSetConvolution2dDescriptor", made.set_conv) &&
                        find_function(library, "cudnnSetConvolutionMathType", made.set_math) &&
                        find_function(library, "cudnnDestroyConvolutionDescriptor", made.free_conv) &&
                        find_function(library, "cudnnCreateActivationDescriptor", made.make_activation) &&
                        find_function(library, "cudnnSetActivationDescriptor", made.set_activation) &&
                        find_function(library, "cudnnDestroyActivationDescriptor", made.free_activation) &&
                        find_function(library, "cudnnGetConvolutionForwardWorkspaceSize", made.workspace) &&
                        find_function(library, "cudnnConvolutionBiasActivationForward", made.run);
  if (!complete) made.missing = "the cuDNN that was found cannot be used: a function is missing";
  return made;
}

/// The first that is whole.
Library open_library(const std::vector<std::string>& places) {
  Library made;
  made.missing =
      "cuDNN was not found (libcudnn.so.9 on the loader's path, in a Python environment or in /usr/local/cuda)";
  for (const std::string& place : places) {
    void* const library = open_first({place});
    if (!library) continue;
    made = functions_of(library);
    if (made.missing.empty()) break;
  }
  return made;
}

const Library& library() {
  static const Library opened = [] {
    // The library looks for these two by name when it first computes; opened here, they are found.
    cublas_missing();
    open_first(library_places({"libnvrtc.so.13", "libnvrtc.so.12"}));
    return open_library(library_places({"libcudnn.so.9"}));
  }();
  return opened;
}

/// The library's handle of the current device: one stream at a time may have it.
struct Seat {
  std::mutex mutex;
  Handle handle = nullptr;  // null: the library gives none
};
Seat& seat_here() {
  static std::mutex mutex;
  static std::map<int, Seat> seats;
  int device = -1;  // stays where the runtime does not tell, and has no handle
  const bool known = cudaGetDevice(&device) == cudaSuccess;
  const std::lock_guard lock(mutex);
  const auto [at, is_new] = seats.try_emplace(device);
  if (is_new && known && library().create(&at->second.handle) != 0) at->second.handle = nullptr;
  return at->second;
}

/// y = act(conv(x, w) + bias + residual) as the library sees it.
class Convolution {
 public:
  /// False: the library refuses it.
  bool make(ConvType type, const ConvParams& p) {
    const Library& lib = library();
    seat_ = &seat_here();
    if (!seat_->handle) return false;
    const int element = type == ConvType::f16 ? k_half : k_float, bytes = type == ConvType::f16 ? 2 : 4;
    const int c = p.x_pitch / bytes, n = p.m / (p.oh * p.ow);
    const int math = type == ConvType::f16 ? k_tensor_math : type == ConvType::f32 ? k_fma_math : k_default_math;
    has_residual_ = p.epilogue.has_residual;
    const bool made =
        lib.make_tensor(&x_) == 0 && lib.set_tensor(x_, k_nhwc, element, n, c, p.ih, p.iw) == 0 &&
        lib.make_tensor(&y_) == 0 && lib.set_tensor(y_, k_nhwc, element, n, p.y_pitch, p.oh, p.ow) == 0 &&
        lib.make_tensor(&bias_) == 0 && lib.set_tensor(bias_, k_nhwc, element, 1, p.y_pitch, 1, 1) == 0 &&
        lib.make_filter(&w_) == 0 && lib.set_filter(w_, element, k_nhwc, p.y_pitch, c, p.kh, p.kw) == 0 &&
        lib.make_conv(&conv_) == 0 &&
        lib.set_conv(conv_, p.pad_top, p.pad_left, p.stride_h, p.stride_w, p.dilation_h, p.dilation_w,
                     k_cross_correlation, k_float) == 0 &&
        lib.set_math(conv_, math) == 0 && lib.make_activation(&activation_) == 0 &&
        lib.set_activation(activation_, p.epilogue.act == Act::relu ? k_relu : k_identity, k_propagate_nan, 0) == 0;
    return made && lib.workspace(seat_->handle, x_, w_, conv_, y_, k_precomputed, &workspace_) == 0;
  }
  Convolution() = default;
  Convolution(const Convolution&) = delete;
  Convolution& operator=(const Convolution&) = delete;
  ~Convolution() {
    const Library& lib = library();
    for (const Object tensor : {x_, y_, bias_})
      if (tensor) lib.free_tensor(tensor);
    if (w_) lib.free_filter(w_);
    if (conv_) lib.free_conv(conv_);
    if (activation_) lib.free_activation(activation_);
  }

  size_t workspace() const { return workspace_; }
  cudaError_t enqueue(const ConvParams& p, void* workspace, cudaStream_t stream) const {
    const Library& lib = library();
    const float one = 1.0f, beta = has_residual_ ? 1.0f : 0.0f;
    const std::lock_guard lock(seat_->mutex);
    int status = lib.set_stream(seat_->handle, stream);
    if (status == 0)
      status = lib.run(seat_->handle, &one, x_, p.x, w_, p.w, conv_, k_precomputed, workspace, workspace_, &beta, y_,
                       has_residual_ ? p.residual : p.y, bias_, p.bias, activation_, y_, p.y);
    switch (status / 1000) {  // cudnnStatus_t; the last error of the runtime says whether the device is lost
      case 0: return cudaSuccess;
      case 2: return cudaErrorInvalidValue;
      case 3: return cudaErrorNotSupported;
      default: return cudaErrorUnknown;
    }
  }

 private:
  Seat* seat_ = nullptr;  // of the device that the program is for
  Object x_ = nullptr, y_ = nullptr, bias_ = nullptr, w_ = nullptr, conv_ = nullptr, activation_ = nullptr;
  bool has_residual_ = false;
  size_t workspace_ = 0;
};

/// Padding below and to the right is what is above and to the left, as far as windows reach.
bool is_padded_alike(const ConvParams& p) {
  const auto outputs = [](int size, int pad, int kernel, int dilation, int stride) {
    return (size + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
  };
  return outputs(p.ih, p.pad_top, p.kh, p.dilation_h, p.stride_h) == p.oh &&
         outputs(p.iw, p.pad_left, p.kw, p.dilation_w, p.stride_w) == p.ow;
}

/// Weights by output channel, tap and input channel, with no room between; one for every channel that is stored.
Result<const void*> upload_filter(const ConvParams& p, const PackedWeights& packed, StepBuilder& builder) {
  const auto row = static_cast<size_t>(p.k_used), rows = static_cast<size_t>(p.y_pitch);
  std::vector<std::byte> dense(row * rows);
  for (size_t r = 0; r < rows; ++r)
    std::copy_n(packed.bytes.data() + r * static_cast<size_t>(packed.row_bytes), row, dense.data() + r * row);
  return builder.upload(dense);
}

}  // namespace

const std::string& cudnn_missing() { return library().missing; }
std::string cudnn_missing_in(const std::vector<std::string>& places) { return open_library(places).missing; }

Result<Done> add_cudnn_choice(DenseConv& conv, const std::vector<float>& bias, StepBuilder& builder,
                              PreparedStep& step) {
  const ConvParams& p = conv.params;
  const bool fits = conv.type != ConvType::u8s8 && p.m > 0 && is_padded_alike(p) &&
                    conv.packed.tap_chunks * 16 == p.x_pitch && conv.packed.rows >= p.y_pitch &&
                    (p.epilogue.act == Act::none || p.epilogue.act == Act::relu);
  if (!fits || !builder.wants(k_cudnn_choice) || !cudnn_missing().empty()) return Done{};
  auto convolution = std::make_shared<Convolution>();
  if (!convolution->make(conv.type, p)) {
    step.refusals.push_back(std::string(k_cudnn_choice) + ": the library that was found does not take the layer");
    return Done{};
  }
  Result<const void*> device_bias = upload_stored_bias(conv.type, bias, static_cast<size_t>(p.y_pitch), builder);
  if (!device_bias) return device_bias.error();
  Result<const void*> w = upload_filter(p, conv.packed, builder);
  if (!w) return w.error();
  // Its kernels are tuned well, but begin only when the kernel before them has ended.
  constexpr double k_start_us = 3.0;
  const double least = step.choices.empty() ? 0.0 : step.choices[step.cheapest()].cost_us;
  ConvParams filled = p;
  filled.w = *w, filled.bias = *device_bias;
  step.choices.push_back(
      {k_cudnn_choice,
       least + k_start_us,
       [convolution, filled, x = conv.x.place, r = conv.residual.place, y = conv.y.place](const Launch& run) {
         ConvParams bound = filled;
         bound.x = run.at(x), bound.residual = run.at(r), bound.y = run.at(y);
         return convolution->enqueue(bound, run.scratch, run.stream);
       },
       {*w, *device_bias},
       {.scratch = convolution->workspace()}});
  return Done{};
}

}  // namespace octet::cuda
