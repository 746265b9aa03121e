#include "cli/trtexec/flags.h"

#include <array>

namespace octet::cli::trtexec {
namespace {

constexpr Verdict H = Verdict::honoured, M = Verdict::mapped, N = Verdict::silent, W = Verdict::warned,
                  E = Verdict::refused;

constexpr Flag k_flags[] = {
#define OCTET_TRT_FLAG(group, name, value, cpu, cuda, since, until, text) \
  {#group, #name, value, cpu, cuda, since, until, text},
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
* An unknown flag, a refused one and a bad value end with help on stdout, an `[E]` line that names the flag, and exit status 1.
* Exit status: 0 passed, 1 failed. `[V]` and `[I]` lines go to stdout, `[W]`, `[E]` and `[F]` to stderr.
* What a flag is mapped to, or that it has no effect, is said once in the log. `--compat=8`, `9`, `10` or `11` narrows the flags to one version.

## The loop and its numbers

Queries run until there are `--iterations` of them after the warm-up and `--duration` seconds have gone by since; queries whose compute
starts within `--warmUp` are not measured. One query is one run of the network, whatever its batch.

| line | on a CPU |
| --- | --- |
| Enqueue Time | handing the query over; the engine runs in the calling thread, so it is close to nothing |
| H2D Latency | copying the inputs into the buffers that the engine reads in place; 0 with `--noDataTransfers` |
| GPU Compute Time | the run call (the name stays, because scripts look for it) |
| D2H Latency | copying the outputs back; 0 with `--noDataTransfers` |
| Latency | the sum of the last three |
| Total Host Walltime | from the start of the first measured query to the end of the last |
| Throughput | measured queries / Total Host Walltime |

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

* `--threads`: a CPU's streams compute on their own threads in any case; one thread for all of them would run them one after the other.
* `--profile`, `--useProfile`: a plan holds one range of shapes for each input, and octet plans the shapes that it is loaded for; several profiles
  become the range that covers them.
* `--refit`, `--refitFromOnnx`: integer weights and scales belong together, so a refit builds the plan again in its own precision and shapes, and an INT8
  plan takes them from a Q/DQ file. `--stripWeights` and its like are errors: there is no plan without its weights.
* `--layerOutputTypes`: the graph is the law, and a Q/DQ graph has no layer that adds in INT8 and hands float to an INT8 neighbour; a layer with a
  float output runs in float.
* `--inputIOFormats`, `--outputIOFormats`: codes are those of the network's own Q or DQ node there, so without one int8 is an error, where trtexec takes
  placeholder ranges; with `hwc` the plan's tensor is [N,H,W,C] in its dims too.
* `--markDebug`: nothing is marked in a plan, since every tensor that a layer makes can be seen; `--saveDebugTensors` works on any plan.
* `--device=N` picks among CUDA devices only where there are some; octet runs on number 0.
* `--fp16` beside `--int8`, fp16 in `--layerPrecisions`: the float layers of an INT8 network run in FP32, on a GPU too; `--fp16` counts for float networks.
* On a GPU, where trtexec lets a flag choose and octet has one way:
  * `--useCudaGraph`, `--noCudaGraph`: a network is one CUDA graph always. (On a CPU there is none, and `--useCudaGraph` warns.)
  * `--exposeDMA`: copies and compute of a stream never overlap, so there is nothing to take apart.
  * `--useSpinWait`, `--noSpinWait`: waiting is the driver's.
  * `--noTF32`: FP32 products never use TF32, with the flag or without.
  * `--allocationStrategy`: a context allocates once, for the shapes that it is loaded for; there is no other profile to allocate for.
  * `--saveDebugTensors`, `--saveAllDebugTensors`: inner tensors are seen on a CPU only. Inputs and outputs have no fp16, chw4 or chw32 form.

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
                std::string(verdict_word(flag.cuda)) + " | " + versions(flag) + " | " + cell(flag.text) + " |\n";
  }
  return text;
}

}  // namespace octet::cli::trtexec
