// The report of repairs, and what every command says of those that change answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "octet/repairs.h"
#include "octet/tasks.h"
#include "onnx/model_builder.h"

namespace octet {
namespace {

using test::ModelBuilder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Repairs : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path); }
  Result<Model> load(const ModelBuilder& built, const LoadOptions& options = {}) {
    const std::vector<std::byte> bytes = built.bytes();
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return Model::load(path, options);
  }
  std::string path = testing::TempDir() + "octet_repairs_" + std::to_string(::getpid()) + ".onnx";
};

template <class T>
Tensor number(DType dtype, T value) {
  return Tensor::from<T>(dtype, {}, std::span(&value, 1));
}

/// An operator form of a, a u8 graph input [1,4].
ModelBuilder operator_form(const test::NodeSpec& node) {
  ModelBuilder built(13);
  built.import_opset("com.microsoft", 1).input("a", {1, 4}, DType::u8);
  built.initializer("s", scalar_f32(0.5f)).initializer("z", number<uint8_t>(DType::u8, 3));
  return built.node(node).output("y");
}

// com.microsoft's kernels round more than once in places: their rows are not called lossless. QLinearMatMul's is exact.
TEST_F(Repairs, operator_forms_are_lossless_only_where_the_standard_defines_them) {
  const Result<Model> add =
      load(operator_form({"QLinearAdd", {"a", "s", "z", "a", "s", "z", "s", "z"}, {"y"}, {}, "sum", "com.microsoft"}));
  ASSERT_TRUE(add) << add.error().message;
  ASSERT_EQ(add->repairs().size(), 2u);  // and one DequantizeLinear for both operands
  EXPECT_EQ(add->repairs()[0].repair, "operator_forms");
  EXPECT_THAT(add->repairs()[0].change, HasSubstr("ONNX Runtime's own kernel may be one code off"));
  EXPECT_THAT(lossy_repairs(*add), ElementsAre(HasSubstr("repair operator_forms: 1 mended, 'sum': QLinearAdd -> ")));
  EXPECT_THAT(repairs_text(*add, "", false), HasSubstr("\n2 edits\n"));
  const int8_t codes[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  ModelBuilder product = operator_form({"QLinearMatMul", {"a", "s", "z", "w", "s", "wz", "s", "z"}, {"y"}, {}, "p"});
  product.initializer("w", Tensor::from<int8_t>(DType::s8, {4, 4}, codes));
  const Result<Model> exact = load(product.initializer("wz", number<int8_t>(DType::s8, 0)));
  ASSERT_TRUE(exact) << exact.error().message;
  ASSERT_EQ(exact->repairs().size(), 1u);
  EXPECT_EQ(exact->repairs()[0].change, "");
  EXPECT_THAT(lossy_repairs(*exact), IsEmpty());
}

TEST_F(Repairs, one_edit_and_two_edits_are_counted_in_words_that_fit) {
  ModelBuilder built(13);
  built.input("x", {1, 4}).initializer("s", scalar_f32(0.5f)).initializer("z", number<uint8_t>(DType::u8, 128));
  built.node({"QuantizeLinear", {"x", "s", "z"}, {"q"}, {}, "q"});
  built.node({"DequantizeLinear", {"q", "s", "z"}, {"y"}, {}, "d"}).output("y");
  const Result<Model> model = load(built);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT(repairs_text(*model, "m.onnx", true), HasSubstr("\n1 edit, wrote m.onnx\n"));
  const Result<Model> none = load(built, {.skip_passes = {}, .skip_repairs = {"unsigned_128"}});
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_THAT(repairs_text(*none, "", true), HasSubstr(": nothing to mend\n"));
}

// 0.3 is 2.4 steps of 0.5 * 0.25. What is written holds the rounded bias, so that nothing is left to a second run.
TEST_F(Repairs, a_bias_added_behind_a_matrix_product_is_told_and_rounded_once_for_all) {
  const int8_t codes[4] = {1, 2, 3, 4};
  const float biases[2] = {0.3f, 0.25f};
  ModelBuilder built(13);
  built.input("x", {4, 2}).initializer("s", scalar_f32(0.5f)).initializer("z", number<int8_t>(DType::s8, 0));
  built.initializer("w", Tensor::from<int8_t>(DType::s8, {2, 2}, codes)).initializer("ws", scalar_f32(0.25f));
  built.initializer("b", Tensor::from<float>(DType::f32, {2}, biases));
  built.node({"QuantizeLinear", {"x", "s", "z"}, {"q"}, {}, "q"});
  built.node({"DequantizeLinear", {"q", "s", "z"}, {"d"}, {}, "d"});
  built.node({"DequantizeLinear", {"w", "ws", "z"}, {"dw"}, {}, "dw"});
  built.node({"MatMul", {"d", "dw"}, {"m"}, {}, "fc"}).node({"Add", {"m", "b"}, {"y"}, {}, "sum"}).output("y");
  const Result<Model> model = load(built);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT(lossy_repairs(*model),
              ElementsAre(HasSubstr("repair biases: 1 mended, 'fc': f32 bias -> s32 bias on the grid x_scale * "
                                    "w_scale; rounded once, by up to 0.05")));
  const std::string mended = path + ".mended.onnx";
  const Result<Done> saved = model->save(mended);
  ASSERT_TRUE(saved) << saved.error().message;
  const Result<Model> again = Model::load(mended);
  std::filesystem::remove(mended);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->repairs().size(), 0u);
}

TEST_F(Repairs, codes_that_are_an_output_are_told_as_left_alone) {
  ModelBuilder built(13);
  built.input("x", {1, 4}).initializer("s", scalar_f32(0.5f)).initializer("z", number<uint8_t>(DType::u8, 128));
  built.node({"QuantizeLinear", {"x", "s", "z"}, {"y"}, {}, "q"}).output("y");
  const Result<Model> model = load(built);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT(repairs_text(*model, "", false),
              HasSubstr("left alone: node 'q' (QuantizeLinear): its codes keep u8 zero point 128, since they are the "
                        "network's output 'y'\n"));
}

}  // namespace
}  // namespace octet
