#!/usr/bin/env python3
"""Times PyTorch on a GPU: eager FP32, FP16 channels-last in a CUDA graph, torch.compile max-autotune.

usage: torch_peers.py OUT.json [SECONDS] [compile]     SECONDS: no new case is begun after that many; compile: only
                                                       torch.compile, which tunes for minutes, with the GPU for itself

Compute only (inputs and outputs stay in device memory), median of 30 samples by events; random weights, random images.
"""
import json
import statistics
import sys
import time

import torch
import torchvision

START = time.time()


def median_ms(run, target_ms=20.0):
    """Median over 30 samples of the time of one call; a sample is as many calls in a row as take about target_ms."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    run()
    end.record()
    end.synchronize()
    calls = max(1, min(200, int(target_ms / max(begin.elapsed_time(end), 1e-3))))
    samples = []
    for _ in range(30):
        begin.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        samples.append(begin.elapsed_time(end) / calls)
    return statistics.median(samples)


def graphed(model, x):
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            model(x)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(x)
    return graph.replay


def warmed_up(model, x, what):
    """Runs a compiled model for the first times, which is when it is tuned."""
    start = time.time()
    try:
        with torch.inference_mode():
            for _ in range(3):
                model(x)
            torch.cuda.synchronize()
    except Exception as error:
        print(f"{what}: {str(error)[:300]}", flush=True)
        return False
    print(f"{what}: ready after {time.time() - start:.0f} s", flush=True)
    return True


def resnet18_32():
    model = torchvision.models.resnet18(num_classes=10)
    model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = torch.nn.Identity()
    return model


def main():
    torch.backends.cudnn.benchmark = True
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else 1e9
    models = {"resnet50": (torchvision.models.resnet50, 224), "mobilenet_v2": (torchvision.models.mobilenet_v2, 224),
              "resnet18_32": (resnet18_32, 32)}
    batches = {"resnet50": (1, 8, 128, 256), "mobilenet_v2": (1, 128), "resnet18_32": (1,)}
    rows = []

    def case(name, batch, how, make):
        if time.time() - START > limit:
            return
        try:
            with torch.inference_mode():
                ms = median_ms(make())
            rows.append({"model": name, "batch": batch, "how": how, "ms": ms, "img_per_s": batch / ms * 1000})
        except Exception as error:  # a peer that does not run is a row without a figure
            rows.append({"model": name, "batch": batch, "how": how, "ms": None, "error": str(error)[:200]})
        print(rows[-1], flush=True)
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            json.dump({"torch": torch.__version__, "gpu": torch.cuda.get_device_name(), "rows": rows}, file, indent=1)

    only_compile = "compile" in sys.argv[3:]
    for name, (build, side) in ({} if only_compile else models).items():
        model = build().eval().cuda()
        half = build().eval().cuda().half().to(memory_format=torch.channels_last)
        for batch in batches[name]:
            x = torch.rand(batch, 3, side, side, device="cuda") * 2 - 1
            xh = x.half().to(memory_format=torch.channels_last)
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
            case(name, batch, "FP32 eager", lambda: lambda: model(x))
            case(name, batch, "FP16 channels-last, CUDA graph", lambda: graphed(half, xh))
    # max-autotune without coordinate descent, which takes tens of minutes.
    options = {"reduce-overhead": {"triton.cudagraphs": True}, "max-autotune": {"triton.cudagraphs": True, "max_autotune": True}}
    ways = (("reduce-overhead", 1), ("reduce-overhead", 128), ("max-autotune", 128), ("max-autotune", 1))
    for how, batch in ways if only_compile else ():
        name = "resnet50"
        half = models[name][0]().eval().cuda().half().to(memory_format=torch.channels_last)
        xh = (torch.rand(batch, 3, models[name][1], models[name][1], device="cuda") * 2 - 1).half().to(memory_format=torch.channels_last)
        compiled = torch.compile(half, options=options[how])
        if warmed_up(compiled, xh, f"{name} {batch} {how}"):
            case(name, batch, "FP16 torch.compile " + how, lambda: lambda: compiled(xh))


if __name__ == "__main__":
    main()
