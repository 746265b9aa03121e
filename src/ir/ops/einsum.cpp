// Einsum(x, ...; equation): y[out labels] = sum over the other labels of the product of all inputs. "..." stands for
// leading axes that broadcast. Without "->" the output has the ellipsis, then the labels that occur once, in
// alphabetical order. Source: ONNX operator Einsum, opset 12; NumPy's einsum. Sums in double, one rounding; integers
// are exact up to 2^53.
#include <algorithm>
#include <cctype>
#include <map>

#include "ir/ops/common.h"
#include "ir/ops/fused.h"

namespace octet {
namespace {

constexpr std::string_view k_attributes[] = {"equation"};

/// A label: a letter, or 256 + k for the k-th ellipsis axis counted from the back.
using Labels = std::vector<int>;
constexpr int k_ellipsis = 256;

struct Term {
  Labels before, after;  // letters around the ellipsis
  bool has_ellipsis = false;
};

Result<Term> parse_term(const NodeContext& context, std::string_view text) {
  Term term;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ') continue;
    if (text.substr(i, 3) == "..." && !term.has_ellipsis) {
      term.has_ellipsis = true;
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(c))) {
      (term.has_ellipsis ? term.after : term.before).push_back(c);
    } else {
      return context.error("equation term '" + std::string(text) + "' holds '" + std::string(1, c) +
                           "', expected letters and at most one '...'");
    }
  }
  return term;
}

struct Equation {
  std::vector<Term> inputs;
  std::optional<Term> output;
};

Result<Equation> parse_equation(const NodeContext& context) {
  const std::string text = string_attribute(context.node, "equation", "");
  const size_t arrow = text.find("->");
  std::string_view left = std::string_view(text).substr(0, arrow);
  Equation made;
  for (;;) {
    const size_t comma = left.find(',');
    Result<Term> term = parse_term(context, left.substr(0, comma));
    if (!term) return term.error();
    made.inputs.push_back(std::move(*term));
    if (comma == std::string_view::npos) break;
    left.remove_prefix(comma + 1);
  }
  if (made.inputs.size() != context.input_count())
    return context.error("equation '" + text + "' has " + std::to_string(made.inputs.size()) + " terms for " +
                         std::to_string(context.input_count()) + " inputs");
  if (arrow == std::string::npos) return made;
  Result<Term> output = parse_term(context, std::string_view(text).substr(arrow + 2));
  if (!output) return output.error();
  made.output = std::move(*output);
  return made;
}

/// The term's labels for an input of this rank.
Result<Labels> labels_of(const NodeContext& context, const Term& term, size_t rank, size_t input) {
  const size_t named = term.before.size() + term.after.size();
  if (named > rank || (named < rank && !term.has_ellipsis))
    return context.error("the equation names " + std::to_string(named) + " axes of input " + std::to_string(input) +
                         ", which has " + std::to_string(rank));
  Labels labels = term.before;
  for (size_t k = rank - named; k-- > 0;) labels.push_back(k_ellipsis + static_cast<int>(k));
  labels.insert(labels.end(), term.after.begin(), term.after.end());
  return labels;
}

struct Plan {
  std::vector<Labels> inputs;
  Labels output;
  std::map<int, Dim> extents;
};

/// Labels and extents for inputs of these shapes.
Result<Plan> plan_of(const NodeContext& context, const std::vector<Shape>& shapes) {
  Result<Equation> equation = parse_equation(context);
  if (!equation) return equation.error();
  Plan plan;
  std::map<int, int> uses;
  int ellipsis = 0;  // axes that "..." stands for at most
  for (size_t i = 0; i < shapes.size(); ++i) {
    Result<Labels> labels = labels_of(context, equation->inputs[i], shapes[i].size(), i);
    if (!labels) return labels.error();
    for (size_t d = 0; d < labels->size(); ++d) {
      const int label = (*labels)[d];
      ++uses[label];
      if (label >= k_ellipsis) ellipsis = std::max(ellipsis, label - k_ellipsis + 1);
      const auto [at, is_new] = plan.extents.emplace(label, shapes[i][d]);
      const std::optional<Dim> both = is_new ? std::optional(shapes[i][d]) : broadcast_dim(at->second, shapes[i][d]);
      if (!both)
        return context.error("a label of the equation has the extents " + to_string(Shape{at->second}) + " and " +
                             to_string(Shape{shapes[i][d]}));
      at->second = *both;
    }
    plan.inputs.push_back(std::move(*labels));
  }
  Term output;
  if (equation->output) {
    output = *equation->output;
  } else {
    output.has_ellipsis = true;
    for (const auto& [label, count] : uses)
      if (label < k_ellipsis && count == 1) output.after.push_back(label);
  }
  plan.output = output.before;
  for (int k = ellipsis; output.has_ellipsis && k-- > 0;) plan.output.push_back(k_ellipsis + k);
  plan.output.insert(plan.output.end(), output.after.begin(), output.after.end());
  for (const int label : plan.output)
    if (!plan.extents.contains(label))
      return context.error("the output names '" + std::string(1, static_cast<char>(label)) + "', which no input has");
  return plan;
}

Result<ValueTypes> infer(const NodeContext& context) {
  std::vector<Shape> shapes;
  for (size_t i = 0; i < context.input_count(); ++i) {
    if (Result<Done> ok = require_same_dtype(context, 0, i); !ok) return ok.error();
    if (!context.shape(i)) return typed(context);
    shapes.push_back(*context.shape(i));
  }
  if (context.dtype(0) == DType::boolean) return context.error("is not defined for bool");
  Result<Plan> plan = plan_of(context, shapes);
  if (!plan) return plan.error();
  Shape y;
  for (const int label : plan->output) y.push_back(plan->extents.at(label));
  return typed(context, std::move(y));
}

/// Stride of a label in a dense tensor: the sum over its axes (a diagonal), 0 for an axis of extent 1 that broadcasts.
int64_t stride_of(const Labels& labels, const Dims& dims, int label) {
  const std::vector<int64_t> strides = row_major_strides(dims);
  int64_t sum = 0;
  for (size_t d = 0; d < dims.size(); ++d)
    if (labels[d] == label && dims[d] != 1) sum += strides[d];
  return sum;
}

/// Offsets of all inputs for every index over `labels`, in row-major order.
std::vector<std::vector<int64_t>> offsets_over(const Plan& plan, std::span<const Tensor> inputs, const Labels& labels) {
  std::vector<std::vector<int64_t>> offsets(inputs.size());
  Dims dims;
  for (const int label : labels) dims.push_back(plan.extents.at(label).value);
  for (size_t i = 0; i < inputs.size(); ++i) {
    std::vector<int64_t> strides;
    for (const int label : labels) strides.push_back(stride_of(plan.inputs[i], inputs[i].dims(), label));
    for_each_index<1>(dims, std::array{strides},
                      [&](int64_t, const std::array<int64_t, 1>& at) { offsets[i].push_back(at[0]); });
  }
  return offsets;
}

Result<Tensors> reference(const NodeContext& context, std::span<const Tensor> inputs) {
  std::vector<Shape> shapes;
  std::vector<std::vector<double>> x;
  for (const Tensor& t : inputs) {
    shapes.push_back(to_shape(t.dims()));
    x.push_back(to_doubles(t));
  }
  Result<Plan> plan = plan_of(context, shapes);
  if (!plan) return plan.error();
  Labels summed;
  Dims y_dims, summed_dims;
  for (const auto& [label, extent] : plan->extents)
    if (std::find(plan->output.begin(), plan->output.end(), label) == plan->output.end()) {
      summed.push_back(label);
      summed_dims.push_back(extent.value);
    }
  for (const int label : plan->output) y_dims.push_back(plan->extents.at(label).value);
  if (!element_count(y_dims) || !element_count(summed_dims))
    return context.error("output " + to_string(y_dims) + " is too large");
  const auto outer = offsets_over(*plan, inputs, plan->output), inner = offsets_over(*plan, inputs, summed);
  std::vector<double> y(static_cast<size_t>(*element_count(y_dims)));
  for (size_t o = 0; o < y.size(); ++o) {
    for (size_t s = 0; s < static_cast<size_t>(*element_count(summed_dims)); ++s) {
      double product = 1;
      for (size_t i = 0; i < x.size(); ++i) product *= x[i][static_cast<size_t>(outer[i][o] + inner[i][s])];
      y[o] += product;
    }
  }
  if (is_float(inputs[0].dtype())) return from_doubles(context, inputs[0].dtype(), y_dims, y);
  return with_number_type(context, inputs[0].dtype(), [&]<class T>(T) -> Result<Tensors> {
    std::vector<T> values;
    for (const double v : y) values.push_back(static_cast<T>(static_cast<Wide<T>>(static_cast<int64_t>(v))));
    return Tensors{Tensor::from<T>(inputs[0].dtype(), y_dims, values)};
  });
}

}  // namespace

const OpDef einsum_op = {
    .name = "Einsum", .max_inputs = -1, .attributes = k_attributes, .infer = infer, .reference = reference};

}  // namespace octet
