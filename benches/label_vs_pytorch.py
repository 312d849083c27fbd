#!/usr/bin/env python3
"""From a picture to one label: likelihood in this project against 64 generated tokens in PyTorch, on the same threads.

    python3 benches/label_vs_pytorch.py [ROUNDS]

At two shapes: the small model inside (float32 in both), and ViT-L/14 with a decoder of 1.1 billion weights (int8 and float32
here, bfloat16 and float32 there). PyTorch's side leaves landmarks and the cross-attention out, which is to its advantage.
Installs what it needs under target/ and prints medians of interleaved rounds.
"""
import json
import os
import statistics
import subprocess
import sys
import time

from decoder_vs_others import SHAPES, install, transformers
from tower_vs_pytorch import ROOT, WEIGHTS, forward, into_venv, make

TOKENS = 64
MINI = dict(width=160, mlp=416, layers=3, heads=4, kv_heads=4)


def mini_tower():
    import torch
    from torch import nn

    class Tower(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 160, 12, 12)
            layer = nn.TransformerEncoderLayer(160, 4, 640, 0.0, "gelu", batch_first=True, norm_first=True)
            self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)

        def forward(self, pixels):
            return self.layers(self.patches(pixels).flatten(2).transpose(1, 2))

    tower = Tower().eval()
    return lambda: tower(torch.randn(1, 3, 96, 96))


def large_tower(dtype):
    import torch
    from safetensors.torch import load_file

    make()
    weights = load_file(WEIGHTS / "model.safetensors").items()
    weights = {k.removeprefix("vision_model."): v.to(dtype) for k, v in weights}
    return lambda: forward(weights, torch.randn(1, 3, 224, 224, dtype=dtype))


def generating(tower, shape, threads, dtype, prompt, vocab):
    """Seconds from a picture to 64 tokens."""
    import torch

    decode = transformers(shape, threads, dtype, prompt, TOKENS, vocab)

    def run():
        with torch.inference_mode():
            start = time.perf_counter()
            tower()
            seen = time.perf_counter() - start
        return seen * 1e3 + sum(decode())

    return run


def likelihood(*arguments):
    command = [ROOT / "target/release/face-llava", "bench", "--device", "cpu", "--runs", "3", "--new", "1", "--json"]

    def run():
        done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)["label_ms"]

    return run


def main():
    into_venv()
    import torch

    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    threads = len(os.sched_getaffinity(0))
    install("transformers")
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "face-llava"], cwd=ROOT, check=True)
    full, half = torch.float32, torch.bfloat16
    print(f"PyTorch {torch.__version__}, {threads} threads, medians of {rounds} rounds, ms from a picture to its label")
    for name, programs in {
        "small model": {
            "float32": likelihood("--prompt", "121"),
            "PyTorch float32": generating(mini_tower(), MINI, threads, full, 121, 768),
        },
        "1.1 billion": {
            "int8": likelihood("--random", "1b", "--quantize", "int8"),
            "float32": likelihood("--random", "1b"),
            "PyTorch bfloat16": generating(large_tower(half), SHAPES["1b"], threads, half, 313, 32000),
            "PyTorch float32": generating(large_tower(full), SHAPES["1b"], threads, full, 313, 32000),
        },
    }.items():
        times = {label: [] for label in programs}
        for _ in range(rounds):
            for label, program in programs.items():
                times[label].append(program())
        middle = {label: statistics.median(values) for label, values in times.items()}
        best = min(v for k, v in middle.items() if k.startswith("PyTorch"))
        for label, value in middle.items():
            ratio = "" if label.startswith("PyTorch") else f", {best / value:.1f} times faster than PyTorch's best"
            print(f"{name:12} {label:18} {value:9.1f}{ratio}")


if __name__ == "__main__":
    main()
