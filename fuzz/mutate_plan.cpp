#include "mutate_plan.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace octet {
namespace {

using Random = std::mt19937;

template <class List>
auto& pick(List& list, Random& random) {
  return list[random() % std::size(list)];
}

int64_t odd_whole(int64_t was, Random& random) {
  constexpr int64_t k_odd[] = {0,   1,   -1,  2,    3,       7,         37,        99,
                               127, 128, 255, -128, 1 << 20, INT32_MAX, INT32_MIN, INT64_MAX};
  if (random() % 3 == 0) return pick(k_odd, random);
  return static_cast<int64_t>(static_cast<uint64_t>(was) + random() % 5 - 2);  // unsigned: the largest one goes around
}

float odd_real(float was, Random& random) {
  const float k_odd[] = {
      0.0f, -0.0f,    1.0f,     -1.0f, 0.5f, 6.0f, 1e-30f, 1e30f, std::numeric_limits<float>::denorm_min(),
      NAN,  INFINITY, -INFINITY};
  return random() % 2 ? was * (0.5f + static_cast<float>(random() % 64) / 32) : pick(k_odd, random);
}

std::string other_word(const std::string& was, Random& random) {
  const char* const k_words[] = {"Relu", "Clip", "Silu", "HardSwish", "Sigmoid", "LeakyRelu", "Gelu",
                                 "Tanh", "u8",   "s8",   "f32",       "s32",     ""};
  if (random() % 4) return pick(k_words, random);
  std::string changed = was + "x";
  pick(changed, random) = static_cast<char>(random());
  return changed;
}

Tensor changed(const Tensor& tensor, Random& random) {
  Result<std::pair<Tensor, std::byte*>> made = Tensor::allocate(tensor.dtype(), tensor.dims());
  if (!made || tensor.size_bytes() == 0) return tensor;
  std::memcpy(made->second, tensor.bytes().data(), tensor.size_bytes());
  for (unsigned n = 1 + random() % 4; n > 0; --n)
    made->second[random() % tensor.size_bytes()] = static_cast<std::byte>(random() % 2 ? random() : random() % 2 * 255);
  return std::move(made->first);
}

struct ChangeAttribute {
  Random& random;
  void operator()(int64_t& v) const { v = odd_whole(v, random); }
  void operator()(float& v) const { v = odd_real(v, random); }
  void operator()(std::string& v) const { v = other_word(v, random); }
  void operator()(Tensor& v) const { v = changed(v, random); }
  template <class T>
  void operator()(std::vector<T>& list) const {
    if (list.empty() || random() % 8 == 0) return list.push_back(T());
    if (random() % 8 == 0) return list.pop_back();
    (*this)(pick(list, random));
  }
};

void change_constant(PlanFile& plan, Random& random) {
  for (int tries = 0; tries < 16; ++tries) {
    Value& value = pick(plan.graph.values, random);
    if (!value.constant) continue;
    value.constant = changed(*value.constant, random);
    return;
  }
}

void change_attribute(PlanFile& plan, Random& random) {
  Node& node = pick(plan.graph.nodes, random);
  if (node.attributes.empty()) return;
  auto at = node.attributes.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(random() % node.attributes.size()));
  std::visit(ChangeAttribute{random}, at->second);
}

void change_packed(PlanFile& plan, Random& random) {
  if (plan.packed.empty()) return change_constant(plan, random);
  PackedPart& part = pick(plan.packed, random);
  if (part.steps.empty()) return;
  PackedWeights& weights = pick(part.steps, random);
  if (random() % 4 == 0) return std::swap(weights, pick(part.steps, random));
  if (random() % 4 == 0 && !weights.form.empty()) {  // numbers in it are read
    pick(weights.form, random) = static_cast<char>(random() % 4 ? '0' + random() % 11 : random() % 128);
    return;
  }
  if (weights.bytes.empty()) return;
  auto copy = std::make_shared<std::vector<std::byte>>(weights.bytes.begin(), weights.bytes.end());
  pick(*copy, random) = static_cast<std::byte>(random());
  if (random() % 8 == 0) copy->resize(copy->size() - 1);
  weights.bytes = *copy;
  part.owner = std::make_shared<std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>>(part.owner, copy);
}

void change_tuning(PlanFile& plan, Random& random) {
  if (plan.tuning.empty()) return change_attribute(plan, random);
  TuningPart& part = pick(plan.tuning, random);
  if (part.tactics.empty()) return;
  std::string& tactic = pick(part.tactics, random);
  tactic = random() % 2 ? pick(part.tactics, random) : other_word(tactic, random);
}

void change_profile(PlanFile& plan, Random& random) {
  if (plan.profile.fixed()) return change_constant(plan, random);
  std::vector<Dims>* const ends[] = {&plan.profile.smallest, &plan.profile.best, &plan.profile.largest};
  std::vector<Dims>& end = *pick(ends, random);
  if (end.empty() || end[0].empty()) return;
  int64_t& extent = pick(end[0], random);
  extent = odd_whole(extent, random);
}

void change_provenance(PlanFile& plan, Random& random) {
  if (plan.provenance.empty() || random() % 4 == 0)
    plan.provenance.emplace_back("profiles", "0\tx\t1x3x5x5\t2x3x5x5\t4x3x5x5\n");
  pick(plan.provenance, random).second += static_cast<char>(random());
}

}  // namespace

void mutate_plan(PlanFile& plan, Random& random) {
  if (plan.graph.values.empty() || plan.graph.nodes.empty()) return;
  for (unsigned n = 1 + random() % 3; n > 0; --n) switch (random() % 16) {
      case 0:
      case 1: change_packed(plan, random); break;
      case 2: change_tuning(plan, random); break;
      case 3: change_profile(plan, random); break;
      case 4: change_provenance(plan, random); break;
      case 5:
      case 6:
      case 7:
      case 8: change_attribute(plan, random); break;
      default: change_constant(plan, random);
    }
}

}  // namespace octet
