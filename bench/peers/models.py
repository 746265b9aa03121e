"""The networks of the comparison and their INT8 files, made once under build/bench."""
import functools
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from machine import OCTET, WORK  # noqa: E402

MADE = {"resnet50": 224, "mobilenet_v2": 224, "resnet18_32": 32, "resnet20_32": 32, "densenet121": 224, "shufflenet_v2": 224,
        "regnet_x_400mf": 224}
# Trained networks under $OCTET_DATA/models.
REAL = {"mobilenet_v2_imagenet": 224, "resnet18_c10": 32, "mobilenet_v3_small_c10": 32, "efficientnet_b0_c10": 32,
        "vit_tiny_c10": 32}
SIZES = {**MADE, **REAL}


def octet(*args):
    done = subprocess.run([OCTET, *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"octet {' '.join(args)}\n{done.stderr}")
    return done.stdout


def noise(model, count, seed):
    return np.random.default_rng(seed).standard_normal((count, 3, SIZES[model], SIZES[model])).astype(np.float32)


def calibration(model):
    """Noise for a network of random weights, octet's drawn pictures for a trained one: the same samples for everybody."""
    if model in MADE:
        return noise(model, 16, 1), "none"
    return noise(model, 32, 1) * 0.5, "none"


class Samples(CalibrationDataReader):
    def __init__(self, name, samples):
        self.batches = iter([{name: sample[None]} for sample in samples])

    def get_next(self):
        return next(self.batches, None)


def input_name(path):
    return onnx.load(path, load_external_data=False).graph.input[0].name


def available():
    data = os.environ.get("OCTET_DATA", "")
    return [*MADE, *(m for m in REAL if os.path.exists(f"{data}/models/{m}.onnx"))]


def nncf_file(fp32, path, samples):
    """OpenVINO's own quantizer, or None where nncf is not installed."""
    try:
        import nncf
        import openvino as ov
    except ImportError:
        return None
    network = ov.Core().read_model(fp32)
    data = nncf.Dataset([sample[None] for sample in samples])
    ov.save_model(nncf.quantize(network, data, subset_size=len(samples)), path, compress_to_fp16=False)
    return path


def prepare(model, with_octet=True):
    """Paths: fp32; octet's Q/DQ file; ONNX Runtime's u8 and s8 Q/DQ files; OpenVINO's NNCF file."""
    os.makedirs(WORK, exist_ok=True)
    files = {"fp32": f"{WORK}/{model}.onnx"}
    if model in REAL:
        files["fp32"] = f"{os.environ['OCTET_DATA']}/models/{model}.onnx"
    elif not os.path.exists(files["fp32"]):
        subprocess.run(["build/octet_make_model", model, files["fp32"]], check=True)
    samples, preprocess = calibration(model)
    if with_octet:
        files["octet"] = f"{WORK}/{model}_octet_int8.onnx"
        if not os.path.exists(files["octet"]):
            np.save(f"{WORK}/{model}_samples.npy", samples)
            octet("quantize", files["fp32"], "--calib-data", f"{WORK}/{model}_samples.npy", "--preprocess", preprocess, "--method", "max",
                  "-o", files["octet"], "--quiet")
    clean = f"{WORK}/{model}_clean.onnx"
    for form, kind in (("u8", QuantType.QUInt8), ("s8", QuantType.QInt8)):
        files[form] = f"{WORK}/{model}_ort_{form}.onnx"
        if os.path.exists(files[form]):
            continue
        if not os.path.exists(clean):
            quant_pre_process(files["fp32"], clean, skip_symbolic_shape=True)
        quantize_static(clean, files[form], Samples(input_name(clean), samples), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=kind, weight_type=QuantType.QInt8,
                        extra_options={"ActivationSymmetric": form == "s8", "WeightSymmetric": True})
    nncf = f"{WORK}/{model}_nncf.xml"
    files["nncf"] = nncf if os.path.exists(nncf) else nncf_file(files["fp32"], nncf, samples)
    return files


def seven_bits(u8, path):
    """ONNX Runtime's u8 file with activations of 7 bits, as PyTorch's reduced range writes them: codes clipped to [0, 127], scales larger to match."""
    if os.path.exists(path):
        return path
    model = onnx.load(u8)
    graph = model.graph
    initializers = {i.name: i for i in graph.initializer}
    for name, value in (("code_0", 0), ("code_127", 127)):
        graph.initializer.append(onnx.numpy_helper.from_array(np.uint8(value), name))
    nodes, done = [], set()
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "QuantizeLinear":
            continue
        for name in set(node.input[1:3]) - done:
            old = onnx.numpy_helper.to_array(initializers[name])
            new = old * np.float32(255 / 127) if old.dtype == np.float32 else np.round(old * (127 / 255)).astype(np.uint8)
            initializers[name].CopyFrom(onnx.numpy_helper.from_array(new, name))
            done.add(name)
        codes = node.output[0]
        node.output[0] = f"{codes}_of_8_bits"
        nodes.append(onnx.helper.make_node("Clip", [node.output[0], "code_0", "code_127"], [codes], name=f"{codes}_clip"))
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, path)
    return path


@functools.cache
def codes_in_use(model_name):
    """The smallest number of distinct codes in any activation of octet's Q/DQ file on one input."""
    model, x = onnx.load(f"{WORK}/{model_name}_octet_int8.onnx"), noise(model_name, 1, 0)
    initializers = {i.name: i for i in model.graph.initializer}
    quantizers = [n for n in model.graph.node if n.op_type == "QuantizeLinear" and n.input[0] not in initializers]
    for node in quantizers:
        model.graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], initializers[node.input[2]].data_type, None))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    codes = session.run([n.output[0] for n in quantizers], {session.get_inputs()[0].name: x})
    return min(len(np.unique(c)) for c in codes if c.size >= 4096) if any(c.size >= 4096 for c in codes) else 0
