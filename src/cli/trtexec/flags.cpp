#include "cli/trtexec/flags.h"

#include <array>

namespace octet::cli::trtexec {
namespace {

constexpr Verdict H = Verdict::honoured, M = Verdict::mapped, N = Verdict::silent, W = Verdict::warned,
                  E = Verdict::refused;

constexpr Flag k_flags[] = {
#define OCTET_TRT_FLAG(group, name, value, cpu, gpu, since, until, text) \
  {#group, #name, value, cpu, gpu, since, until, text},
#include "cli/trtexec/flags.def"
#undef OCTET_TRT_FLAG
};

struct Group {
  std::string_view name, title;
};
constexpr Group k_groups[] = {{"model", "Model options"},         {"build", "Build options"},
                              {"inference", "Inference options"}, {"reporting", "Reporting options"},
                              {"system", "System options"},       {"octet", "Options of octet's own"}};

std::string_view verdict_word(Verdict verdict) {
  constexpr std::array<std::string_view, 5> k_words = {"honoured", "mapped", "no effect", "no effect, warns", "error"};
  return k_words[static_cast<size_t>(verdict)];
}

std::string spelled(const Flag& flag) {
  std::string text = "--" + std::string(flag.name);
  return flag.value.empty() ? text : text + "=" + std::string(flag.value);
}

/// Bars would end a cell of the table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

std::string versions(const Flag& flag) {
  if (flag.group == "octet") return "octet";
  if (flag.since == flag.until) return std::to_string(flag.since);
  return std::to_string(flag.since) + "-" + std::to_string(flag.until);
}

constexpr std::string_view k_page_head =
    R"(# trtexec

`octet trtexec` takes the command line of NVIDIA's trtexec, versions 8 to 11; built with `-DOCTET_TRTEXEC_LINK=ON`, octet also installs a
link `trtexec`. This page is printed by `octet trtexec --describe`; a test holds it equal to that.

## The command line

* A flag is `--name` or `--name=value`, split at the first `=`. A switch is on when it is there: what follows `=` does not count.
* Numbers are read as C reads them: `10abc` is 10; without a digit, not finite or out of the flag's range it is an error that says the range.
  Sizes take B, K, M or G; lists are split at commas; `name:value` is split at the last colon, or `'name':value` with quotes around the name;
  a name may hold one `*`.
* A flag given twice (but for those that may repeat) is an unknown option the second time, as in trtexec.
* An unknown flag, a refused one and a bad value end with help on stdout, an `[E]` line that names the flag (and the one that was meant, where one is near), and exit status 1.
* Exit status: 0 passed, 1 failed. `[V]` and `[I]` lines go to stdout, `[W]`, `[E]` and `[F]` to stderr.
* What a flag is mapped to, or that it has no effect, is said once in the log. `--compat=8`, `9`, `10` or `11` narrows the flags to one version.

## The loop and its numbers

Queries run until there are `--iterations` of them after the warm-up and `--duration` seconds have gone by since; queries whose compute
starts within `--warmUp` are not measured. One query is one run of the network, whatever its batch.

| line | on a CPU | on a GPU, by its own events |
| --- | --- | --- |
| Enqueue Time | handing the query over; where the engine runs in the calling thread it is close to nothing | what the host takes to launch the query's graph, or its kernels |
| H2D Latency | copying the inputs into the buffers that the engine reads in place; 0 with `--noDataTransfers` | from pinned memory to the GPU; 0 likewise |
| GPU Compute Time | the run call (the name stays, because scripts look for it) | from the first kernel to the last |
| D2H Latency | copying the outputs back; 0 with `--noDataTransfers` | the same |
| Latency | the sum of the last three | the same |
| Total Host Walltime | from the start of the first measured query to the end of the last | the same |
| Throughput | measured queries / Total Host Walltime | the same |

On a GPU two queries of a stream are in flight: the inputs of the next one travel while the one before computes, the computes follow one another.
`--exposeDMA` leaves one. Streams are driven by one host thread, which hands their queries over in turns, or with `--threads` by one each; on a CPU that
thread hands them to a worker for each stream, and with `--threads` every stream computes in its own.

Percentile p of n values: the value at index `max(n - 1 - trunc((1 - p/100) n), 0)` of the sorted list, evaluated in float32; no interpolation.
Numbers taken with the defaults of 8 to 10 (transfers counted) and of 11 (not counted) differ; the log shows which mode was used.

Warnings: median Enqueue Time above 0.8 x median GPU Compute Time; median H2D or D2H at least the median GPU Compute Time; coefficient of
variance of GPU Compute Time above 1 % (with `--compat=11` 2.5 %); more than one stream.

## Files

`--exportProfile`, `--exportLayerInfo`, `--exportTimes` and `--exportOutput` have trtexec's keys and layout; names are escaped, which
trtexec does not do. A profile's layers do not quite sum up to the run: the log says what is left (`unattributed`), and the file keeps to
trtexec's form. Layer information is complete with `--profilingVerbosity=detailed`, for a plan that is loaded too, however it was built. TensorRT has no
unsigned codes inside a network: where octet has them the format says Int8, and a key `Codes` says `unsigned`.

Two readers of others take these files as they are: NVIDIA's TensorRT Engine Explorer (`tools/read_with_trex.py`; trt-engine-explorer 0.1.5 with pandas
3.1) and Polygraphy's trtexec back end, which also reads the log (`tools/read_with_polygraphy.py`; polygraphy-trtexec 0.0.9 with polygraphy 0.53.6).
`tools/read_trtexec_files.py` asks the same in every test run.

## Where octet differs

Flags do here what trtexec's do, but for these, each with its reason:

* `--profile`, `--useProfile`: octet plans the shapes that a plan is loaded for, so the tactics are those of the first profile's optimum in every one.
* `--refit`, `--refitFromOnnx`: integer weights and scales belong together, so a refit builds the plan again in its own precision and shapes, and an INT8
  plan takes them from a Q/DQ file. `--stripWeights` and its like are errors: there is no plan without its weights.
* `--layerPrecisions`, `--layerOutputTypes`: a network has one type for all its float layers. Where an INT8 layer has to end in float, the layers that read
  it run in float: octet does not make codes of a tensor that was asked for as float.
* `--inputIOFormats`, `--outputIOFormats`: codes are those of the network's own Q or DQ node there, so without one int8 is an error, where trtexec takes
  placeholder ranges; with `hwc`, `chw4` and `chw32` the plan's tensor has the dims of its memory, [N,H,W,C] or [N,C/4,H,W,4] (in files of `--loadInputs`, in
  `--shapes` beside `--loadEngine` and in the log); `--exportOutput` and `--dumpOutput` write values in the network's order. `fp16`, `chw4` and `chw32` are for a GPU, as in
  the table below; a plan with them runs on a CPU, too.
* `--exportLayerInfo`, `--exportProfile`: a fused layer's name joins all nodes of the ONNX file that it does by ` + `, in the file's order: the activation, the
  residual's Add, a folded BatchNormalization, Quantize and Dequantize nodes of weights and of activations (TensorRT leaves the latter out). `Metadata` lists them
  one by one, as TensorRT does. Each node that is needed for an output stands in exactly one layer; a layer that octet made by itself has no `Metadata`. There are no
  `PWN(...)` groups: an element-wise chain is joined by ` + `, too. Other commands call a layer by its product's name (Conv, Gemm, MatMul);
  `--layerPrecisions` and `--layerOutputTypes` take this name, the joined one and that of any part. A node's name that holds ` + ` is joined as it is, as in TensorRT.
* `--getPlanVersionOnly` goes on with what the rest of the plan says of itself, where it can be read.
* `--markDebug`: nothing is marked in a plan, since every tensor that a layer makes can be seen; `--saveDebugTensors` works on any plan.
* `--fp16 --int8`, `--best` on a GPU: of a network without Q/DQ nodes each layer runs in the type that is faster by measurement, and the whole in FP16 or
  FP32 where that is faster; of one with them the layers that they leave float run in FP16.
* `--noTF32`: without it FP32 products on a GPU are TF32's, as in trtexec; the plan says so, and runs in FP32 on a CPU. Other commands take TF32 by
  `--precision tf32` only.
* `--useCudaGraph`, `--useSpinWait`: off by default as in trtexec 8 to 10, on in 11. Other commands run a network as one CUDA graph always.
* `--allocationStrategy`: what a context computes with lies in the room that was made for the largest shapes; weights are shared in any case.

## Flags

honoured: as in trtexec. mapped: to something octet has, said in the log. no effect: accepted, said in the log. error: refused, naming the
flag. "trtexec" gives the versions that have the flag.
)";

}  // namespace

std::span<const Flag> all_flags() { return k_flags; }

const Flag* find_flag(std::string_view name) {
  for (const Flag& flag : k_flags)
    if (flag.name == name) return &flag;
  return nullptr;
}

std::string help_text() {
  std::string text =
      "octet trtexec: builds a network and measures it, with the flags of NVIDIA's trtexec (8 to 11).\n"
      "usage: octet trtexec --onnx=FILE [--int8] [flags]     or     octet trtexec --loadEngine=FILE [flags]\n";
  for (const Group& group : k_groups) {
    text += "\n=== " + std::string(group.title) + " ===\n";
    for (const Flag& flag : k_flags) {
      if (flag.group != group.name) continue;
      std::string left = "  " + spelled(flag);
      left += left.size() < 34 ? std::string(34 - left.size(), ' ') : "\n" + std::string(34, ' ');
      const std::string_view verdict = verdict_word(flag.cpu);
      const bool said = flag.cpu == Verdict::honoured || flag.text.starts_with(verdict);  // "mapped to ..."
      text += left + (said ? "" : "(" + std::string(verdict) + ") ") + std::string(flag.text) + "\n";
    }
  }
  return text +
         "\nExample:\n  octet trtexec --onnx=m.onnx --int8 --saveEngine=m.plan --separateProfileRun "
         "--exportProfile=profile.json\n";
}

std::string describe_text() {
  std::string text(k_page_head);
  for (const Group& group : k_groups) {
    text += "\n### " + std::string(group.title) +
            "\n\n| flag | CPU | CUDA | trtexec | what octet does |\n"
            "| --- | --- | --- | --- | --- |\n";
    for (const Flag& flag : k_flags)
      if (flag.group == group.name)
        text += "| `" + cell(spelled(flag)) + "` | " + std::string(verdict_word(flag.cpu)) + " | " +
                std::string(verdict_word(flag.gpu)) + " | " + versions(flag) + " | " + cell(flag.text) + " |\n";
  }
  return text;
}

}  // namespace octet::cli::trtexec
