#!/usr/bin/env python3
"""What tools write and octet reads: bench/import/matrix.py OCTET FOLDER [PAGE.md]

Exporters that want an environment of their own write before: for each, bench/import/make_exports.py FOLDER/exports. What is in FOLDER is not made again.

Quantizes networks of $OCTET_DATA with the tools that this Python has (onnxruntime's quantizer in its modes, NNCF,
scikit-learn through skl2onnx), takes exporters' own files from there too, and runs each in octet and in ONNX Runtime with
graph optimizations off on the same inputs. A row is a file: whether it runs, equal classes, largest difference of the
outputs as a part of the largest output. What a tool or octet refuses is a row with the reason."""
import glob
import importlib.metadata
import json
import os
import re
import subprocess
import sys

import numpy as np

DATA = os.environ["OCTET_DATA"]
IMAGES = 64


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def pixels(name, count, mean, std):
    raw = np.fromfile(f"{DATA}/cifar10/{name}", np.uint8).reshape(-1, 3073)[:count, 1:]
    x = raw.reshape(-1, 3, 32, 32).astype(np.float32) / 255
    return ((x - np.float32(mean).reshape(3, 1, 1)) / np.float32(std).reshape(3, 1, 1)).astype(np.float32)


IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
CIFAR10 = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])


def ort_quantizer(folder, name, model, norm):
    """(label, path or the reason why there is none) of every mode."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader
    from onnxruntime.quantization.shape_inference import quant_pre_process
    import onnx

    entry = onnx.load(model, load_external_data=False).graph.input[0].name

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rows = iter(pixels("train_exact_4000.bin", 32, *norm))

        def get_next(self):
            x = next(self.rows, None)
            return None if x is None else {entry: x[None]}

    prepared = f"{folder}/{name}_prepared.onnx"
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    q, t, c = QuantFormat, QuantType, CalibrationMethod
    u8, s8 = dict(activation_type=t.QUInt8, weight_type=t.QInt8), dict(activation_type=t.QInt8, weight_type=t.QInt8)
    modes = {
        "QDQ u8": (model, dict(quant_format=q.QDQ, **u8)),
        "QDQ u8, u8 weights": (model, dict(quant_format=q.QDQ, activation_type=t.QUInt8, weight_type=t.QUInt8)),
        "QDQ s8": (model, dict(quant_format=q.QDQ, **s8)),
        "QDQ s8 symmetric": (model, dict(quant_format=q.QDQ, extra_options=dict(ActivationSymmetric=True), **s8)),
        "QDQ u8 per channel": (model, dict(quant_format=q.QDQ, per_channel=True, **u8)),
        "QDQ u8 reduced range": (model, dict(quant_format=q.QDQ, per_channel=True, reduce_range=True, **u8)),
        "QDQ u8 after pre-processing": (prepared, dict(quant_format=q.QDQ, per_channel=True, **u8)),
        "QDQ u8 entropy": (model, dict(quant_format=q.QDQ, calibrate_method=c.Entropy, **u8)),
        "QDQ u8 percentile": (model, dict(quant_format=q.QDQ, calibrate_method=c.Percentile, **u8)),
        "QDQ u8 dedicated pairs": (model, dict(quant_format=q.QDQ, extra_options=dict(DedicatedQDQPair=True), **u8)),
        "QDQ u16 activations": (model, dict(quant_format=q.QDQ, activation_type=t.QUInt16, weight_type=t.QInt8)),
        "QDQ s16 activations": (model, dict(quant_format=q.QDQ, activation_type=t.QInt16, weight_type=t.QInt8)),
        "QDQ s4 weights": (model, dict(quant_format=q.QDQ, activation_type=t.QUInt8, weight_type=t.QInt4)),
        "QDQ u8 tensor-wise 16-bit weights": (model, dict(quant_format=q.QDQ, activation_type=t.QUInt16, weight_type=t.QInt16)),
        "QDQ s8 activations, s8 weights symmetric, no bias": (model, dict(quant_format=q.QDQ, extra_options=dict(QuantizeBias=False), **s8)),
        "QDQ u8 with com.microsoft pairs": (model, dict(quant_format=q.QDQ, extra_options=dict(UseQDQContribOps=True), **u8)),
        "QDQ u4 weights": (model, dict(quant_format=q.QDQ, activation_type=t.QUInt8, weight_type=t.QUInt4)),
        "QDQ u8, removable activations kept": (model, dict(quant_format=q.QDQ, extra_options=dict(QDQKeepRemovableActivations=True), **u8)),
        "QDQ u8, Q and DQ on weights": (model, dict(quant_format=q.QDQ, extra_options=dict(AddQDQPairToWeight=True), **u8)),
        "QOperator u8, u8 weights": (model, dict(quant_format=q.QOperator, activation_type=t.QUInt8, weight_type=t.QUInt8)),
        "QOperator u8": (model, dict(quant_format=q.QOperator, **u8)),
        "QOperator s8": (model, dict(quant_format=q.QOperator, **s8)),
        "QOperator u8 per channel": (model, dict(quant_format=q.QOperator, per_channel=True, **u8)),
    }
    for label, (source, options) in modes.items():
        path = f"{folder}/{name}_{label.replace(' ', '_').replace(',', '')}.onnx"
        if os.path.exists(path):
            yield label, path
            continue
        try:
            quantize_static(source, path, Reader(), **options)
            yield label, path
        except Exception as error:  # the tool's own refusal is a row
            yield label, error
    for label, options in {"dynamic u8": dict(weight_type=t.QUInt8), "dynamic s8": dict(weight_type=t.QInt8),
                           "dynamic s8 per channel": dict(weight_type=t.QInt8, per_channel=True),
                           "dynamic u8 per channel, reduced range": dict(weight_type=t.QUInt8, per_channel=True, reduce_range=True)}.items():
        path = f"{folder}/{name}_{label.replace(' ', '_')}.onnx"
        try:
            quantize_dynamic(model, path, **options)
            yield label, path
        except Exception as error:
            yield label, error


def ort_matmul_nbits(folder, name, model):
    """Weights of products in blocks: ONNX Runtime's MatMulNBits, and the same as Q/DQ of opset 21."""
    from onnxruntime.quantization import QuantFormat
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer
    import onnx

    for label, options in {"weights of 4 bits, MatMulNBits": dict(quant_format=QuantFormat.QOperator),
                           "weights of 4 bits in blocks, QDQ": dict(quant_format=QuantFormat.QDQ)}.items():
        path = f"{folder}/{name}_{label.replace(' ', '_').replace(',', '')}.onnx"
        try:
            config = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True, **options)
            quantizer = MatMulNBitsQuantizer(onnx.load(model), algo_config=config)
            quantizer.process()
            quantizer.model.save_model_to_file(path)
            yield label, path
        except Exception as error:
            yield label, error


def nncf_quantizer(folder, name, model, norm):
    import nncf
    import onnx

    loaded = onnx.load(model)
    if loaded.opset_import[0].version < 13:
        return
    entry = loaded.graph.input[0].name
    images = [{entry: x[None]} for x in pixels("train_exact_4000.bin", 32, *norm)]
    for label, preset in {"performance": nncf.QuantizationPreset.PERFORMANCE, "mixed": nncf.QuantizationPreset.MIXED}.items():
        path = f"{folder}/{name}_nncf_{label}.onnx"
        if os.path.exists(path):
            yield label, path
            continue
        try:
            onnx.save(nncf.quantize(loaded, nncf.Dataset(images), preset=preset, subset_size=32), path)
            yield label, path
        except Exception as error:
            yield label, error


def sklearn_models(folder):
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression
    from sklearn.decomposition import PCA
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import StandardScaler
    from sklearn.pipeline import make_pipeline

    x = pixels("train_exact_4000.bin", 300, *IMAGENET).reshape(300, -1)[:, ::16].copy()
    y = np.fromfile(f"{DATA}/cifar10/train_exact_4000.bin", np.uint8).reshape(-1, 3073)[:300, 0]
    for label, estimator in {"StandardScaler": StandardScaler(), "LogisticRegression": LogisticRegression(max_iter=20),
                             "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier((32,), max_iter=5)),
                             "MLPRegressor": MLPRegressor(hidden_layer_sizes=(32,), max_iter=5), "PCA": PCA(8)}.items():
        path = f"{folder}/sklearn_{label}.onnx"
        try:
            with open(path, "wb") as file:
                options = {} if label in ("StandardScaler", "MLPRegressor", "PCA") else {"options": {"zipmap": False}}
                file.write(to_onnx(estimator.fit(x, y), x[:1], target_opset=17, **options).SerializeToString())
            yield label, path
        except Exception as error:
            yield label, error


def first_line(text):
    lines = [line for line in str(text).strip().splitlines() if line.strip()]
    return re.sub(r"\x1b\[[0-9;]*m", "", lines[0] if lines else "no message").replace("|", "/")[:330]


def agreement(have, want):
    same = int((have.argmax(1) == want.argmax(1)).sum())
    return f"{same} of {len(have)}", f"{np.abs(have - want).max() / max(np.abs(want).max(), 1e-30):.1e}"


def compare(octet, path, inputs):
    """The cells behind a file's label."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        batch = entry.shape[0] if isinstance(entry.shape[0], int) else 1
        dynamic_batches = [inputs[i:i + batch] for i in range(0, len(inputs) // batch * batch, batch)]
        want = np.concatenate([np.asarray(session.run(None, {entry.name: x})[0]).reshape(len(x), -1) for x in dynamic_batches])
    except Exception as error:
        want = None
        peer = first_line(error)
    np.save(path + ".in.npy", inputs)
    run = subprocess.run([octet, "run", path, "--data", path + ".in.npy", "--preprocess", "none", "-o", path + ".out.npy",
                          "--quiet"], capture_output=True, text=True)
    if run.returncode != 0:
        return f"refused: {first_line(run.stderr).replace(os.path.dirname(path) + '/', '')}", "", ""
    have = np.load(path + ".out.npy").reshape(len(inputs), -1)
    if want is None:
        return f"runs; ONNX Runtime does not: {peer}", "", ""
    cells = agreement(have, want)
    if int(cells[0].split()[0]) < len(inputs) - 3:  # broken as exported: what octet makes of it, in ONNX Runtime too
        mended = path[:-len(".onnx")] + "_mended.onnx"
        subprocess.run([octet, "repair", path, "-o", mended, "--quiet"], capture_output=True, check=True)
        session = ort.InferenceSession(mended, options, providers=["CPUExecutionProvider"])
        want = np.concatenate([np.asarray(session.run(None, {entry.name: x})[0]).reshape(len(x), -1) for x in dynamic_batches])
        own = agreement(have, want)
        return "runs, mended", f"{cells[0]}; mended in both {own[0]}", f"{cells[1]}; mended {own[1]}"
    return "runs", *cells


def write_page(rows):
    """The page of all rows so far, if one was asked for."""
    if len(sys.argv) > 3:
        with open(sys.argv[3], "w") as page:
            page.write("# Import matrix\n\nGenerated by `bench/import/matrix.py OCTET FOLDER docs/import_matrix.md`, not edited by hand. "
                       f"{IMAGES} images; ONNX Runtime {version('onnxruntime')} with graph\noptimizations off, onnx {version('onnx')}. "
                       "Difference: largest, as a part of the largest output. Integer networks differ where a tie rounds the other way.\n"
                       "octet mends what docs/repairs.md lists; PyTorch's eager int8 exports are broken as they stand, so the two differ there on "
                       "purpose: 'mended in both' is the mended file.\n\n| tool | network | mode | octet | equal classes | difference |\n| --- | --- | --- | --- | --- | --- |\n")
            for row in rows:
                page.write("| " + " | ".join(row) + " |\n")



def main():
    octet, folder = sys.argv[1], sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    rows = []

    def add(tool, network, label, path, inputs):
        cells = (f"the tool refuses: {first_line(path)}", "", "") if isinstance(path, Exception) else compare(octet, path, inputs)
        rows.append((tool, network, label, *cells))
        print(*rows[-1], sep=" | ", flush=True)

    exported = {"resnet18_c10": ("torch 2.11 (TorchScript exporter)", CIFAR10), "mobilenet_v3_small_c10": ("torch 2.11 (dynamo)", CIFAR10),
                "efficientnet_b0_c10": ("torch 2.11 (dynamo)", CIFAR10), "vit_tiny_c10": ("torch 2.11 (dynamo)", CIFAR10),
                "resnet20_cifar10": ("torch 2.1.2", IMAGENET), "resnet56_cifar10_bn_pad": ("torch 2.1.2, no folding", CIFAR10),
                "resnet18_cifar10_eager_int8": ("torch 2.1.2 eager int8", ([0.5] * 3, [0.5] * 3)),
                "mobilenet_v2_cifar10_fakequant_qdq": ("torch 2.1.2 fake quantization", CIFAR10),
                "resnet18_cifar10": ("torch 1.10", ([0.5] * 3, [0.5] * 3))}
    for name, (tool, norm) in exported.items():
        path = f"{folder}/{name}.onnx"
        with open(f"{DATA}/models/{name}.onnx", "rb") as source, open(path, "wb") as copy:
            copy.write(source.read())
        add(tool, name, "as exported", path, pixels("test_exact_1017.bin", IMAGES, *norm))
    for about in sorted(glob.glob(f"{folder}/exports/*.json")):
        with open(about) as file:
            row = json.load(file)
        path = about[:-len(".json")] + ".onnx"
        refused = row.get("refused")
        add(row["tool"], row["network"], row["mode"], RuntimeError(refused) if refused else path,
            None if refused else np.load(path + ".in.npy"))
    networks = {"resnet20_cifar10": IMAGENET, "vit_tiny_c10": CIFAR10, "mobilenet_v3_small_c10": CIFAR10}
    for name, norm in networks.items():
        model, inputs = f"{DATA}/models/{name}.onnx", pixels("test_exact_1017.bin", IMAGES, *norm)
        for label, path in ort_quantizer(folder, name, model, norm):
            add(f"onnxruntime {version('onnxruntime')}", name, label, path, inputs)
        if name == "vit_tiny_c10":
            for label, path in ort_matmul_nbits(folder, name, model):
                add(f"onnxruntime {version('onnxruntime')}", name, label, path, inputs)
        if version("nncf"):
            for label, path in nncf_quantizer(folder, name, model, norm):
                add(f"nncf {version('nncf')}", name, label, path, inputs)
        write_page(rows)
    if version("skl2onnx"):
        x = pixels("test_exact_1017.bin", IMAGES, *IMAGENET).reshape(IMAGES, -1)[:, ::16].copy()
        for label, path in sklearn_models(folder):
            add(f"skl2onnx {version('skl2onnx')}", label, "", path, x)
    write_page(rows)


if __name__ == "__main__":
    main()
