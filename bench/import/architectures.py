#!/usr/bin/env python3
"""Architectures of timm and torchvision against ONNX Runtime: bench/import/architectures.py OCTET FOLDER PAGE [--time] [NAME...]

Exports each network with random weights (and statistics of BatchNormalization that are not 0 and 1) through PyTorch's
TorchScript exporter into FOLDER, compares octet's outputs with ONNX Runtime's in FP32 and on the INT8 file that
`octet quantize` makes of it, and writes PAGE. With --time, both are timed in turns, in FP32 and each on its own INT8 file. What
FOLDER holds already is not made or timed again. Wants a Python of its own with
torch, torchvision, timm, onnx, onnxruntime and numpy."""
import json
import logging
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import onnxruntime
import timm
import torch
import torchvision
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

TIMM = """
bat_resnext26ts botnet26t_256 cait_xxs24_224 coat_lite_tiny convnext_atto convnext_tiny_hnf convnextv2_atto crossvit_9_240 cs3darknet_s
cspdarknet53 cspresnet50 deit_tiny_patch16_224 densenet121 densenetblur121d dla34 dla46_c dpn68 ecaresnet26t edgenext_xx_small
efficientformer_l1 efficientformerv2_s0 efficientnet_b1 efficientnet_lite0 efficientnetv2_rw_t efficientvit_b0 efficientvit_m0
ese_vovnet19b_dw fasternet_t0 fastvit_t8 fbnetc_100 gcresnext26ts gernet_s ghostnet_100 ghostnetv2_100 ghostnetv3_050
hardcorenas_a hgnet_tiny hgnetv2_b0 hrnet_w18_small inception_next_tiny inception_v3 lambda_resnet26t lcnet_050 levit_128s
mambaout_femto maxvit_tiny_rw_224 mixnet_s mnasnet_100 mobilenetv1_100 mobilenetv2_050 mobilenetv3_large_100
mobilenetv4_conv_medium mobilenetv4_conv_small mobilenetv4_hybrid_medium mobileone_s0 mobilevit_xxs mobilevitv2_050 nest_tiny
nf_resnet50 pit_ti_224 poolformer_s12 poolformerv2_s12 rdnet_tiny regnetv_040 regnetx_002 regnety_004 regnety_008 regnetz_b16
repghostnet_050 repvgg_a0 repvit_m1 res2net50_26w_4s res2next50 resnet18 resnet50d resnetaa50 resnetblur50
resnetv2_50 resnext50_32x4d rexnet_100 selecsls42b seresnet50 seresnext26d_32x4d shvit_s1 skresnet18 spnasnet_100 starnet_s1
swin_tiny_patch4_window7_224 test_resnet tf_efficientnetv2_b0 tiny_vit_5m_224 tinynet_e tnt_s_patch16_224 tresnet_m
twins_pcpvt_small visformer_tiny vit_tiny_patch16_224 vovnet39a xception xception41 xcit_nano_12_p16_224
""".split()
TORCHVISION = "densenet169 googlenet mnasnet0_5 regnet_y_400mf shufflenet_v2_x1_5 squeezenet1_1".split()
SEGMENTATION = "deeplabv3_mobilenet_v3_large fcn_resnet50 lraspp_mobilenet_v3_large".split()
SEED, CALIBRATION = 7, 6
TURNS, TURN_SECONDS = 3, 0.3


class MapOnly(torch.nn.Module):
    """A segmentation network's map of classes, without its dictionary."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)["out"]


def network_of(name):
    """The network, and the extents of an image for it."""
    if name in SEGMENTATION:
        return MapOnly(getattr(torchvision.models.segmentation, name)(weights=None, weights_backbone=None)), (3, 224, 224)
    if name in TORCHVISION:
        options = dict(init_weights=False, aux_logits=False) if name == "googlenet" else {}
        return getattr(torchvision.models, name)(weights=None, **options), (3, 224, 224)
    network = timm.create_model(name, pretrained=False)
    return network, network.default_cfg.get("input_size", (3, 224, 224))


def vary_batch_norms(network, random):
    for module in network.modules():
        if not isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            continue
        for values, middle in ((module.running_mean, 0), (module.bias, 0), (module.running_var, 1), (module.weight, 1)):
            if values is not None:
                values.data.copy_(middle - 0.25 + 0.5 * torch.rand(values.shape, generator=random))


def export(name, path):
    """Writes path and, as images of smooth noise, path's samples."""
    torch.manual_seed(SEED)
    random = torch.Generator().manual_seed(SEED)
    network, (channels, height, width) = network_of(name)
    network.eval()
    with torch.no_grad():
        vary_batch_norms(network, random)
        x = torch.nn.functional.interpolate(torch.randn(CALIBRATION, channels, 14, 14, generator=random), size=(height, width), mode="bilinear")
        x += 0.3 * torch.randn(x.shape, generator=random)
        torch.onnx.export(network, x[:1], path, opset_version=17, input_names=["input"], output_names=["output"], dynamo=False)
    np.save(path + ".npy", x.numpy())


def octet(*arguments):
    done = subprocess.run([sys.argv[1], *arguments, "--quiet"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[0])
    return done.stdout


def octet_outputs(path, image, *options):
    octet("run", path, "--loadInputs", f"input:{image}", "-o", path + ".out.npy", *options)
    return np.load(path + ".out.npy")


def session(path, optimized):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def onnxruntime_outputs(path, x, optimized=False):
    return session(path, optimized).run(None, {"input": x})[0]


def largest_difference(have, want):
    return float(np.abs(have - want).max() / np.abs(want).max())


def cosine(a, b):
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def int8_path(path):
    return path[: -len(".onnx")] + "_int8.onnx"


class Samples(CalibrationDataReader):
    def __init__(self, x):
        self.images = iter([{"input": x[i : i + 1]} for i in range(len(x))])

    def get_next(self):
        return next(self.images, None)


def onnxruntime_int8_path(path):
    """ONNX Runtime's own INT8 form, the one it is fast in: u8 activations, s8 weights per channel, Q/DQ on every op it has for them."""
    quantized = path[: -len(".onnx")] + "_ort_u8.onnx"
    if not os.path.exists(quantized):
        clean = path + ".clean.onnx"
        quant_pre_process(path, clean, skip_symbolic_shape=True)
        quantize_static(clean, quantized, Samples(np.load(path + ".npy")), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
        os.remove(clean)
    return quantized


def octet_ms(path, *options):
    """Median over one turn of one thread on one image."""
    text = octet("bench", path, "--duration", str(TURN_SECONDS), "--warm-up", "50", "--iterations", "3", "--threads", "1", "--json", *options)
    return json.loads(text)["compute_ms"]["median"]


def session_ms(run, x):
    times, end = [], time.time() + TURN_SECONDS
    while time.time() < end or len(times) < 3:
        start = time.perf_counter()
        run.run(None, {"input": x})
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def timed(path):
    """Medians over TURNS turns, in which each of the four runs once."""
    x = np.load(path + ".npy")[:1]
    float_session, int8_session = session(path, True), session(onnxruntime_int8_path(path), True)
    session_ms(float_session, x), session_ms(int8_session, x)
    turns = [(octet_ms(path), session_ms(float_session, x), octet_ms(int8_path(path), "--precision", "int8"), session_ms(int8_session, x))
             for _ in range(TURNS)]
    return [statistics.median(times) for times in zip(*turns)]


def compare(path):
    x = np.load(path + ".npy")[:1]
    np.save(path + ".image.npy", x)
    want = onnxruntime_outputs(path, x)
    have = octet_outputs(path, path + ".image.npy")
    row = {"fp32_diff": largest_difference(have, want), "ort_fp32_diff": largest_difference(onnxruntime_outputs(path, x, True), want)}
    quantized = int8_path(path)
    octet("quantize", path, "--calib-data", path + ".npy", "--method", "max", "-o", quantized)
    row["int8_cos_fp32"] = cosine(octet_outputs(quantized, path + ".image.npy", "--precision", "int8"), want)
    row["ort_int8_cos_fp32"] = cosine(onnxruntime_outputs(quantized, x), want)
    return row


def processor():
    with open("/proc/cpuinfo") as file:
        lines = file.read().split("\n\n")[0].splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    isa = next((isa for isa in ("amx_int8", "avx512_vnni", "avx_vnni", "avx2") if isa in facts["flags"].split()), "none")
    name, family, model = facts["model name"], int(facts["cpu family"]), int(facts["model"])
    zen4 = facts["vendor_id"] == "AuthenticAMD" and family == 25 and (16 <= model < 32 or 96 <= model < 128)
    return (f"Zen 4 ({name}, family {family} model {model})" if zen4 else f"{name} (family {family} model {model})") + f", {isa}"


def timed_on():
    """What a row's times hold for."""
    version = subprocess.run([sys.argv[1], "--version"], capture_output=True, text=True, check=True).stdout
    return {"processor": processor(), "octet": version.partition(",")[0].strip(), "date": time.strftime("%-d %B %Y", time.gmtime())}


def page(rows):
    lines = ["# Architectures", "",
             "Generated by `bench/import/architectures.py`, not edited by hand: networks of timm and torchvision with random weights, exported by",
             f"PyTorch's TorchScript exporter (opset 17), one image of noise; timm {timm.__version__}, torch {torch.__version__.split('+')[0]}, ONNX Runtime {onnxruntime.__version__}.",
             "The question is whether a network is read, right, and quantized, not how accurate it is.", "",
             "## Answers", "",
             "* FP32: largest difference from ONNX Runtime without its optimizations, as a part of the largest output; of octet, and of ONNX Runtime with",
             "  its optimizations. Where the second is large, too, the random weights make the network blow up rounding.",
             f"* INT8: cosine with the FP32 outputs, of octet and of ONNX Runtime on the file that `octet quantize --method max` makes from {CALIBRATION} images.",
             "", "| network | FP32: octet | FP32: ONNX Runtime | INT8: octet | INT8: ONNX Runtime |", "| --- | --- | --- | --- | --- |"]
    for name, row in sorted(rows.items()):
        lines.append(f"| {name} | {row['refused']} | | | |" if "refused" in row else
                     f"| {name} | {row['fp32_diff']:.1e} | {row['ort_fp32_diff']:.1e} | {row['int8_cos_fp32']:.5f} | {row['ort_int8_cos_fp32']:.5f} |")
    times = {name: row["ms"] for name, row in rows.items() if "ms" in row}
    if times:
        gains = sorted(ms[3] / ms[2] for ms in times.values())
        floats = sorted(ms[1] / ms[0] for ms in times.values())
        where = "; ".join(sorted({"{processor}, {date}, {octet}".format(**rows[name]["timed_on"]) for name in times}))
        lines += ["", "## Times", "",
                  f"Milliseconds for one image on one thread of {where}:",
                  f"medians of {TURNS} turns in which each ran {TURN_SECONDS} s, octet's own compute time beside the Python call of ONNX Runtime's `run()` with its",
                  "optimizations. In INT8 each runs its own file: octet the one above, ONNX Runtime that of its `quantize_static` from the same images (Q/DQ,",
                  "u8 activations, s8 weights per channel). × is ONNX Runtime's time over octet's.", "",
                  "`bench/import/architectures.py build/octet FOLDER docs/architectures.md --time`", "",
                  f"Over {len(times)} networks ONNX Runtime takes {gains[0]:.2f} to {gains[-1]:.2f} times octet's time in INT8 (median {statistics.median(gains):.2f}) and",
                  f"{floats[0]:.2f} to {floats[-1]:.2f} in FP32 (median {statistics.median(floats):.2f}).", "",
                  "| network | FP32: octet | ONNX Runtime | × | INT8: octet | ONNX Runtime | × |", "| --- | --- | --- | --- | --- | --- | --- |"]
        for name, ms in sorted(times.items()):
            lines.append(f"| {name} | {ms[0]:.2f} | {ms[1]:.2f} | {ms[1] / ms[0]:.2f} | {ms[2]:.2f} | {ms[3]:.2f} | {ms[3] / ms[2]:.2f} |")
    return "\n".join(lines) + "\n"


def main():
    timing = "--time" in sys.argv
    logging.disable(logging.WARNING)  # quantize_static's, one for each vector of weights
    folder, out, *names = [word for word in sys.argv[2:] if word != "--time"]
    os.makedirs(folder, exist_ok=True)
    rows = {}
    for name in names or TIMM + TORCHVISION + SEGMENTATION:
        path = f"{folder}/{name}.onnx"
        row = {}
        if os.path.exists(path + ".json"):
            with open(path + ".json") as file:
                row = json.load(file)
        try:
            if "refused" not in row and "fp32_diff" not in row:
                if not os.path.exists(path):
                    export(name, path)
                row |= compare(path)
        except Exception as error:  # whatever the exporter or a runtime says is the row
            row = {"refused": str(error)[:120]}
        try:
            if timing and "refused" not in row and "ms" not in row:
                row |= {"ms": timed(path), "timed_on": timed_on()}
        except Exception as error:  # the answers stay
            print(f"{name} is not timed: {error}", flush=True)
        with open(path + ".json", "w") as file:
            json.dump(row, file)
        rows[name] = row
        print(name, row, flush=True)
    with open(out, "w") as file:
        file.write(page(rows))


if __name__ == "__main__":
    main()
