#include "octet/tensor.h"
#include "cli/terminal.h"

#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/options.h"

namespace octet::cli {
namespace {

struct Flags {
  TensorSpec one;
  HistogramSpec many;
  std::string bits = "8";
  std::vector<int64_t> axis;
  bool is_unsigned = false, ref_compat = false;
  OutputFlags output;
};

/// "8", or "e4m3" for the float of 4 and 3 bits.
CLI::Validator bits_word() {
  return CLI::Validator(
      [](std::string& text) {
        const bool number =
            !text.empty() && text.size() <= 2 && text.find_first_not_of("0123456789") == std::string::npos;
        return number || text == "e4m3" ? std::string() : "'" + text + "': a number of bits, or e4m3, is expected";
      },
      "");
}

void add_common(CLI::App& sub, Flags& f) {
  sub.set_help_flag("-h,--help", "this text");
  sub.add_option("--bits", f.bits, "signed 2 to 16, unsigned 1 to 16, or e4m3")
      ->capture_default_str()
      ->check(bits_word());
  sub.add_flag("--unsigned", f.is_unsigned, "codes from 0 on");
  sub.add_option("--axis", f.axis, "an axis that keeps its own amax (negative: from the end); several: --axis 0,1")
      ->delimiter(',')
      ->allow_extra_args(false);
  sub.add_flag("--ref-compat", f.ref_compat,
               "the pytorch-quantization toolkit's numbers to the last bit, defects included");
  sub.add_flag("--json", f.output.json, "one JSON object on stdout");
  sub.add_flag("--quiet", f.output.quiet, "print nothing when all went well");
}

void add_one(CLI::App& sub, Flags& f) {
  add_common(sub, f);
  sub.add_option("FILE", f.one.file, ".npy of float32 or float16")->required();
  sub.add_option("--amax", f.one.amax, "a number or a .npy (default: the largest |x|, for each index of --axis)");
  sub.add_flag("--full-range", f.one.full_range, "signed codes down to -2^(b-1); the default is symmetric");
  sub.add_option("-o,--output", f.one.output, ".npy to write")->check(file_name());
}

void add_many(CLI::App& sub, Flags& f) {
  add_common(sub, f);
  sub.add_option("FILES", f.many.files, ".npy files of float32 or float16, one batch each, in this order")->required();
  sub.add_option("--bins", f.many.num_bins,
                 "a power of two (default: 32 for each level, at least 4096; --ref-compat 2048)")
      ->check(at_least(1));
  sub.add_flag("--skip-zeros", f.many.skip_zeros, "leave zeros out");
  sub.add_flag("--skip-non-finite", f.many.skip_non_finite, "leave NaN and infinities out instead of refusing them");
  sub.add_flag("--numpy", f.many.numpy_hist,
               "with --ref-compat: the toolkit's NumPy histogram instead of its torch one");
}

/// The flags that both specs share.
void complete(Flags& f) {
  const NumBits bits = f.bits == "e4m3" ? NumBits::e4m3() : NumBits(std::stoi(f.bits));
  f.one.num_bits = f.many.num_bits = bits;
  f.one.is_unsigned = f.many.is_unsigned = f.is_unsigned;
  f.one.ref_compat = f.many.ref_compat = f.ref_compat;
  if (!f.axis.empty()) f.one.axis = f.many.axis = f.axis;
}

int print(const Result<TensorReport>& report, const OutputFlags& output) {
  if (!report) return fail(report.error());
  if (output.json) {
    std::printf("%s\n", report->json.c_str());
  } else if (!output.quiet) {
    show(stdout, report->text);
  }
  return 0;
}

Action add(CLI::App& sub) {
  auto f = std::make_shared<Flags>();
  sub.require_subcommand(1);
  CLI::App* quantize = sub.add_subcommand("quantize", "integers and their scale: tensor_quant");
  add_one(*quantize, *f);
  quantize->add_option("--scale-output", f->one.scale_output, ".npy of the scale");
  quantize->footer("Example:\n  octet tensor quantize w.npy --axis 0 -o codes.npy --scale-output scale.npy");
  CLI::App* fake = sub.add_subcommand("fake-quantize", "quantized and back again: fake_tensor_quant");
  add_one(*fake, *f);
  fake->footer("Example:\n  octet tensor fake-quantize x.npy --bits 4 --amax 2.5 -o y.npy");
  CLI::App* histogram = sub.add_subcommand("histogram", "counts and edges of |x| over all files");
  add_many(*histogram, *f);
  histogram->add_option("-o,--output", f->many.counts_output, ".npy of the counts (int64)")->check(file_name());
  histogram->add_option("--edges", f->many.edges_output, ".npy of the edges (float64)");
  histogram->footer("Example:\n  octet tensor histogram batch0.npy batch1.npy -o counts.npy --edges edges.npy");
  CLI::App* calibrate = sub.add_subcommand("calibrate", "amax over all files by max, entropy, percentile, mse");
  add_many(*calibrate, *f);
  f->many.method = "all";
  calibrate->add_option("--method", f->many.method, "max, entropy, percentile, mse, or all")
      ->capture_default_str()
      ->check(CLI::IsMember({"all", "max", "entropy", "percentile", "mse"}));
  calibrate->add_option("--percentile", f->many.percentile, "for percentile")
      ->capture_default_str()
      ->check(within_range(0, 100));
  calibrate->add_option("--stride", f->many.stride, "entropy (and mse with --ref-compat) tries every so many bins")
      ->capture_default_str()
      ->check(at_least(1));
  calibrate
      ->add_option("--start-bin", f->many.start_bin,
                   "first candidate (default: the number of levels; --ref-compat 128)")
      ->check(at_least(1));
  calibrate->add_option("-o,--output", f->many.amax_output, ".npy of the amax of one method")->check(file_name());
  calibrate->footer("Example:\n  octet tensor calibrate batch*.npy --method percentile --percentile 99.9");
  return [f, quantize, fake, histogram] {
    complete(*f);
    if (quantize->parsed()) return print(quantize_npy(f->one), f->output);
    if (fake->parsed()) return print(fake_quantize_npy(f->one), f->output);
    if (histogram->parsed()) return print(histogram_npy(f->many), f->output);
    return print(calibrate_npy(f->many), f->output);
  };
}

}  // namespace

extern const Command tensor_command;
const Command tensor_command = {"tensor", "the toolkit's functions on .npy files",
                                "octet tensor fake-quantize x.npy --bits 8 -o y.npy", add};

}  // namespace octet::cli
