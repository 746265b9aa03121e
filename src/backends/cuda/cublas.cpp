#include "backends/cuda/cublas.h"

#include <library_types.h>

#include <array>
#include <map>
#include <mutex>

#include "backends/cuda/libraries.h"

namespace octet::cuda {
namespace {

// The part of the library's C interface that is used, so that building needs no header of it.
using Handle = void*;
using Object = void*;  // cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatmulPreference_t
struct Algorithm {
  uint64_t data[8];
};
struct Suggestion {  // cublasLtMatmulHeuristicResult_t
  Algorithm algorithm;
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Suggestion) == 96);
constexpr int k_compute_f32 = 68, k_compute_tf32 = 77;                // cublasComputeType_t
constexpr int k_transpose_a = 3, k_epilogue = 7, k_bias_pointer = 8;  // cublasLtMatmulDescAttributes_t
constexpr int k_most_workspace = 1;                                   // cublasLtMatmulPreferenceAttributes_t
constexpr int k_op_transpose = 1, k_epilogue_bias = 4,
              k_epilogue_relu_bias = 6;  // cublasOperation_t, cublasLtEpilogue_t
constexpr int k_most_suggestions = 3;

struct Library {
  std::string missing;
  int (*create)(Handle*) = nullptr;
  int (*make_product)(Object*, int compute, cudaDataType scale) = nullptr;
  int (*set_product)(Object, int attribute, const void* value, size_t bytes) = nullptr;
  int (*free_product)(Object) = nullptr;
  int (*make_matrix)(Object*, cudaDataType, uint64_t rows, uint64_t columns, int64_t pitch) = nullptr;
  int (*free_matrix)(Object) = nullptr;
  int (*make_preference)(Object*) = nullptr;
  int (*set_preference)(Object, int attribute, const void* value, size_t bytes) = nullptr;
  int (*free_preference)(Object) = nullptr;
  int (*suggest)(Handle, Object product, Object a, Object b, Object c, Object d, Object preference, int most,
                 Suggestion*, int* found) = nullptr;
  int (*multiply)(Handle, Object product, const void* alpha, const void* a, Object, const void* b, Object,
                  const void* beta, const void* c, Object, void* d, Object, const Algorithm*, void* workspace,
                  size_t workspace_bytes, cudaStream_t) = nullptr;
};

Library open_library() {
  Library made;
  void* const library = open_first(library_places({"libcublasLt.so.13", "libcublasLt.so.12"}));
  if (!library) {
    made.missing =
        "cuBLASLt was not found (libcublasLt.so.13 or .12 on the loader's path, in a Python environment or in "
        "/usr/local/cuda)";
    return made;
  }
  const bool complete = find_function(library, "cublasLtCreate", made.create) &&
                        find_function(library, "cublasLtMatmulDescCreate", made.make_product) &&
                        find_function(library, "cublasLtMatmulDescSetAttribute", made.set_product) &&
                        find_function(library, "cublasLtMatmulDescDestroy", made.free_product) &&
                        find_function(library, "cublasLtMatrixLayoutCreate", made.make_matrix) &&
                        find_function(library, "cublasLtMatrixLayoutDestroy", made.free_matrix) &&
                        find_function(library, "cublasLtMatmulPreferenceCreate", made.make_preference) &&
                        find_function(library, "cublasLtMatmulPreferenceSetAttribute", made.set_preference) &&
                        find_function(library, "cublasLtMatmulPreferenceDestroy", made.free_preference) &&
                        find_function(library, "cublasLtMatmulAlgoGetHeuristic", made.suggest) &&
                        find_function(library, "cublasLtMatmul", made.multiply);
  if (!complete) made.missing = "the cuBLASLt that was found cannot be used: a function is missing";
  return made;
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

/// The library's handle for the current device, made when first asked for; null: it gives none.
Handle handle_here() {
  static std::mutex mutex;
  static std::map<int, Handle> handles;
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return nullptr;
  const std::lock_guard lock(mutex);
  const auto [at, is_new] = handles.try_emplace(device, nullptr);
  if (is_new && library().create(&at->second) != 0) at->second = nullptr;
  return at->second;
}

/// One product y = act(x * w^T + bias + residual) as the library sees it: columns of y^T. Its matrices are
/// column-major, which ours are when transposed.
class Product {
 public:
  /// False: the library refuses it, or it suggests nothing that needs no workspace.
  bool make(ConvType type, const ConvParams& p, const void* bias, bool tf32) {
    const Library& lib = library();
    handle_ = handle_here();
    if (!handle_) return false;
    const cudaDataType element = type == ConvType::f16 ? CUDA_R_16F : CUDA_R_32F;
    const int bytes = type == ConvType::f16 ? 2 : 4, k = p.x_pitch / bytes;
    const int epilogue = p.epilogue.act == Act::relu ? k_epilogue_relu_bias : k_epilogue_bias;
    has_residual_ = p.epilogue.has_residual;
    const auto n = static_cast<uint64_t>(p.oc), m = static_cast<uint64_t>(p.m);
    const bool made = lib.make_product(&product_, tf32 ? k_compute_tf32 : k_compute_f32, CUDA_R_32F) == 0 &&
                      lib.set_product(product_, k_transpose_a, &k_op_transpose, sizeof(int)) == 0 &&
                      lib.set_product(product_, k_epilogue, &epilogue, sizeof epilogue) == 0 &&
                      lib.set_product(product_, k_bias_pointer, &bias, sizeof bias) == 0 &&
                      lib.make_matrix(&w_, element, static_cast<uint64_t>(k), n, p.k_bytes / bytes) == 0 &&
                      lib.make_matrix(&x_, element, static_cast<uint64_t>(k), m, k) == 0 &&
                      lib.make_matrix(&residual_, element, n, m, has_residual_ ? p.r_pitch : p.y_pitch) == 0 &&
                      lib.make_matrix(&y_, element, n, m, p.y_pitch) == 0;
    if (!made) return false;
    Object preference = nullptr;
    const size_t none = 0;  // a workspace would be shared by the contexts of a program
    int found = 0;
    const bool asked = lib.make_preference(&preference) == 0 &&
                       lib.set_preference(preference, k_most_workspace, &none, sizeof none) == 0 &&
                       lib.suggest(handle_, product_, w_, x_, residual_, y_, preference, k_most_suggestions,
                                   suggestions_.data(), &found) == 0;
    if (preference) lib.free_preference(preference);
    for (int i = 0; asked && i < found; ++i)
      if (suggestions_[static_cast<size_t>(i)].status == 0) usable_.push_back(static_cast<size_t>(i));
    return !usable_.empty();
  }
  Product() = default;
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;
  ~Product() {
    const Library& lib = library();
    if (product_) lib.free_product(product_);
    for (const Object matrix : {w_, x_, residual_, y_})
      if (matrix) lib.free_matrix(matrix);
  }

  size_t count() const { return usable_.size(); }
  cudaError_t enqueue(size_t i, const void* w, const void* x, const void* residual, void* y,
                      cudaStream_t stream) const {
    const Library& lib = library();
    const float one = 1.0f, beta = has_residual_ ? 1.0f : 0.0f;
    const int status = lib.multiply(handle_, product_, &one, w, w_, x, x_, &beta, has_residual_ ? residual : y,
                                    residual_, y, y_, &suggestions_[usable_[i]].algorithm, nullptr, 0, stream);
    switch (status) {  // cublasStatus_t; no error of the library means that the device is lost
      case 0: return cudaSuccess;
      case 3: return cudaErrorMemoryAllocation;
      case 7: return cudaErrorInvalidValue;
      case 8:
      case 15: return cudaErrorNotSupported;
      default: return cudaErrorUnknown;
    }
  }

 private:
  Handle handle_ = nullptr;  // of the device that the program is for
  Object product_ = nullptr, w_ = nullptr, x_ = nullptr, residual_ = nullptr, y_ = nullptr;
  bool has_residual_ = false;
  std::array<Suggestion, k_most_suggestions> suggestions_{};
  std::vector<size_t> usable_;
};

std::string name_of(size_t i) { return "cublaslt " + std::to_string(i + 1); }

}  // namespace

const std::string& cublas_missing() { return library().missing; }

std::vector<std::string> cublas_names() {
  std::vector<std::string> names;
  for (size_t i = 0; i < k_most_suggestions; ++i) names.push_back(name_of(i));
  return names;
}

Result<Done> add_cublas_choices(DenseConv& conv, const std::vector<float>& bias, StepBuilder& builder,
                                PreparedStep& step) {
  const ConvParams& p = conv.params;
  const ConvType type = conv.type;
  const bool fits = type != ConvType::u8s8 && p.pointwise && p.wide_store &&
                    (p.epilogue.act == Act::none || p.epilogue.act == Act::relu);
  if (!fits || !cublas_missing().empty()) return Done{};
  const std::vector<std::string> names = cublas_names();
  if (std::none_of(names.begin(), names.end(), [&](const std::string& name) { return builder.wants(name); }))
    return Done{};
  Result<const void*> device_bias = upload_stored_bias(type, bias, static_cast<size_t>(p.oc), builder);
  if (!device_bias) return device_bias.error();
  auto product = std::make_shared<Product>();
  if (!product->make(type, p, *device_bias, type == ConvType::tf32)) {
    step.refusals.emplace_back("cublaslt: the library that was found has nothing for the layer without a workspace");
    return Done{};
  }
  // Its kernels are tuned well, but begin only when the kernel before them has ended.
  constexpr double k_start_us = 3.0;
  const double least = step.choices.empty() ? 0.0 : step.choices[step.cheapest()].cost_us;
  const Result<const void*> w = conv.upload_rows(builder);
  if (!w) return w.error();
  for (size_t i = 0; i < product->count(); ++i) {
    if (!builder.wants(name_of(i))) continue;
    step.choices.push_back(
        {name_of(i),
         least + k_start_us,
         [product, i, w = *w, x = conv.x.place, r = conv.residual.place, y = conv.y.place](const Launch& run) {
           return product->enqueue(i, w, run.at(x), run.at(r), run.at(y), run.stream);
         },
         {*w, *device_bias}});
  }
  return Done{};
}

}  // namespace octet::cuda
