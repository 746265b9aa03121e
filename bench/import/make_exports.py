#!/usr/bin/env python3
"""Files of exporters that want a Python environment of their own, for matrix.py: bench/import/make_exports.py FOLDER

Whatever of TensorFlow with tf2onnx, PyTorch and Paddle with paddle2onnx this Python has writes its networks into FOLDER as
NAME.onnx, NAME.npy (the inputs of the row, a batch of 1 each) and NAME.json (tool with version, network, mode). What the tool
refuses is a NAME.json with the reason. Networks: PyTorch quantizes the ResNet-20 of $OCTET_DATA's checkpoint; the others get
a small convolutional network with random weights, since only the agreement of two runtimes is asked for."""
import importlib.util
import json
import os
import sys

import numpy as np

FOLDER, DATA = sys.argv[1], os.environ["OCTET_DATA"]
COUNT = 64


def images(name, count):
    raw = np.fromfile(f"{DATA}/cifar10/{name}", np.uint8).reshape(-1, 3073)[:count, 1:]
    x = raw.reshape(-1, 3, 32, 32).astype(np.float32) / 255
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    return ((x - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1)).astype(np.float32)


def row(name, tool, network, mode, write, inputs):
    """write(path) makes the file, or raises."""
    path = f"{FOLDER}/{name}.onnx"
    about = dict(tool=tool, network=network, mode=mode)
    try:
        write(path)
        np.save(path + ".in.npy", inputs)
    except Exception as error:
        lines = [line for line in f"{type(error).__name__}: {error}".splitlines() if line.strip()]
        about["refused"] = lines[0][:160] + (f" ({type(error.__cause__).__name__})" if error.__cause__ else "")
    with open(f"{FOLDER}/{name}.json", "w") as file:
        json.dump(about, file)
    print(name, about.get("refused", "written"), flush=True)


def tensorflow_rows():
    import tensorflow as tf
    import tf2onnx
    from tensorflow import keras
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    tool = f"tf2onnx {tf2onnx.__version__}, TensorFlow {tf.__version__}"
    keras.utils.set_random_seed(1)
    layers = keras.layers
    net = keras.Sequential([
        layers.Input((32, 32, 3)), layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False), layers.BatchNormalization(),
        layers.ReLU(6.0), layers.DepthwiseConv2D(3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU(6.0),
        layers.Conv2D(24, 1, activation="swish"), layers.MaxPooling2D(), layers.Conv2D(32, 3, activation="hard_sigmoid"),
        layers.GlobalAveragePooling2D(), layers.Dense(10)])
    x = images("test_exact_1017.bin", COUNT).transpose(0, 2, 3, 1).copy()
    samples = images("train_exact_4000.bin", 64).transpose(0, 2, 3, 1).copy()
    signature = [tf.TensorSpec((1, 32, 32, 3), tf.float32, name="x")]
    for opset in (9, 13, 18):
        function = tf.function(lambda v: net(v, training=False), input_signature=signature)
        row(f"tf_cnn_{opset}", tool, "Keras CNN", f"opset {opset}",
            lambda path: tf2onnx.convert.from_function(function, signature, opset=opset, output_path=path), x)

    @tf.function(input_signature=signature)
    def fake_quantized(v):
        v = tf.quantization.fake_quant_with_min_max_args(v, -2.7, 2.7)
        w = tf.quantization.fake_quant_with_min_max_args(net.layers[0].kernel, -0.3, 0.3, narrow_range=True)
        v = tf.nn.relu(tf.nn.conv2d(v, w, strides=2, padding="SAME"))
        v = tf.quantization.fake_quant_with_min_max_args(v, 0, 4)
        return tf.reduce_mean(v, axis=(1, 2))
    row("tf_fake_quant", tool, "two layers", "fake_quant_with_min_max, opset 13",
        lambda path: tf2onnx.convert.from_function(fake_quantized, signature, opset=13, output_path=path), x)

    def lite(quantized):
        def write(path):
            function = tf.function(lambda v: net(v, training=False), input_signature=signature).get_concrete_function()
            converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(function)])
            if quantized:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = lambda: ([s[None]] for s in samples)
            with open(path + ".tflite", "wb") as file:
                file.write(converter.convert())
            tf2onnx.convert.from_tflite(path + ".tflite", opset=13, output_path=path)
        return write
    row("tf_lite", tool, "Keras CNN", "from TFLite float", lite(False), x)
    row("tf_lite_int8", tool, "Keras CNN", "from TFLite int8", lite(True), x)


def torch_rows():
    import torch
    from torch import nn
    from torch.ao import quantization as tq

    class Block(nn.Module):
        def __init__(self, inner, outer, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer)
            self.conv2, self.bn2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer)
            self.relu1, self.relu2, self.add = nn.ReLU(), nn.ReLU(), nn.quantized.FloatFunctional()
            self.shortcut = nn.Identity()
            if stride != 1:  # zero channels around every second pixel, as a convolution
                self.shortcut = nn.Conv2d(inner, outer, 1, stride, bias=False)
                with torch.no_grad():
                    self.shortcut.weight.zero_()
                    for c in range(inner):
                        self.shortcut.weight[(outer - inner) // 2 + c, c] = 1

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
            return self.relu2(self.add.add(y, self.shortcut(x)))

    class ResNet20(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.dequant = tq.QuantStub(), tq.DeQuantStub()
            self.conv1, self.bn1, self.relu = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
            for i, (inner, outer) in enumerate(((16, 16), (16, 32), (32, 64)), 1):
                stride = 1 if i == 1 else 2
                setattr(self, f"layer{i}", nn.Sequential(Block(inner, outer, stride), Block(outer, outer, 1), Block(outer, outer, 1)))
            self.pool, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(64, 10)

        def forward(self, x):
            x = self.relu(self.bn1(self.conv1(self.quant(x))))
            x = self.pool(self.layer3(self.layer2(self.layer1(x))))
            return self.dequant(self.linear(torch.flatten(x, 1)))

    def trained():
        net = ResNet20()
        state = torch.load(f"{DATA}/checkpoints/resnet20_state_dict.pth", map_location="cpu", weights_only=True)
        missing, unexpected = net.load_state_dict(state, strict=False)
        assert not unexpected and all("shortcut" in name for name in missing), (missing, unexpected)
        return net.eval()

    def fused(net):
        tq.fuse_modules(net, [["conv1", "bn1", "relu"]], inplace=True)
        for block in (m for m in net.modules() if isinstance(m, Block)):
            tq.fuse_modules(block, [["conv1", "bn1", "relu1"], ["conv2", "bn2"]], inplace=True)
        return net

    x, samples = images("test_exact_1017.bin", COUNT), torch.from_numpy(images("train_exact_4000.bin", 64))
    example = torch.from_numpy(x[:1])
    tool = f"torch {torch.__version__.split('+')[0]}"
    s8 = tq.QConfig(tq.MinMaxObserver.with_args(dtype=torch.qint8, qscheme=torch.per_tensor_symmetric, eps=2**-12),
                    tq.PerChannelMinMaxObserver.with_args(dtype=torch.qint8, qscheme=torch.per_channel_symmetric, eps=2**-12))
    s8_linear = tq.QConfig(s8.activation, tq.MinMaxObserver.with_args(dtype=torch.qint8, qscheme=torch.per_tensor_symmetric))

    def eager(config, engine):
        def write(path):
            torch.backends.quantized.engine = engine
            net = fused(trained())
            net.qconfig = config
            net.linear.qconfig = s8_linear if config is s8 else config
            prepared = tq.prepare(net)
            with torch.no_grad():
                prepared(samples)
            torch.onnx.export(tq.convert(prepared), (example,), path, opset_version=16, dynamo=False)
        return write
    row("torch_eager_s8", tool + " (TorchScript exporter)", "resnet20", "eager int8, qint8 symmetric", eager(s8, "qnnpack"), x)
    row("torch_eager_u8", tool + " (TorchScript exporter)", "resnet20", "eager int8, quint8 reduced", eager(tq.get_default_qconfig("fbgemm"), "fbgemm"), x)

    def fake_quantized(config, opset, dynamo):
        def write(path):
            net = fused(trained())
            net.qconfig = config
            net.train()
            prepared = tq.prepare_qat(net)
            prepared.eval()
            with torch.no_grad():
                prepared(samples)
            prepared.apply(tq.disable_observer)
            torch.onnx.export(prepared, (example,), path, opset_version=opset, dynamo=dynamo)
        return write

    def qat(low, high, dtype, scheme):
        act = tq.FakeQuantize.with_args(observer=tq.MinMaxObserver, quant_min=low, quant_max=high, dtype=dtype, qscheme=scheme)
        weight = tq.FakeQuantize.with_args(observer=tq.PerChannelMinMaxObserver, quant_min=-128, quant_max=127, dtype=torch.qint8,
                                           qscheme=torch.per_channel_symmetric, ch_axis=0)
        return tq.QConfig(act, weight)
    row("torch_fq_u7", tool + " (TorchScript exporter)", "resnet20", "fake quantization, 0..127",
        fake_quantized(qat(0, 127, torch.quint8, torch.per_tensor_affine), 13, False), x)
    row("torch_fq_s8", tool + " (TorchScript exporter)", "resnet20", "fake quantization, int8",
        fake_quantized(qat(-128, 127, torch.qint8, torch.per_tensor_symmetric), 17, False), x)
    row("torch_fq_dynamo", tool + " (dynamo)", "resnet20", "fake quantization, int8",
        fake_quantized(qat(-128, 127, torch.qint8, torch.per_tensor_symmetric), 18, True), x)

    def pt2e(path):
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (X86InductorQuantizer,
                                                                                get_default_x86_inductor_quantization_config)
        net = trained()
        program = torch.export.export(net, (example,), strict=True).module()
        quantizer = X86InductorQuantizer()
        quantizer.set_global(get_default_x86_inductor_quantization_config())
        prepared = prepare_pt2e(program, quantizer)
        with torch.no_grad():
            for sample in samples:
                prepared(sample[None])
        torch.onnx.export(convert_pt2e(prepared), (example,), path, opset_version=18, dynamo=True)
    row("torch_pt2e", tool + " (dynamo)", "resnet20", "PT2E, X86InductorQuantizer", pt2e, x)
    row("torch_float", tool + " (dynamo)", "resnet20", "float, opset 23",
        lambda path: torch.onnx.export(trained(), (example,), path, opset_version=23, dynamo=True), x)


def paddle_rows():
    import importlib.metadata
    import paddle

    nn = paddle.nn
    paddle.seed(1)
    net = nn.Sequential(nn.Conv2D(3, 16, 3, stride=2, padding=1), nn.BatchNorm2D(16), nn.Hardswish(), nn.Conv2D(16, 16, 3, padding=1, groups=16),
                        nn.ReLU6(), nn.MaxPool2D(2), nn.Conv2D(16, 32, 1), nn.Swish(), nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(32, 10))
    net.eval()
    tool = f"paddle2onnx {importlib.metadata.version('paddle2onnx')}, paddle {paddle.__version__}"

    def write(path):
        spec = [paddle.static.InputSpec([1, 3, 32, 32], "float32", "x")]
        paddle.onnx.export(net, path[:-len(".onnx")], input_spec=spec, opset_version=13)
    row("paddle_cnn", tool, "CNN", "opset 13", write, images("test_exact_1017.bin", COUNT))


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for needed, rows in ((("tensorflow", "tf2onnx"), tensorflow_rows), (("torch", "onnxscript"), torch_rows), (("paddle", "paddle2onnx"), paddle_rows)):
        if all(importlib.util.find_spec(name) for name in needed):
            rows()


if __name__ == "__main__":
    main()
