// RNN, GRU, LSTM(x, w, r, b?, sequence_lens?, initial_h?, ...) -> y, y_h (, y_c). Source: ONNX operators of the same
// names, opset 22. x [seq, batch, in], w [dirs, gates * hidden, in], r [dirs, gates * hidden, hidden],
// b [dirs, 2 * gates * hidden] (of w, then of r); layout=1 has batch in front. Evaluated in double, rounded once.
//   RNN   H = f(x W + H R + b)
//   GRU   gates z, r, h: z = f(..), r = f(..); h~ = g(x Wh + (r . H) Rh + Rbh + Wbh), or with linear_before_reset
//         g(x Wh + r . (H Rh + Rbh) + Wbh);  H = (1 - z) . h~ + z . H
//   LSTM  gates i, o, f, c: i = f(.. + Pi . C), f = f(.. + Pf . C), c~ = g(..); C = f . C + i . c~;
//         o = f(.. + Po . C); H = o . h(C);  input_forget: f = 1 - i
// clip bounds what goes into an activation. Past a batch's sequence length y is 0 and the states stand still.
#include <algorithm>

#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_rnn_attributes[] = {"activation_alpha", "activation_beta", "activations", "clip",
                                                 "direction",        "hidden_size",     "layout"};
constexpr std::string_view k_gru_attributes[] = {
    "activation_alpha", "activation_beta", "activations", "clip",
    "direction",        "hidden_size",     "layout",      "linear_before_reset"};
constexpr std::string_view k_lstm_attributes[] = {"activation_alpha", "activation_beta", "activations",  "clip",
                                                  "direction",        "hidden_size",     "input_forget", "layout"};

size_t gates_of(const Node& node) { return is_op(node, "LSTM") ? 4 : is_op(node, "GRU") ? 3 : 1; }
size_t states_of(const Node& node) { return is_op(node, "LSTM") ? 2 : 1; }

Result<size_t> directions_of(const NodeContext& context) {
  const std::string word = string_attribute(context.node, "direction", "forward");
  if (word == "forward" || word == "reverse") return size_t{1};
  if (word == "bidirectional") return size_t{2};
  return context.error("direction is '" + word + "', expected forward, reverse or bidirectional");
}

struct Function {
  std::string name;
  double alpha = 0, beta = 0;

  double operator()(double x) const {
    if (name == "Sigmoid") return 1 / (1 + std::exp(-x));
    if (name == "Tanh") return std::tanh(x);
    if (name == "Relu") return std::max(x, 0.0);
    if (name == "Affine") return alpha * x + beta;
    if (name == "LeakyRelu") return x < 0 ? alpha * x : x;
    if (name == "ThresholdedRelu") return x > alpha ? x : 0;
    if (name == "ScaledTanh") return alpha * std::tanh(beta * x);
    if (name == "HardSigmoid") return std::clamp(alpha * x + beta, 0.0, 1.0);
    if (name == "Elu") return x < 0 ? alpha * std::expm1(x) : x;
    if (name == "Softsign") return x / (1 + std::fabs(x));
    return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));  // Softplus
  }
};

struct Known {
  std::string_view name;
  double alpha, beta;  // what an absent parameter means
  int params;
};
constexpr Known k_functions[] = {{"Sigmoid", 0, 0, 0},      {"Tanh", 0, 0, 0},
                                 {"Relu", 0, 0, 0},         {"Affine", 1, 0, 2},
                                 {"LeakyRelu", 0.01, 0, 1}, {"ThresholdedRelu", 1, 0, 1},
                                 {"ScaledTanh", 1, 1, 2},   {"HardSigmoid", 0.2, 0.5, 2},
                                 {"Elu", 1, 0, 1},          {"Softsign", 0, 0, 0},
                                 {"Softplus", 0, 0, 0}};

/// The activations of all directions; alphas and betas are handed out in order to those that take them.
Result<std::vector<Function>> functions_of(const NodeContext& context, size_t directions) {
  std::vector<std::string> names = is_op(context.node, "LSTM")  ? std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"}
                                   : is_op(context.node, "GRU") ? std::vector<std::string>{"Sigmoid", "Tanh"}
                                                                : std::vector<std::string>{"Tanh"};
  const size_t each = names.size();
  for (size_t i = 0; directions == 2 && i < each; ++i) names.push_back(names[i]);
  const auto given = context.node.attributes.find("activations");
  if (given != context.node.attributes.end()) names = std::get<std::vector<std::string>>(given->second);
  if (names.size() != each * directions)
    return context.error("has " + std::to_string(names.size()) + " activations, expected " +
                         std::to_string(each * directions));
  const std::vector<float> alphas = floats_attribute(context.node, "activation_alpha", {});
  const std::vector<float> betas = floats_attribute(context.node, "activation_beta", {});
  size_t alpha = 0, beta = 0;
  std::vector<Function> made;
  for (const std::string& word : names) {
    const auto known =
        std::find_if(std::begin(k_functions), std::end(k_functions), [&](const Known& k) { return k.name == word; });
    if (known == std::end(k_functions)) return context.error("activation '" + word + "' is not known");
    Function f{word, known->alpha, known->beta};
    if (known->params > 0 && alpha < alphas.size()) f.alpha = alphas[alpha++];
    if (known->params > 1 && beta < betas.size()) f.beta = betas[beta++];
    made.push_back(std::move(f));
  }
  return made;
}

/// Extents of one run.
struct Extents {
  size_t steps = 0, batch = 0, in = 0, hidden = 0, directions = 1;
  bool batch_first = false;
};

Result<Done> check_parts(const NodeContext& context, const Shape& x, const Shape& w, const Shape& r) {
  if (x.size() != 3 || w.size() != 3 || r.size() != 3)
    return context.error("x " + to_string(x) + ", w " + to_string(w) + " and r " + to_string(r) +
                         " must have three axes each");
  const auto gates = static_cast<int64_t>(gates_of(context.node));
  const auto differ = [](const Dim& a, const Dim& b) { return a.known() && b.known() && a.value != b.value; };
  const bool fits = !differ(x[2], w[2]) && !differ(w[0], r[0]) && !differ(w[1], r[1]) &&
                    (!r[1].known() || !r[2].known() || r[1].value == gates * r[2].value);
  if (fits) return Done{};
  return context.error("x " + to_string(x) + ", w " + to_string(w) + " and r " + to_string(r) +
                       " do not fit: expected [" + "seq,batch,in], [dirs," + std::to_string(gates) +
                       "*hidden,in], [dirs," + std::to_string(gates) + "*hidden,hidden]");
}

Result<ValueTypes> infer(const NodeContext& context) {
  if (Result<Done> ok = require_float(context, 0); !ok) return ok.error();
  Result<size_t> directions = directions_of(context);
  if (!directions) return directions.error();
  if (Result<std::vector<Function>> known = functions_of(context, *directions); !known) return known.error();
  const DType dtype = context.dtype(0);
  ValueTypes types(1 + states_of(context.node), {dtype, {}});
  if (!context.shape(0) || !context.shape(1) || !context.shape(2)) return types;
  const Shape &x = *context.shape(0), &r = *context.shape(2);
  if (Result<Done> ok = check_parts(context, x, *context.shape(1), r); !ok) return ok.error();
  const Dim dirs(static_cast<int64_t>(*directions)), hidden = r[2];
  const bool batch_first = int_attribute(context.node, "layout", 0) != 0;
  types[0].shape = batch_first ? Shape{x[0], x[1], dirs, hidden} : Shape{x[0], dirs, x[1], hidden};
  for (size_t i = 1; i < types.size(); ++i)
    types[i].shape = batch_first ? Shape{x[0], dirs, hidden} : Shape{dirs, x[1], hidden};
  return types;
}

/// One direction with its weights; h and c are [batch, hidden].
struct Cell {
  const Extents& e;
  std::span<const double> w, r, b, p;  // b, p may be empty
  std::vector<Function> act;
  double clip = 0;  // 0 = none
  bool linear_before_reset = false, input_forget = false;

  double bounded(double v) const { return clip > 0 ? std::clamp(v, -clip, clip) : v; }
  double bias(size_t row, bool recurrent, size_t gates) const {
    return b.empty() ? 0 : b[(recurrent ? gates * e.hidden : 0) + row];
  }
  double input(const double* x, size_t row) const {
    double sum = 0;
    for (size_t k = 0; k < e.in; ++k) sum += x[k] * w[row * e.in + k];
    return sum;
  }
  double recurrent(const double* h, size_t row) const {
    double sum = 0;
    for (size_t k = 0; k < e.hidden; ++k) sum += h[k] * r[row * e.hidden + k];
    return sum;
  }
  double gate(const double* x, const double* h, size_t row, size_t gates) const {
    return input(x, row) + recurrent(h, row) + bias(row, false, gates) + bias(row, true, gates);
  }

  void rnn(const double* x, double* h) const {
    std::vector<double> next(e.hidden);
    for (size_t j = 0; j < e.hidden; ++j) next[j] = act[0](bounded(gate(x, h, j, 1)));
    std::copy(next.begin(), next.end(), h);
  }

  void gru(const double* x, double* h) const {
    const size_t n = e.hidden;
    std::vector<double> z(n), reset(n), gated(n), next(n);
    for (size_t j = 0; j < n; ++j) {
      z[j] = act[0](bounded(gate(x, h, j, 3)));
      reset[j] = act[0](bounded(gate(x, h, n + j, 3)));
      gated[j] = reset[j] * h[j];
    }
    for (size_t j = 0; j < n; ++j) {
      const size_t row = 2 * n + j;
      const double from_h = linear_before_reset ? reset[j] * (recurrent(h, row) + bias(row, true, 3))
                                                : recurrent(gated.data(), row) + bias(row, true, 3);
      const double candidate = act[1](bounded(input(x, row) + from_h + bias(row, false, 3)));
      next[j] = (1 - z[j]) * candidate + z[j] * h[j];
    }
    std::copy(next.begin(), next.end(), h);
  }

  void lstm(const double* x, double* h, double* c) const {
    const size_t n = e.hidden;
    std::vector<double> next(n);
    const auto peep = [&](size_t which, size_t j) { return p.empty() ? 0 : p[which * n + j]; };
    for (size_t j = 0; j < n; ++j) {
      const double i = act[0](bounded(gate(x, h, j, 4) + peep(0, j) * c[j]));
      const double f = input_forget ? 1 - i : act[0](bounded(gate(x, h, 2 * n + j, 4) + peep(2, j) * c[j]));
      const double candidate = act[1](bounded(gate(x, h, 3 * n + j, 4)));
      const double cell = f * c[j] + i * candidate;
      const double o = act[0](bounded(gate(x, h, n + j, 4) + peep(1, j) * cell));
      c[j] = cell;
      next[j] = o * act[2](cell);
    }
    std::copy(next.begin(), next.end(), h);
  }
};

/// An optional input of exactly this many elements as doubles; empty when it is absent.
Result<std::vector<double>> optional_part(const NodeContext& context, std::span<const Tensor> inputs, size_t i,
                                          size_t count) {
  if (!is_present(inputs, i)) return std::vector<double>();
  std::vector<double> values = to_doubles(inputs[i]);
  if (values.size() == count) return values;
  return context.error("input " + std::to_string(i) + " " + to_string(inputs[i].dims()) + " has " +
                       std::to_string(values.size()) + " elements, expected " + std::to_string(count));
}

/// [batch, dirs, hidden] <-> [dirs, batch, hidden].
std::vector<double> swapped(const std::vector<double>& v, size_t outer, size_t inner, size_t row) {
  std::vector<double> out(v.size());
  for (size_t a = 0; a < outer; ++a)
    for (size_t b = 0; b < inner; ++b)
      std::copy_n(v.begin() + static_cast<ptrdiff_t>((a * inner + b) * row), row,
                  out.begin() + static_cast<ptrdiff_t>((b * outer + a) * row));
  return out;
}

struct Parts {
  Extents e;
  std::vector<double> x, w, r, b, h, c, p;  // x [seq, batch, in]; h, c [dirs, batch, hidden]
  std::vector<size_t> lengths;              // by batch
};

Result<Parts> parts_of(const NodeContext& context, std::span<const Tensor> inputs) {
  const Dims &x = inputs[0].dims(), &r = inputs[2].dims();
  if (Result<Done> ok = check_parts(context, to_shape(x), to_shape(inputs[1].dims()), to_shape(r)); !ok)
    return ok.error();
  Result<size_t> directions = directions_of(context);
  if (!directions) return directions.error();
  if (static_cast<size_t>(r[0]) != *directions)
    return context.error("w has " + std::to_string(r[0]) + " directions, the attribute asks for " +
                         std::to_string(*directions));
  Parts made;
  const bool batch_first = int_attribute(context.node, "layout", 0) != 0;
  made.e = {static_cast<size_t>(x[batch_first ? 1 : 0]),
            static_cast<size_t>(x[batch_first ? 0 : 1]),
            static_cast<size_t>(x[2]),
            static_cast<size_t>(r[2]),
            *directions,
            batch_first};
  const Extents& e = made.e;
  made.x = to_doubles(inputs[0]);
  if (batch_first) made.x = swapped(made.x, e.batch, e.steps, e.in);
  made.w = to_doubles(inputs[1]);
  made.r = to_doubles(inputs[2]);
  const size_t gates = gates_of(context.node), state = e.directions * e.batch * e.hidden;
  const std::pair<std::vector<double>*, size_t> optional[] = {{&made.b, 2 * gates * e.hidden * e.directions},
                                                              {nullptr, 0},
                                                              {&made.h, state},
                                                              {&made.c, state},
                                                              {&made.p, 3 * e.hidden * e.directions}};
  for (size_t i = 0; i < std::size(optional); ++i) {
    if (!optional[i].first) continue;
    Result<std::vector<double>> part = optional_part(context, inputs, i + 3, optional[i].second);
    if (!part) return part.error();
    *optional[i].first = std::move(*part);
  }
  for (std::vector<double>* s : {&made.h, &made.c}) {
    if (batch_first) *s = swapped(*s, s->empty() ? 0 : e.batch, e.directions, e.hidden);
    s->resize(state, 0.0);
  }
  made.lengths.assign(e.batch, e.steps);
  if (is_present(inputs, 4)) {
    Result<std::vector<int64_t>> lengths = ints_of(context, inputs, 4);
    if (!lengths) return lengths.error();
    if (lengths->size() != e.batch) return context.error("sequence_lens must be one number for each batch");
    for (size_t i = 0; i < e.batch; ++i)
      made.lengths[i] = static_cast<size_t>(std::clamp<int64_t>((*lengths)[i], 0, static_cast<int64_t>(e.steps)));
  }
  return made;
}

/// Runs one direction; y is [seq, dirs, batch, hidden].
void run_direction(const Node& node, Parts& parts, const Cell& cell, size_t d, bool reverse, std::vector<double>& y) {
  const Extents& e = parts.e;
  for (size_t n = 0; n < e.batch; ++n) {
    double* h = parts.h.data() + (d * e.batch + n) * e.hidden;
    double* c = parts.c.data() + (d * e.batch + n) * e.hidden;
    for (size_t step = 0; step < parts.lengths[n]; ++step) {
      const size_t t = reverse ? parts.lengths[n] - 1 - step : step;
      const double* x = parts.x.data() + (t * e.batch + n) * e.in;
      if (is_op(node, "LSTM")) {
        cell.lstm(x, h, c);
      } else if (is_op(node, "GRU")) {
        cell.gru(x, h);
      } else {
        cell.rnn(x, h);
      }
      std::copy_n(h, e.hidden, y.begin() + static_cast<ptrdiff_t>(((t * e.directions + d) * e.batch + n) * e.hidden));
    }
  }
}

Result<Tensors> results(const NodeContext& context, DType dtype, const Parts& parts, std::vector<double> y) {
  const Extents& e = parts.e;
  const auto steps = static_cast<int64_t>(e.steps), batch = static_cast<int64_t>(e.batch);
  const auto dirs = static_cast<int64_t>(e.directions), hidden = static_cast<int64_t>(e.hidden);
  // [seq, dirs, batch, hidden] -> [batch, seq, dirs, hidden]
  if (e.batch_first) y = swapped(y, e.steps * e.directions, e.batch, e.hidden);
  Result<Tensors> made = from_doubles(
      context, dtype, e.batch_first ? Dims{batch, steps, dirs, hidden} : Dims{steps, dirs, batch, hidden}, y);
  if (!made) return made;
  const Dims state = e.batch_first ? Dims{batch, dirs, hidden} : Dims{dirs, batch, hidden};
  for (const std::vector<double>* s : {&parts.h, &parts.c}) {
    if (made->size() > states_of(context.node)) break;
    Result<Tensors> last =
        from_doubles(context, dtype, state, e.batch_first ? swapped(*s, e.directions, e.batch, e.hidden) : *s);
    if (!last) return last;
    made->push_back(std::move((*last)[0]));
  }
  return made;
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  Result<Parts> parts = parts_of(context, inputs);
  if (!parts) return parts.error();
  const Extents& e = parts->e;
  Result<std::vector<Function>> act = functions_of(context, e.directions);
  if (!act) return act.error();
  const size_t each = act->size() / e.directions;
  const auto share = [&](const std::vector<double>& all, size_t d) {
    const size_t part = all.size() / e.directions;
    return std::span(all).subspan(d * part, part);
  };
  const bool reverse = string_attribute(context.node, "direction", "forward") == "reverse";
  std::vector<double> y(e.steps * e.directions * e.batch * e.hidden, 0.0);
  for (size_t d = 0; d < e.directions; ++d) {
    const auto first = act->begin() + static_cast<ptrdiff_t>(d * each);
    const Cell cell{e,
                    share(parts->w, d),
                    share(parts->r, d),
                    share(parts->b, d),
                    share(parts->p, d),
                    {first, first + static_cast<ptrdiff_t>(each)},
                    float_attribute(context.node, "clip", 0),
                    int_attribute(context.node, "linear_before_reset", 0) != 0,
                    int_attribute(context.node, "input_forget", 0) != 0};
    run_direction(context.node, *parts, cell, d, reverse || d == 1, y);
  }
  return results(context, inputs[0].dtype(), *parts, std::move(y));
}

constexpr OpDef recurrent(std::string_view name, int max_inputs, int max_outputs,
                          std::span<const std::string_view> attributes) {
  return {.name = name,
          .min_inputs = 3,
          .max_inputs = max_inputs,
          .outputs_min = 0,
          .outputs_max = max_outputs,
          .attributes = attributes,
          .infer = infer,
          .reference = reference};
}

}  // namespace

const OpDef rnn_op = recurrent("RNN", 6, 2, k_rnn_attributes);
const OpDef gru_op = recurrent("GRU", 6, 2, k_gru_attributes);
const OpDef lstm_op = recurrent("LSTM", 8, 3, k_lstm_attributes);

}  // namespace octet
