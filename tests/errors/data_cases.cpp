// Pictures, arrays, archives, ranges files and preprocessing specs.
#include "data/image_io.h"
#include "data/npy.h"
#include "data/preprocess.h"
#include "errors/cases.h"
#include "octet/model.h"
#include "octet/ranges.h"

namespace octet::errors {
namespace {

std::string npy(const std::string& header, const std::string& payload = "") {
  std::string text = header + "\n";
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(text.size()) + '\0' + text + payload;
}

const std::string k_bmp_head =
    std::string("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0\x01\0\x18\0\0\0\0\0", 34) +
    std::string(20, '\0');

}  // namespace

std::vector<Case> data_cases() {
  std::vector<Case> cases;
  const auto picture = [&](const std::string& name, const std::string& bytes) {
    cases.push_back({name, [=] { return error_of(read_image(scratch_file(name + ".img", bytes))); }});
  };
  picture("picture_empty", "");
  picture("picture_text", "a cat");
  picture("picture_jpeg_cut", "\xff\xd8\xff\xe0\x00\x10JFIF");
  picture("picture_png_cut", "\x89PNG\r\n\x1a\n\x00\x00");
  picture("picture_bmp_cut", k_bmp_head.substr(0, 20));
  picture("picture_bmp_without_pixels", k_bmp_head);
  picture("picture_ppm_cut", "P6 4 4 255\nabc");
  picture("picture_ppm_too_large", "P6 90000 90000 255\n");
  picture("picture_ppm_without_size", "P6 x y 255\n");

  const auto array = [&](const std::string& name, const std::string& bytes, const char* ending = ".npy") {
    cases.push_back({name, [=] {
                       const std::string path = scratch_file(name + ending, bytes);
                       return std::string(ending) == ".npz" ? error_of(read_npz(path)) : error_of(read_npy(path));
                     }});
  };
  array("npy_empty", "");
  array("npy_not_numpy", "0123456789abcdef");
  array("npy_header_cut", std::string("\x93NUMPY\x01\x00\x76\x00{'descr'", 18));
  array("npy_fortran_order", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", "abcd"));
  array("npy_big_endian", npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "abcd"));
  array("npy_objects", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "abcd"));
  array("npy_too_short", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "abcd"));
  array("npy_negative_shape", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }", "abcd"));
  array("npy_shape_too_large", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 99999999), }"));
  array("npz_empty", "", ".npz");
  array("npz_not_a_zip", "PK but no archive at all, just words", ".npz");
  array("npz_cut", std::string("PK\x03\x04\x14\0\0\0\0\0", 10) + std::string(40, 'x'), ".npz");

  const auto spec = [&](const char* name, const char* text) {
    cases.push_back({name, [text = std::string(text)] { return error_of(parse_preprocess(text)); }});
  };
  spec("preprocess_unknown_word", "rgb,sharpen");
  spec("preprocess_unknown_norm", "rgb,norm=mnist");
  spec("preprocess_bad_number", "resize=big");
  spec("preprocess_zero_crop", "crop=0");
  spec("preprocess_std_zero", "mean=0,std=0");
  spec("preprocess_four_means", "mean=1/2/3/4,std=1");

  const auto ranges = [&](const char* name, const char* text) {
    cases.push_back({name, [name = std::string(name), text = std::string(text)] {
                       return error_of(Ranges::load(scratch_file(name + ".json", text)));
                     }});
  };
  ranges("ranges_not_json", "amax 3");
  ranges("ranges_an_array", "[]");
  ranges("ranges_without_format", "{}");
  ranges("ranges_other_format", R"({"format": "trt-cache", "version": 1})");
  ranges("ranges_newer_version", R"({"format": "octet-ranges", "version": 999})");
  return cases;
}

}  // namespace octet::errors
