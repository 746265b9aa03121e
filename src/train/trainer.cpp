#include "octet/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <limits>
#include <mutex>
#include <optional>

#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "octet/train/parameters.h"
#include "octet/train/tensor_quantizer.h"
#include "train/convert.h"
#include "train/learner.h"
#include "train/run_options.h"
#include "train/samples.h"
#include "train/step_graph.h"

namespace octet::nn {
namespace {

using torch::Tensor;
using Clock = std::chrono::steady_clock;
using State = std::map<std::string, Tensor>;

constexpr double k_unknown = std::numeric_limits<double>::quiet_NaN();  // nothing is held out

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

State snapshot(const torch::nn::Module& net) {
  State copy;
  for (const auto& [name, tensor] : state_dict(net)) copy[name] = tensor.detach().clone();
  return copy;
}

struct Split {
  std::vector<int64_t> train, held_out;
};

/// The held-out part is a random one of the seed, in order of index.
Split split(int64_t n, double part, uint64_t seed) {
  std::vector<int64_t> all(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) all[static_cast<size_t>(i)] = i;
  all = shuffled(std::move(all), seed, -1);
  const auto held = static_cast<std::ptrdiff_t>(static_cast<double>(n) * part);
  Split made{{all.begin() + held, all.end()}, {all.begin(), all.begin() + held}};
  std::sort(made.train.begin(), made.train.end());
  std::sort(made.held_out.begin(), made.held_out.end());
  return made;
}

/// What the held-out part says of the network as it is.
struct HeldOut {
  double accuracy = 0, loss = 0, agreement = 0;  // agreement with the teacher's answers
  Tensor right;                                  // s64, one for each of its samples
};

/// Those asked for, or this process's share of its host's.
int threads_of(const TrainOptions& o) {
  if (o.threads > 0) return o.threads;
  return std::max(1, usable_threads() / (o.replicas ? o.replicas->place().local_size : 1));
}

/// Threads that make batches: one beside a training on the CPU, enough for a GPU; all where samples are decoded again.
int batch_threads(const TrainOptions& o, const Samples& samples) {
  constexpr int k_most = 8;
  if (!torch::Device(o.device).is_cuda()) return 1;
  return samples.resident() < samples.size() ? threads_of(o) : std::min(threads_of(o), k_most);
}

/// What a process of several on one host may keep of its samples.
int64_t sample_memory(const TrainOptions& o) {
  constexpr double k_gib = 1 << 30;
  if (o.data_memory > 0) return static_cast<int64_t>(o.data_memory * k_gib);
  return Samples::memory_for_samples() / (o.replicas ? o.replicas->place().local_size : 1);
}

class Trainer {
 public:
  Trainer(GraphModuleImpl& net, const Samples& samples, const Dims& dims, const TrainOptions& o,
          GraphModuleImpl* teacher)
      : net_(net),
        samples_(samples),
        dims_(dims),
        o_(o),
        teacher_(teacher),
        device_(o.device),
        processes_(o.replicas ? o.replicas->size() : 1),
        rank_(o.replicas ? o.replicas->rank() : 0),
        pool_(batch_threads(o, samples)),
        split_(split(samples.size(), o.held_out, o.seed)),
        learner_(net, teacher, o) {}

  Result<TrainReport> run() {
    if (o_.batch % processes_ != 0)
      return Error{ErrorCode::bad_argument, "a batch of " + std::to_string(o_.batch) + " cannot be shared evenly by " +
                                                std::to_string(processes_) + " processes; give a multiple"};
    report_.images = static_cast<int64_t>(split_.train.size());
    report_.held_out_images = static_cast<int64_t>(split_.held_out.size());
    if (static_cast<int64_t>(split_.train.size()) < processes_)
      return Error{ErrorCode::bad_argument, "there are no samples to train on"};
    if (report_.images < o_.batch && o_.on_note)
      o_.on_note("--batch " + std::to_string(o_.batch) + " is more than the " + std::to_string(report_.images) +
                 " samples that are trained on: each epoch is one step of all of them");
    if (o_.resume || !o_.checkpoint.empty()) identity_ = identity();
    int64_t first = 1;
    if (o_.resume) {
      const Result<int64_t> done = load();
      if (!done) return done.error();
      first = *done + 1;
    }
    become_equal();
    if (!o_.resume) start();
    for (int64_t epoch = first; epoch <= o_.epochs && !report_.stopped; ++epoch) {
      EpochReport row = train_epoch(epoch);
      if (report_.stopped) break;  // a part of an epoch is not kept
      finish_epoch(row);
      if (!o_.checkpoint.empty() && rank_ == 0)
        if (Result<Done> saved = save(epoch); !saved) return saved.error();
      if (o_.on_epoch) o_.on_epoch(row);
    }
    load_state_dict(net_, best_);
    net_.eval();
    report_.step_recorded = learner_.step_recorded();
    return report_;
  }

 private:
  void start() {
    EpochReport row{.epoch = 0, .epochs = o_.epochs};
    const HeldOut held_out = evaluate();
    put(held_out, row);
    start_right_ = held_out.right;
    row.best = true;
    report_.best_accuracy = row.held_out_accuracy;
    best_ = snapshot(net_);
    report_.epochs.push_back(row);
    if (o_.on_epoch) o_.on_epoch(row);
  }

  void finish_epoch(EpochReport& row) {
    if (o_.local_statistics) become_equal();  // the running ones have gone apart
    if (split_.held_out.empty()) {
      row.held_out_accuracy = k_unknown;
      row.best = true;
    } else {
      const HeldOut held_out = evaluate();
      put(held_out, row);
      row.gain = gain_over_start(held_out.right);
      note_a_rate_too_large(row);
      row.best = row.held_out_accuracy >= report_.best_accuracy &&
                 (report_.best_epoch > 0 || o_.keep_start <= 0 || row.gain > o_.keep_start);
    }
    if (row.best) {
      report_.best_accuracy = row.held_out_accuracy;
      report_.best_epoch = row.epoch;
      best_ = snapshot(net_);
    }
    report_.epochs.push_back(row);
  }

  static void put(const HeldOut& held_out, EpochReport& row) {
    row.held_out_accuracy = held_out.accuracy;
    row.held_out_loss = held_out.loss;
    row.held_out_agreement = held_out.agreement;
  }

  /// Once: an epoch that gets significantly fewer right than the untrained network, as training that diverges does.
  void note_a_rate_too_large(const EpochReport& row) {
    constexpr double k_standard_errors = 3;
    if (row.gain >= -k_standard_errors || noted_rate_ || !o_.on_note) return;
    noted_rate_ = true;
    char text[200];
    std::snprintf(text, sizeof(text),
                  "epoch %lld gets %.2f %% of the held-out part right, the untrained network %.2f %%: the rate is too "
                  "large for this network; try --lr %g",
                  static_cast<long long>(row.epoch), 100 * row.held_out_accuracy,
                  100 * report_.epochs.front().held_out_accuracy, o_.rate / 10);
    o_.on_note(text);
  }

  /// Of the samples that one of the two gets right and the other wrong, the difference has a variance of their number.
  double gain_over_start(const Tensor& right) const {
    const Tensor difference = right - start_right_;
    const double changed = difference.abs().sum().item<double>();
    return changed > 0 ? difference.sum().item<double>() / std::sqrt(changed) : 0.0;
  }

  /// Every process starts from what rank 0 has.
  void become_equal() {
    if (!o_.replicas) return;
    torch::NoGradGuard no_grad;
    for (const auto& [name, tensor] : state_dict(net_)) o_.replicas->broadcast(tensor.detach());
  }

  /// The sums of all processes.
  std::vector<double> summed(const std::vector<double>& own) const {
    if (!o_.replicas) return own;
    const Tensor all = torch::tensor(own, torch::kFloat64).to(device_);
    o_.replicas->sum(all);
    const Tensor here = all.cpu();
    return {here.data_ptr<double>(), here.data_ptr<double>() + own.size()};
  }

  /// This process's part of a batch.
  std::span<const int64_t> own_part(std::span<const int64_t> batch) const {
    const size_t each = batch.size() / static_cast<size_t>(processes_);
    return batch.subspan(each * static_cast<size_t>(rank_), each);
  }

  int64_t steps_per_epoch() const { return std::max<int64_t>(1, report_.images / o_.batch); }

  double rate_at(int64_t step) const {
    const double total = static_cast<double>(steps_per_epoch() * o_.epochs);
    const double warm = o_.warmup_epochs * static_cast<double>(steps_per_epoch());
    const double t = static_cast<double>(step);
    if (t < warm) return o_.rate * (t + 1) / warm;
    return half_cosine(o_.rate, o_.last_rate, t - warm, total - warm);
  }

  Batch make_batch(std::span<const int64_t> indices, bool augmented, int64_t epoch) {
    const c10::DeviceGuard guard(device_);
    std::vector<int64_t> sizes = dims_;
    sizes.insert(sizes.begin(), static_cast<int64_t>(indices.size()));
    auto options = torch::TensorOptions().pinned_memory(device_.is_cuda());
    Batch b{torch::empty(sizes, options.dtype(torch::kFloat32)),
            torch::empty({static_cast<int64_t>(indices.size())}, options.dtype(torch::kInt64))};
    const Augment augment{o_.augmentation.crop_pad, o_.augmentation.cutout, o_.augmentation.flip};
    float* x = b.x.data_ptr<float>();
    int64_t* y = b.y.data_ptr<int64_t>();
    std::mutex lock;
    std::optional<Error> failed;
    pool_.parallel_for(static_cast<int64_t>(indices.size()), [&](int64_t i, int) {
      const Result<Done> made =
          samples_.batch(indices.subspan(static_cast<size_t>(i), 1), augmented ? &augment : nullptr, o_.seed, epoch,
                         x + i * samples_.elements(), y + i);
      if (made) return;
      const std::lock_guard hold(lock);
      if (!failed) failed = made.error();
    });
    if (failed) throw Failure(*failed);
    return b;
  }

  Batch on_device(const Batch& b) const {
    if (!device_.is_cuda()) return b;
    Tensor x = b.x.to(device_, /*non_blocking=*/true);
    if (x.dim() == 4) x = x.contiguous(torch::MemoryFormat::ChannelsLast);
    return {x, b.y.to(device_, /*non_blocking=*/true)};
  }

  HeldOut evaluate() {
    const std::vector<int64_t>& indices = split_.held_out;
    HeldOut made{.right = torch::zeros({static_cast<int64_t>(indices.size())}, torch::kInt64)};
    if (indices.empty()) {
      made.accuracy = k_unknown;
      return made;
    }
    torch::NoGradGuard no_grad;
    net_.eval();
    const Tensor right = made.right.to(device_);
    Tensor loss = torch::zeros({}, device_), agreeing = torch::zeros_like(loss, torch::kInt64);
    const auto size = static_cast<size_t>(o_.batch / processes_);
    const size_t stride = size * static_cast<size_t>(processes_);
    for (size_t at = size * static_cast<size_t>(rank_); at < indices.size(); at += stride) {
      const auto part = std::span(indices).subspan(at, std::min(size, indices.size() - at));
      const Batch b = on_device(make_batch(part, false, 0));
      const Tensor logits = net_.forward(b.x), wanted = learner_.teacher_logits(b.x);
      const auto n = static_cast<int64_t>(part.size());
      right.narrow(0, static_cast<int64_t>(at), n) += logits.argmax(1).eq(b.y);
      loss += learner_.loss_of(logits, wanted, b.y) * static_cast<double>(n);
      if (wanted.defined()) agreeing += logits.argmax(1).eq(wanted.argmax(1)).sum();
    }
    if (o_.replicas) o_.replicas->sum(right);
    made.right = right.cpu();
    const std::vector<double> sums = summed({loss.item<double>(), agreeing.item<double>()});
    const auto total = static_cast<double>(indices.size());
    made.accuracy = made.right.sum().item<double>() / total;
    made.loss = sums[0] / total;
    made.agreement = sums[1] / total;
    return made;
  }

  /// Asked of the others every few steps.
  bool should_stop(int64_t step) const {
    constexpr int64_t k_steps_between = 16;
    const bool own = o_.stop && o_.stop->load();
    if (!o_.replicas) return own;
    return step % k_steps_between == k_steps_between - 1 && summed({own ? 1.0 : 0.0})[0] > 0;
  }

  EpochReport train_epoch(int64_t epoch) {
    net_.train();
    const std::vector<int64_t> order = shuffled(split_.train, o_.seed, epoch);
    const int64_t steps = steps_per_epoch();
    const auto part = [&](int64_t i) {
      const auto size = std::min<size_t>(static_cast<size_t>(o_.batch), order.size());
      return own_part(std::span(order).subspan(static_cast<size_t>(i) * size, size));
    };
    EpochReport row{.epoch = epoch, .epochs = o_.epochs};
    const Clock::time_point start = Clock::now();
    learner_.begin_epoch();
    std::future<Batch> next = std::async(std::launch::async, [&] { return make_batch(part(0), true, epoch); });
    int64_t seen = 0;
    for (int64_t i = 0; i < steps; ++i) {
      const Batch b = next.get();
      if (i + 1 < steps) next = std::async(std::launch::async, [&, i] { return make_batch(part(i + 1), true, epoch); });
      row.rate = rate_at((epoch - 1) * steps + i);
      learner_.step(b, row.rate);
      seen += b.x.size(0);
      if (o_.on_step && (i % 20 == 19 || i + 1 == steps)) report_step(epoch, i, seen, start);
      if (should_stop(i)) {
        report_.stopped = true;
        if (next.valid()) next.wait();
        break;
      }
    }
    const std::vector<double> sums = summed({learner_.loss_sum(), learner_.right(), static_cast<double>(seen)});
    row.seconds = seconds_since(start);
    row.loss = sums[0] / static_cast<double>(steps * processes_);
    row.train_accuracy = sums[1] / sums[2];
    row.images_per_s = sums[2] / row.seconds;
    return row;
  }

  void report_step(int64_t epoch, int64_t i, int64_t seen, Clock::time_point start) const {
    const double per_s = static_cast<double>(seen * processes_) / seconds_since(start);
    const int64_t left = (o_.epochs - epoch + 1) * steps_per_epoch() - i - 1;
    o_.on_step({epoch, o_.epochs, i + 1, steps_per_epoch(), learner_.loss_sum() / static_cast<double>(i + 1),
                learner_.right() / static_cast<double>(seen), per_s, static_cast<double>(left * o_.batch) / per_s});
  }

  /// What makes two runs the same run; asked of the untrained network.
  Identity identity() const {
    Identity all = identity_of(o_);
    all.emplace_back("data", samples_.hash());
    all.emplace_back("network", content_hash(net_));
    all.emplace_back("teacher", teacher_ && o_.distill > 0 ? content_hash(*teacher_) : "none");
    return all;
  }

  static constexpr int64_t k_row_numbers = 11;  // of an epoch in a checkpoint

  Result<Done> save(int64_t epoch) const {
    std::map<std::string, octet::Tensor> all;
    for (const auto& [name, tensor] : state_dict(net_)) all["net/" + name] = to_octet(tensor);
    for (const auto& [name, tensor] : best_) all["best/" + name] = to_octet(tensor);
    for (const auto& [name, tensor] : learner_.momenta()) all["momentum/" + name] = to_octet(tensor);
    const int64_t numbers[] = {epoch, report_.best_epoch};
    all["run/epochs"] = octet::Tensor::from<int64_t>(DType::s64, {2}, numbers);
    std::vector<double> rows;
    for (const EpochReport& r : report_.epochs)
      rows.insert(rows.end(),
                  {static_cast<double>(r.epoch), r.loss, r.train_accuracy, r.held_out_accuracy, r.rate, r.images_per_s,
                   r.seconds, static_cast<double>(r.best), r.held_out_loss, r.held_out_agreement, r.gain});
    all["run/rows"] = octet::Tensor::from<double>(
        DType::f64, {static_cast<int64_t>(rows.size()) / k_row_numbers, k_row_numbers}, std::span<const double>(rows));
    all["run/start_right"] = to_octet(start_right_);
    const std::string text = to_text(identity_);
    all["run/options"] =
        octet::Tensor::from<uint8_t>(DType::u8, {static_cast<int64_t>(text.size())},
                                     std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
    return write_safetensors(o_.checkpoint, all);
  }

  Error damaged(const std::string& what) const {
    return Error{ErrorCode::bad_argument,
                 o_.checkpoint + ": " + what + "; the file is damaged, start over without --resume"};
  }

  /// One tensor of a checkpoint against what this run would have written.
  Result<Done> check_tensor(const std::string& name, const octet::Tensor& got, DType dtype, const Dims& dims) const {
    if (got.dtype() == dtype && got.dims() == dims) return Done{};
    const auto text = [](DType type, const Dims& shape) {
      return std::string(octet::name(type)) + to_string(std::span<const int64_t>(shape));
    };
    return damaged("tensor '" + name + "' is " + text(got.dtype(), got.dims()) + ", expected " + text(dtype, dims));
  }

  Result<Done> check_run(const octet::Tensor& epochs, const octet::Tensor& rows,
                         const octet::Tensor& start_right) const {
    if (Result<Done> ok = check_tensor("run/epochs", epochs, DType::s64, {2}); !ok) return ok;
    const int64_t epoch = epochs.at<int64_t>(0), best = epochs.at<int64_t>(1);
    if (best < 0 || best > epoch || epoch > o_.epochs)
      return damaged("it says epoch " + std::to_string(epoch) + " with epoch " + std::to_string(best) + " the best");
    if (Result<Done> ok = check_tensor("run/rows", rows, DType::f64, {epoch + 1, k_row_numbers}); !ok) return ok;
    return check_tensor("run/start_right", start_right, DType::s64, {static_cast<int64_t>(split_.held_out.size())});
  }

  /// Every weight, best weight and momentum is there, of the network's own shape.
  Result<Done> check_state(const std::map<std::string, octet::Tensor>& there) const {
    std::map<std::string, Tensor> wanted;
    for (const auto& [name, tensor] : state_dict(net_)) wanted["net/" + name] = wanted["best/" + name] = tensor;
    for (const auto& [name, tensor] : learner_.momenta()) wanted["momentum/" + name] = tensor;
    for (const auto& [name, tensor] : wanted) {
      const auto at = there.find(name);
      if (at == there.end()) return damaged("it has no tensor '" + name + "'");
      const octet::Tensor own = to_octet(tensor);
      if (Result<Done> ok = check_tensor(name, at->second, own.dtype(), own.dims()); !ok) return ok;
    }
    return Done{};
  }

  /// The epoch that is done.
  Result<int64_t> load() {
    if (!std::filesystem::exists(o_.checkpoint))
      return Error{ErrorCode::io, "there is no checkpoint " + o_.checkpoint + " to go on from; run without --resume"};
    const Result<Checkpoint> file = read_checkpoint(o_.checkpoint);
    if (!file) return file.error();
    const auto find = [&](const char* name) {
      const auto at = file->tensors.find(name);
      return at == file->tensors.end() ? nullptr : &at->second;
    };
    const octet::Tensor *options = find("run/options"), *epochs = find("run/epochs"), *rows = find("run/rows"),
                        *start_right = find("run/start_right");
    if (!options || !epochs || !rows || !start_right)
      return Error{ErrorCode::bad_argument, o_.checkpoint + ": not a checkpoint of a training run"};
    if (!file->summed && o_.on_note)
      o_.on_note(o_.checkpoint +
                 " is of an octet that wrote no check sums: whether its bytes are whole cannot be told");
    const std::string there(reinterpret_cast<const char*>(options->bytes().data()), options->size_bytes());
    if (const std::string differ = differences(there, identity_); !differ.empty())
      return Error{ErrorCode::bad_argument, o_.checkpoint + ": the run was started with other options or data (" +
                                                differ +
                                                "); resume with the same ones, or start over without --resume"};
    if (Result<Done> ok = check_run(*epochs, *rows, *start_right); !ok) return ok.error();
    if (Result<Done> ok = check_state(file->tensors); !ok) return ok.error();
    State net, momenta;
    for (const auto& [name, tensor] : file->tensors) {
      if (name.starts_with("net/")) net[name.substr(4)] = to_torch(tensor).to(device_);
      if (name.starts_with("best/")) best_[name.substr(5)] = to_torch(tensor).to(device_);
      if (name.starts_with("momentum/")) momenta[name.substr(9)] = to_torch(tensor);
    }
    load_state_dict(net_, net);
    learner_.set_momenta(momenta);
    const auto row = rows->as<double>();
    for (size_t i = 0; i + k_row_numbers <= row.size(); i += k_row_numbers)
      report_.epochs.push_back({.epoch = static_cast<int64_t>(row[i]),
                                .epochs = o_.epochs,
                                .loss = row[i + 1],
                                .train_accuracy = row[i + 2],
                                .held_out_accuracy = row[i + 3],
                                .held_out_loss = row[i + 8],
                                .held_out_agreement = row[i + 9],
                                .gain = row[i + 10],
                                .rate = row[i + 4],
                                .images_per_s = row[i + 5],
                                .seconds = row[i + 6],
                                .best = row[i + 7] != 0});
    start_right_ = to_torch(*start_right);
    report_.best_epoch = epochs->at<int64_t>(1);
    for (const EpochReport& r : report_.epochs)
      if (r.epoch == report_.best_epoch) report_.best_accuracy = r.held_out_accuracy;
    return epochs->at<int64_t>(0);
  }

  GraphModuleImpl& net_;
  const Samples& samples_;
  const Dims& dims_;
  const TrainOptions& o_;
  GraphModuleImpl* teacher_;
  torch::Device device_;
  int processes_, rank_;
  ThreadPool pool_;  // of make_batch alone
  Split split_;
  Learner learner_;
  Identity identity_;
  State best_;
  Tensor start_right_;  // which of the held-out samples the untrained network gets right
  bool noted_rate_ = false;
  TrainReport report_;
};

/// On a GPU the layout that its convolutions are fastest in.
void move_to(GraphModuleImpl& net, const torch::Device& device) {
  net.to(device);
  if (!device.is_cuda()) return;
  torch::NoGradGuard no_grad;
  for (Tensor& p : net.parameters())
    if (p.dim() == 4) p.set_data(p.contiguous(torch::MemoryFormat::ChannelsLast));
}

/// By time, or only such as give the same bits each time; an op that has none is then an error that names it.
void choose_algorithms(bool deterministic) {
  if (deterministic) ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);  // cuBLAS asks for it
  at::Context& context = at::globalContext();
  context.setBenchmarkCuDNN(!deterministic);
  context.setDeterministicCuDNN(deterministic);
  context.setDeterministicAlgorithms(deterministic, /*warn_only=*/false);
}

/// Samples in memory, threads and device set.
Result<Samples> prepare(GraphModuleImpl& net, const Dataset& data, const Dims& sample, const TrainOptions& o) {
  const int threads = threads_of(o);
  torch::set_num_threads(threads);
  Result<Samples> samples = Samples::read(data, sample, threads, sample_memory(o));
  if (!samples) return samples;
  const torch::Device device(o.device);
  if (device.is_cuda()) choose_algorithms(o.deterministic);
  move_to(net, device);
  return samples;
}

/// Each label is that of an output.
Result<Done> check_labels(GraphModuleImpl& net, const Samples& samples, const Dataset& data, const Dims& sample,
                          const TrainOptions& o) {
  if (samples.size() == 0) return Done{};  // said by the trainer
  std::vector<int64_t> sizes = sample;
  const int64_t share = std::max<int64_t>(1, o.batch / (o.replicas ? o.replicas->size() : 1));
  sizes.insert(sizes.begin(), std::min(share, samples.size()));
  torch::NoGradGuard no_grad;
  net.eval();
  const Tensor logits = net.forward(torch::zeros(sizes, torch::Device(o.device)));
  if (logits.dim() != 2)
    return Error{ErrorCode::unsupported,
                 "the network's output has " + std::to_string(logits.dim()) + " axes; training needs [batch, classes]"};
  const int64_t classes = logits.size(1);
  for (int64_t i = 0; i < samples.size(); ++i)
    if (samples.label(i) < 0 || samples.label(i) >= classes)
      return Error{ErrorCode::bad_argument, "sample '" + data.sample_name(i) + "' has the label " +
                                                std::to_string(samples.label(i)) + ", and the network has " +
                                                std::to_string(classes) + " outputs (labels 0 to " +
                                                std::to_string(classes - 1) + "); take data of the network's classes"};
  return Done{};
}

}  // namespace

Result<TrainReport> train(GraphModuleImpl& net, const Dataset& data, const Dims& sample, const TrainOptions& options,
                          GraphModuleImpl* teacher) {
  if (Result<Done> ok = check_options(options); !ok) return ok.error();
  if (Result<Done> ok = check_device(options.device); !ok) return ok.error();
  try {
    const c10::DeviceGuard guard{torch::Device(options.device)};
    const OwnStream stream{torch::Device(options.device)};
    Result<Samples> samples = prepare(net, data, sample, options);
    if (!samples) return samples.error();
    if (teacher) {
      move_to(*teacher, torch::Device(options.device));
      teacher->eval();
    }
    if (Result<Done> fit = check_labels(net, *samples, data, sample, options); !fit) return fit.error();
    net.set_replicas(options.local_statistics ? nullptr : options.replicas);
    return Trainer(net, *samples, sample, options, teacher).run();
  } catch (const Failure& failure) {
    return failure.error;
  } catch (const std::exception& e) {
    return Error{ErrorCode::internal, "training failed: " + reason(e) + memory_advice(e, options)};
  }
}

Result<double> accuracy(GraphModuleImpl& net, const Dataset& data, const Dims& sample, const TrainOptions& options) {
  if (Result<Done> ok = check_options(options); !ok) return ok.error();
  if (Result<Done> ok = check_device(options.device); !ok) return ok.error();
  Result<Samples> samples = prepare(net, data, sample, options);
  if (!samples) return samples.error();
  try {
    torch::NoGradGuard no_grad;
    net.eval();
    int64_t right = 0;
    std::vector<int64_t> sizes = sample;
    sizes.insert(sizes.begin(), 0);
    for (int64_t at = 0; at < samples->size(); at += options.batch) {
      std::vector<int64_t> indices;
      for (int64_t i = at; i < std::min(at + options.batch, samples->size()); ++i) indices.push_back(i);
      sizes[0] = static_cast<int64_t>(indices.size());
      Tensor x = torch::empty(sizes), y = torch::empty({sizes[0]}, torch::kInt64);
      if (Result<Done> made = samples->batch(indices, nullptr, 0, 0, x.data_ptr<float>(), y.data_ptr<int64_t>()); !made)
        return made.error();
      const torch::Device device(options.device);
      right += net.forward(x.to(device)).argmax(1).eq(y.to(device)).sum().item<int64_t>();
    }
    return static_cast<double>(right) / static_cast<double>(samples->size());
  } catch (const std::exception& e) {
    return Error{ErrorCode::internal, "evaluation failed: " + reason(e)};
  }
}

}  // namespace octet::nn
