#include "data/dataset.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <cstring>
#include <set>

#include "data/npy.h"
#include "fixtures.h"

namespace octet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DatasetTest : public InFolder {
 protected:
  std::unique_ptr<Dataset> open(const std::string& where, const DatasetOptions& options = {}) {
    Result<std::unique_ptr<Dataset>> data = open_dataset(where, options);
    if (data) return std::move(*data);
    ADD_FAILURE() << data.error().message;
    return nullptr;
  }
  static std::string error_of(const std::string& where, const DatasetOptions& options = {}) {
    const Result<std::unique_ptr<Dataset>> data = open_dataset(where, options);
    return data ? "accepted" : data.error().message;
  }
  static std::vector<std::string> names(const Dataset& data) {
    std::vector<std::string> all;
    for (int64_t i = 0; i < data.size(); ++i) all.push_back(data.sample_name(i));
    return all;
  }
  static std::vector<float> read(const Dataset& data, int64_t i, const Dims& dims) {
    std::vector<float> out(static_cast<size_t>(*element_count(dims)));
    const Result<Done> done = data.read(i, dims, out);
    EXPECT_TRUE(done) << done.error().message;
    return out;
  }
  static std::string read_error(const Dataset& data, const Dims& dims) {
    std::vector<float> out(static_cast<size_t>(*element_count(dims)));
    const Result<Done> done = data.read(0, dims, out);
    return done ? "accepted" : done.error().message;
  }
  /// A PPM of one colour.
  void picture(const std::string& name, int w, int h, uint8_t red, uint8_t green, uint8_t blue) {
    std::string text = "P6 " + std::to_string(w) + " " + std::to_string(h) + " 255\n";
    for (int i = 0; i < w * h; ++i) text += {static_cast<char>(red), static_cast<char>(green), static_cast<char>(blue)};
    write(name, text);
  }
  std::string cifar(const std::string& name, int records) {
    std::string bytes;
    for (int i = 0; i < records; ++i) {
      bytes += static_cast<char>(i % 10);
      bytes += std::string(1024, static_cast<char>(i)) + std::string(1024, '\x10') + std::string(1024, '\xff');
    }
    return write(name, bytes);
  }
};

TEST_F(DatasetTest, sorts_a_folder_by_name_and_takes_sub_folders_as_classes) {
  picture("d/b/2.ppm", 2, 1, 1, 2, 3);
  picture("d/a/9.ppm", 2, 1, 4, 5, 6);
  picture("d/a/10.ppm", 2, 1, 7, 8, 9);
  write("d/a/readme.md", "passed over");
  const auto data = open(path("d"));
  EXPECT_THAT(names(*data), ElementsAre("a/10.ppm", "a/9.ppm", "b/2.ppm"));
  EXPECT_THAT(data->labels(0), ElementsAre(0));
  EXPECT_THAT(data->labels(2), ElementsAre(1));
  EXPECT_THAT(read(*data, 1, {3, 1, 2}), ElementsAre(4, 4, 5, 5, 6, 6));
  EXPECT_THAT(read(*data, 1, {1, 3, 1, 2}), ElementsAre(4, 4, 5, 5, 6, 6));
}

TEST_F(DatasetTest, reads_label_files_of_every_form) {
  picture("d/x.ppm", 1, 1, 0, 0, 0);
  picture("d/y.ppm", 1, 1, 0, 0, 0);
  const std::vector<std::pair<std::string, std::string>> forms = {
      {"d/labels.txt", "x.ppm 3\ny.ppm 4 5\n"},
      {"d/labels.txt", "# comment\r\nx.ppm,3\r\n\r\ny.ppm,4,5\r\n"},
      {"d/labels.csv", "file,accepted_classes\ny.ppm,4|5\nx.ppm,3\nnot_here.ppm,9\n"},
      {"d_labels.csv", "index,label,file\n0,3,x.ppm\n1,4 5,y.ppm"},
  };
  for (const auto& [name, text] : forms) {
    write(name, text);
    const auto data = open(path("d"));
    EXPECT_THAT(data->labels(0), ElementsAre(3)) << text;
    EXPECT_THAT(data->labels(1), ElementsAre(4, 5)) << text;
    const auto with_slash = open(path("d/"));
    EXPECT_THAT(with_slash->labels(1), ElementsAre(4, 5)) << text;
    std::filesystem::remove(path(name));
  }
  EXPECT_TRUE(open(path("d"))->labels(0).empty());
  EXPECT_THAT(open(path("d"), {.labels = write("other", "x.ppm 8\ny.ppm 9\n")})->labels(1), ElementsAre(9));
}

TEST_F(DatasetTest, says_what_is_wrong_with_labels) {
  picture("d/x.ppm", 1, 1, 0, 0, 0);
  const auto with = [&](const std::string& text) {
    write("d/labels.txt", text);
    return error_of(path("d"));
  };
  EXPECT_THAT(with("y.ppm 1\n"), HasSubstr("labels.txt: has no line for 'x.ppm'"));
  EXPECT_THAT(with("x.ppm 1\nx.ppm 2\n"), HasSubstr("'x.ppm' occurs twice"));
  EXPECT_THAT(with("\nx.ppm cat\n"), HasSubstr("line 2: 'cat' is not a class number"));
  EXPECT_THAT(with("x.ppm -1\n"), HasSubstr("'-1' is not a class number"));
  EXPECT_THAT(with("x.ppm,\n"), HasSubstr("names no class"));
  EXPECT_THAT(with("file,label\nx.ppm\n"), HasSubstr("fewer columns than the header"));
}

TEST_F(DatasetTest, refuses_folders_whose_classes_are_unclear) {
  picture("d/a/b/x.ppm", 1, 1, 0, 0, 0);
  EXPECT_THAT(error_of(path("d")), HasSubstr("holds no pictures of its own"));
  picture("e/x.ppm", 1, 1, 0, 0, 0);
  picture("e/a/y.ppm", 1, 1, 0, 0, 0);
  EXPECT_THAT(error_of(path("e")), HasSubstr("pictures and folders side by side"));
  std::filesystem::create_directories(path("empty"));
  EXPECT_THAT(error_of(path("empty")), HasSubstr("holds no pictures"));
  EXPECT_THAT(error_of(path("nowhere")), HasSubstr("nowhere: cannot open"));
}

TEST_F(DatasetTest, names_pictures_of_kinds_that_are_not_read) {
  picture("d/a/x.ppm", 1, 1, 0, 0, 0);
  write("d/a/z.gif", "GIF89a");
  write("d/a/y.WEBP", "RIFF");
  EXPECT_THAT(error_of(path("d")), HasSubstr("d/a/y.WEBP: not a picture that octet reads (JPEG, PNG, BMP"));
  // Not taken for a row of floats, unless asked to.
  write("one.tiff", "II*");
  EXPECT_THAT(read_error(*open(path("one.tiff")), {3, 1, 1}), HasSubstr("one.tiff: not a picture that octet reads"));
  for (const char* name : {"f.tiff", "f.png", "f.npy"}) {
    write(name, std::string(8, '\0'));
    EXPECT_EQ(open("raw:" + path(name), {.sample_dims = {2}})->size(), 1) << name;
  }
}

TEST_F(DatasetTest, names_the_sample_that_does_not_fit_or_cannot_be_read) {
  picture("x.ppm", 5, 4, 0, 0, 0);
  const auto data = open(path("x.ppm"));
  EXPECT_EQ(data->size(), 1);
  EXPECT_THAT(
      read_error(*data, {3, 4, 4}),
      HasSubstr("sample 'x.ppm': the picture gives [3,4,5] after preprocess 'none', the network's input is [3,4,4]"));
  EXPECT_THAT(read_error(*data, {1, 4, 5}), HasSubstr("the network's input is [1,4,5]"));
  write("y.jpg", "no picture");
  EXPECT_THAT(read_error(*open(path("y.jpg")), {3, 1, 1}), HasSubstr("y.jpg: not a picture that octet reads"));
  EXPECT_THAT(error_of(path("gone.png")), HasSubstr("gone.png: cannot open"));
  EXPECT_THAT(error_of(path("x.ppm"), {.preprocess = "foo"}), HasSubstr("word 'foo' is not known"));
}

TEST_F(DatasetTest, refuses_to_blow_a_thin_picture_up) {
  picture("x.ppm", 60000, 1, 0, 0, 0);
  EXPECT_THAT(read_error(*open(path("x.ppm"), {.preprocess = "imagenet"}), {3, 224, 224}),
              HasSubstr("which is too large"));
}

TEST_F(DatasetTest, reads_cifar_records) {
  const auto data = open(cifar("c.bin", 12), {.preprocess = "cifar10"});
  EXPECT_EQ(data->size(), 12);
  EXPECT_THAT(data->labels(11), ElementsAre(1));
  const std::vector<float> x = read(*data, 11, {3, 32, 32});
  EXPECT_EQ(x[0], (11 / 255.0f - 0.4914f) / 0.2470f);
  EXPECT_EQ(x[1024], (16 / 255.0f - 0.4822f) / 0.2435f);
  EXPECT_EQ(x[3071], (1.0f - 0.4465f) / 0.2616f);
  EXPECT_EQ(read(*open(path("c.bin")), 11, {3, 32, 32})[0], 11);
  std::string odd(3073, '\x0b');
  EXPECT_THAT(error_of(write("odd.bin", odd)), HasSubstr("record 0 has label 11, so this is not CIFAR-10"));
}

TEST_F(DatasetTest, limits_in_name_order_and_takes_seeded_subsets) {
  const std::string file = cifar("c.bin", 50);
  EXPECT_THAT(names(*open(file, {.limit = 3})), ElementsAre("0", "1", "2"));
  EXPECT_EQ(open(file, {.limit = 99})->size(), 50);
  const auto subset = [&](uint64_t seed) { return names(*open(file, {.limit = 10, .shuffle = seed})); };
  EXPECT_EQ(subset(1), subset(1));
  EXPECT_NE(subset(1), subset(2));
  std::vector<int> order;
  for (const std::string& name : subset(1)) order.push_back(std::stoi(name));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(std::set<int>(order.begin(), order.end()).size(), 10u);
  EXPECT_THAT(error_of(file, {.limit = -1}), HasSubstr("limit of -1"));
}

TEST_F(DatasetTest, hashes_names_and_bytes_of_the_chosen_samples) {
  picture("d/x.ppm", 1, 1, 1, 2, 3);
  picture("d/y.ppm", 1, 1, 1, 2, 3);
  const std::string before = open(path("d"))->hash();
  EXPECT_EQ(before.size(), 16u);
  EXPECT_EQ(open(path("d/"))->hash(), before);
  EXPECT_NE(open(path("d"), {.limit = 1})->hash(), before);
  picture("d/y.ppm", 1, 1, 1, 2, 4);
  EXPECT_NE(open(path("d"))->hash(), before);
  picture("d/y.ppm", 1, 1, 1, 2, 3);
  EXPECT_EQ(open(path("d"))->hash(), before);
  std::filesystem::rename(path("d/y.ppm"), path("d/z.ppm"));
  EXPECT_NE(open(path("d"))->hash(), before);
}

TEST_F(DatasetTest, reads_arrays_with_labels_beside_them) {
  write("x.npy", array_bytes("npy_f4"));
  const auto plain = open(path("x.npy"));
  EXPECT_EQ(plain->size(), 2);
  EXPECT_TRUE(plain->labels(0).empty());
  EXPECT_THAT(read(*plain, 1, {3}), ElementsAre(3, 4, 5));
  EXPECT_THAT(read(*plain, 1, {1, 3}), ElementsAre(3, 4, 5));
  EXPECT_THAT(read_error(*plain, {4}), HasSubstr("the array's samples are [3], the network's input is [4]"));
  write("x.npy.labels.npy", *npy_bytes(s64_tensor({2, 2}, std::vector<int64_t>{4, -1, 7, 8})));
  EXPECT_THAT(open(path("x.npy"))->labels(0), ElementsAre(4));
  EXPECT_THAT(open(path("x.npy"))->labels(1), ElementsAre(7, 8));
  write("x.npy.labels.npy", *npy_bytes(s64_tensor({3}, std::vector<int64_t>{4, 1, 7})));
  EXPECT_THAT(error_of(path("x.npy")), HasSubstr("labels [3] do not fit 2 samples"));
}

TEST_F(DatasetTest, finds_the_csv_of_an_array_by_its_stem) {
  write("cats_rgb_u8.npy", array_bytes("npy_f4"));
  write("cats_labels.csv", "index,file,accepted_classes\n0,a.jpg,281|282\n1,b.jpg,7\n");
  EXPECT_THAT(open(path("cats_rgb_u8.npy"))->labels(0), ElementsAre(281, 282));
  write("cats_labels.csv", "3\n5\n");
  EXPECT_THAT(open(path("cats_rgb_u8.npy"))->labels(1), ElementsAre(5));
}

TEST_F(DatasetTest, reads_an_archive_by_the_input_name) {
  const std::string file = write("a.npz", array_bytes("npz_deflated"));
  const auto data = open(file);
  EXPECT_THAT(data->labels(0), ElementsAre(7));
  EXPECT_TRUE(data->labels(1).empty());  // -1 is no class
  EXPECT_THAT(read(*open(file, {.input = "x"}), 0, {3}), ElementsAre(0, 1, 2));
  EXPECT_THAT(error_of(file, {.input = "mask"}), HasSubstr("has no array 'mask'; has: x"));
}

TEST_F(DatasetTest, treats_uint8_arrays_as_pixels_and_floats_with_care) {
  const std::vector<uint8_t> pixels{10, 20, 30, 40, 50, 60};
  write("u.npy", *npy_bytes(Tensor::from<uint8_t>(DType::u8, {1, 3, 1, 2}, pixels)));
  EXPECT_THAT(read(*open(path("u.npy")), 0, {3, 1, 2}), ElementsAre(10, 20, 30, 40, 50, 60));
  const std::vector<float> normed = read(*open(path("u.npy"), {.preprocess = "bgr,norm=half"}), 0, {3, 1, 2});
  EXPECT_EQ(normed[0], (50 / 255.0f - 0.5f) / 0.5f);
  const std::vector<float> floats(pixels.begin(), pixels.end());
  write("f.npy", *npy_bytes(f32_tensor({1, 3, 1, 2}, floats)));
  EXPECT_EQ(read(*open(path("f.npy"), {.preprocess = "bgr,norm=half"}), 0, {3, 1, 2}), normed);
  EXPECT_THAT(read_error(*open(path("f.npy"), {.preprocess = "imagenet"}), {3, 1, 2}),
              HasSubstr("float arrays take only a norm"));
  write("g.npy", *npy_bytes(f32_tensor({1, 3, 1, 2}, std::vector<float>{0, .5f, .25f, 1, 1, 1})));
  EXPECT_THAT(read_error(*open(path("g.npy"), {.preprocess = "norm=half"}), {3, 1, 2}),
              HasSubstr("would scale them twice"));
}

TEST_F(DatasetTest, reads_raw_floats) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const std::string file = write("x.raw", std::as_bytes(std::span(values)));
  EXPECT_EQ(open(file)->size(), 1);
  EXPECT_THAT(read(*open(file), 0, {2, 3}), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(read(*open("raw:" + file, {.sample_dims = {3}}), 1, {3}), ElementsAre(4, 5, 6));
  EXPECT_THAT(read_error(*open(file), {2, 2}), HasSubstr("24 bytes a sample, the input [2,2] of f32 takes 16"));
  EXPECT_THAT(error_of(file, {.sample_dims = {4}}), HasSubstr("holds 24 bytes, expected f32 samples of [4]"));
  EXPECT_THAT(error_of(file, {.preprocess = "cifar10"}), HasSubstr("raw floats are taken as they are"));
}

TEST_F(DatasetTest, makes_noise_that_is_the_same_every_time) {
  const auto data = open("synthetic:1000");
  EXPECT_EQ(data->size(), 1000);
  EXPECT_TRUE(data->labels(0).empty());
  EXPECT_EQ(read(*data, 5, {4}), read(*open("synthetic:6"), 5, {4}));
  EXPECT_NE(read(*data, 5, {4}), read(*data, 6, {4}));
  double sum = 0, squares = 0;
  for (const float x : read(*data, 0, {3, 64, 64})) {
    sum += x;
    squares += static_cast<double>(x) * x;
  }
  EXPECT_NEAR(sum / 12288, 0, 0.05);
  EXPECT_NEAR(squares / 12288, 1, 0.05);
  for (const float x : read(*open("synthetic:1", {.preprocess = "imagenet"}), 0, {3, 8, 8})) EXPECT_LT(std::abs(x), 3);
  EXPECT_THAT(error_of("synthetic:0"), HasSubstr("expected synthetic:N"));
  EXPECT_THAT(error_of("synthetic:9x"), HasSubstr("expected synthetic:N"));
}

TEST(RealData, holds_labels_and_pictures_as_its_readme_says) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string base = std::string(root) + "/";
  const Result<std::unique_ptr<Dataset>> photos = open_dataset(base + "images/photos", {.preprocess = "imagenet"});
  ASSERT_TRUE(photos) << photos.error().message;
  EXPECT_EQ((*photos)->size(), 14);
  std::vector<float> out(3 * 224 * 224);
  for (int64_t i = 0; i < 14; ++i) {
    EXPECT_FALSE((*photos)->labels(i).empty());
    const Result<Done> done = (*photos)->read(i, {3, 224, 224}, out);
    EXPECT_TRUE(done) << done.error().message;
  }
  const Result<std::unique_ptr<Dataset>> array = open_dataset(base + "images/imagenet17_rgb_u8.npy", {});
  ASSERT_TRUE(array) << array.error().message;
  EXPECT_THAT((*array)->labels(5), ElementsAre(281, 282, 285));
  const Result<std::unique_ptr<Dataset>> cifar = open_dataset(base + "cifar10/test_batch.bin", {});
  ASSERT_TRUE(cifar) << cifar.error().message;
  EXPECT_EQ((*cifar)->size(), 10000);
}

TEST(RealData, photographs_come_out_as_the_prepared_pixels) {
  const char* root = std::getenv("OCTET_DATA");
  if (!root) GTEST_SKIP() << "OCTET_DATA is not set";
  const std::string base = std::string(root) + "/images/";
  const Result<Tensor> prepared = read_npy(base + "imagenet17_rgb_u8.npy");
  ASSERT_TRUE(prepared) << prepared.error().message;
  const auto same = [&](const std::string& file, int64_t index) {
    const auto data = open_dataset(base + "photos/" + file, {.preprocess = "resize=256,crop=224,pixels,mean=0,std=1"});
    std::vector<float> out(3 * 224 * 224);
    if (!data || !(*data)->read(0, {3, 224, 224}, out)) return int64_t{-1};
    int64_t differing = 0;
    for (size_t i = 0; i < out.size(); ++i) {
      differing += out[i] != prepared->at<uint8_t>(index * static_cast<int64_t>(out.size()) + static_cast<int64_t>(i));
    }
    return differing;
  };
  EXPECT_EQ(same("daisy.jpg", 0), 0);
  EXPECT_EQ(same("kimono.jpg", 3), 0);
  EXPECT_EQ(same("bird.bmp", 7), 0);
  EXPECT_EQ(same("parrot.jpg", 16), 0);
}

}  // namespace
}  // namespace octet
