// Several processes: who is who, statistics over all parts against libtorch's own on the whole batch.

#include "octet/train/replicas.h"

#include <barrier>
#include <map>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "train/c10d_group.h"
#include "train/synced_batch_norm.h"
#include "train/torch_tests.h"

namespace octet::nn {
namespace {

using torch::Tensor;

Result<Place> place_with(const std::map<std::string, std::string>& variables) {
  return place_of_process([&](const char* name) {
    const auto at = variables.find(name);
    return at == variables.end() ? nullptr : at->second.c_str();
  });
}

TEST(Place, is_torchruns_or_mpiruns_or_one_process) {
  EXPECT_EQ(place_with({})->size, 1);
  const Result<Place> torchrun = place_with({{"RANK", "5"},
                                             {"WORLD_SIZE", "8"},
                                             {"LOCAL_RANK", "1"},
                                             {"LOCAL_WORLD_SIZE", "4"},
                                             {"MASTER_ADDR", "host0"},
                                             {"MASTER_PORT", "4711"}});
  ASSERT_TRUE(torchrun) << torchrun.error().message;
  EXPECT_EQ(torchrun->rank, 5);
  EXPECT_EQ(torchrun->size, 8);
  EXPECT_EQ(torchrun->local_rank, 1);
  EXPECT_EQ(torchrun->local_size, 4);
  EXPECT_EQ(torchrun->address, "host0");
  EXPECT_EQ(torchrun->port, 4711);
  const Result<Place> mpirun =
      place_with({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}});
  ASSERT_TRUE(mpirun) << mpirun.error().message;
  EXPECT_EQ(mpirun->rank, 1);
  EXPECT_EQ(mpirun->local_rank, 0);
}

TEST(Place, what_cannot_be_is_named) {
  EXPECT_NE(place_with({{"RANK", "two"}, {"WORLD_SIZE", "2"}}).error().message.find("RANK='two'"), std::string::npos);
  EXPECT_NE(place_with({{"RANK", "2"}, {"WORLD_SIZE", "2"}}).error().message.find("below WORLD_SIZE"),
            std::string::npos);
  EXPECT_NE(place_with({{"WORLD_SIZE", "2"}}).error().message.find("without RANK"), std::string::npos);
}

TEST(Replicas, counts_who_came_and_does_not_wait_for_ever) {
  using std::chrono::milliseconds;
  const auto store = c10::make_intrusive<c10d::HashStore>();
  EXPECT_EQ(wait_for_all(*store, 2, milliseconds(100)), 1);
  const auto full = c10::make_intrusive<c10d::HashStore>();
  int64_t second = 0;
  std::thread late([&] { second = wait_for_all(*full, 2, milliseconds(60000)); });
  EXPECT_EQ(wait_for_all(*full, 2, milliseconds(60000)), 2);
  late.join();
  EXPECT_EQ(second, 2);
}

TEST(Replicas, is_reached_from_the_address_that_leads_there) {
  EXPECT_EQ(own_address_towards("127.0.0.1", 29500), "127.0.0.1");
  EXPECT_EQ(own_address_towards("no such host", 29500), "");
}

/// Threads in place of processes.
struct Meeting {
  explicit Meeting(int size) : parts(static_cast<size_t>(size)), gate(size) {}
  std::vector<Tensor> parts;
  std::barrier<> gate;
};
class ThreadReplicas : public Replicas {
 public:
  ThreadReplicas(Meeting& meeting, const Place& place) : Replicas(place), meeting_(meeting) {}
  void sum(Tensor tensor) override {
    meeting_.parts[static_cast<size_t>(rank())] = tensor.clone();
    meeting_.gate.arrive_and_wait();
    Tensor total = meeting_.parts[0].clone();
    for (size_t i = 1; i < meeting_.parts.size(); ++i) total += meeting_.parts[i];
    tensor.copy_(total);
    meeting_.gate.arrive_and_wait();
  }
  void broadcast(Tensor tensor) override { tensor.zero_(); }

 private:
  Meeting& meeting_;
};

struct NormRun {
  Tensor y, dx, dw, db, mean, var;
};
/// Forward and backward of y * weights, summed.
NormRun norm_run(const Tensor& x, const Tensor& weights, Replicas* replicas) {
  Tensor in = x.detach().clone().requires_grad_(true);
  Tensor w = torch::linspace(0.5, 2, x.size(1)).requires_grad_(true);
  Tensor b = torch::linspace(-1, 1, x.size(1)).requires_grad_(true);
  Tensor mean = torch::zeros({x.size(1)}), var = torch::ones({x.size(1)});
  const Tensor y = replicas ? synced_batch_norm(in, {w, b, mean, var, 0.1, 1e-5}, *replicas)
                            : torch::batch_norm(in, w, b, mean, var, true, 0.1, 1e-5, false);
  (y * weights).sum().backward();
  return {y.detach(), in.grad(), w.grad(), b.grad(), mean, var};
}

TEST(SyncedBatchNorm, on_parts_is_batch_norm_on_the_whole) {
  torch::manual_seed(6);
  const Tensor x = torch::randn({6, 5, 7, 3}) * 3 + 11, weights = torch::randn({6, 5, 7, 3});
  const NormRun whole = norm_run(x, weights, nullptr);
  Meeting meeting(2);
  NormRun parts[2];
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank)
    threads.emplace_back([&, rank] {
      Place place;
      place.rank = rank;
      place.size = 2;
      ThreadReplicas replicas(meeting, place);
      parts[rank] = norm_run(x.narrow(0, 3 * rank, 3), weights.narrow(0, 3 * rank, 3), &replicas);
    });
  for (std::thread& thread : threads) thread.join();
  const auto close = [](const Tensor& a, const Tensor& b) { return torch::allclose(a, b, 1e-4, 1e-4); };
  EXPECT_TRUE(close(torch::cat({parts[0].y, parts[1].y}), whole.y));
  EXPECT_TRUE(close(torch::cat({parts[0].dx, parts[1].dx}), whole.dx));
  EXPECT_TRUE(close(parts[0].dw + parts[1].dw, whole.dw));  // the trainer sums gradients
  EXPECT_TRUE(close(parts[0].db + parts[1].db, whole.db));
  for (const NormRun& part : parts) {
    EXPECT_TRUE(close(part.mean, whole.mean));
    EXPECT_TRUE(close(part.var, whole.var));
  }
  EXPECT_FALSE(close(norm_run(x.narrow(0, 0, 3), weights.narrow(0, 0, 3), nullptr).y, parts[0].y));
}

}  // namespace
}  // namespace octet::nn
