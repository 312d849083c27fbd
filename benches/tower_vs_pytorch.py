#!/usr/bin/env python3
"""Times the full-size ViT-L/14 tower in this project and in PyTorch, interleaved, on the same threads.

    python3 benches/tower_vs_pytorch.py [RUNS] [DEVICE]

Makes a virtual environment under target/, installs torch, numpy and safetensors into it, writes random weights (1.2 GB,
float32) under target/tower, builds the release program, then lets both compute in turn and prints the medians. On the CPU
weights in 8 bits are timed, too. DEVICE is cpu (the default) or cuda; where there is no cargo, the program is not built anew.
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "target" / "venv"
WEIGHTS = ROOT / "target" / "tower"
WIDTH, LAYERS, HEADS, MLP, PATCHES = 1024, 24, 16, 4096, 256


def into_venv():
    """Runs this script again inside the virtual environment."""
    if os.environ.get("TOWER_VENV"):
        return
    python = VENV / "bin" / "python"
    if not python.exists():
        venv.create(VENV, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "torch", "numpy", "safetensors"], check=True)
    os.execve(python, [str(python), *sys.argv], os.environ | {"TOWER_VENV": "1"})


def build(program, device):
    """Builds one of the benches' programs for a device, and gives its path."""
    command = ["cargo", "build", "--release", "-q", "-p", "face-llava-benches", "--bin", program]
    if shutil.which("cargo"):
        subprocess.run(command + ["--features", "cuda"] * (device == "cuda"), cwd=ROOT, check=True)
    return ROOT / "target/release" / program


def computed(device):
    """Waits until PyTorch has done what it was given."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def on(device, threads):
    """What PyTorch computes on, in words."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else f"{threads} threads"


def names():
    """Name and shape of every tensor up to the layer that is used."""
    yield "embeddings.class_embedding", (WIDTH,)
    yield "embeddings.patch_embedding.weight", (WIDTH, 3, 14, 14)
    yield "embeddings.position_embedding.weight", (PATCHES + 1, WIDTH)
    for norm in ("pre_layrnorm",):
        yield f"{norm}.weight", (WIDTH,)
        yield f"{norm}.bias", (WIDTH,)
    for i in range(LAYERS - 1):
        layer = f"encoder.layers.{i}"
        for norm in ("layer_norm1", "layer_norm2"):
            yield f"{layer}.{norm}.weight", (WIDTH,)
            yield f"{layer}.{norm}.bias", (WIDTH,)
        for proj in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"{layer}.self_attn.{proj}.weight", (WIDTH, WIDTH)
            yield f"{layer}.self_attn.{proj}.bias", (WIDTH,)
        yield f"{layer}.mlp.fc1.weight", (MLP, WIDTH)
        yield f"{layer}.mlp.fc1.bias", (MLP,)
        yield f"{layer}.mlp.fc2.weight", (WIDTH, MLP)
        yield f"{layer}.mlp.fc2.bias", (WIDTH,)


def make():
    import torch
    from safetensors.torch import save_file

    if (WEIGHTS / "model.safetensors").exists():
        return
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    tensors = {}
    for name, shape in names():
        norm = "norm" in name and name.endswith("weight")
        tensors[f"vision_model.{name}"] = torch.ones(shape) if norm else torch.randn(shape) * 0.02
    save_file(tensors, WEIGHTS / "part")
    (WEIGHTS / "part").rename(WEIGHTS / "model.safetensors")


def forward(w, pixels):
    import torch
    from torch.nn import functional as F

    def norm(x, name):
        return F.layer_norm(x, (WIDTH,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)

    def linear(x, name):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    x = F.conv2d(pixels, w["embeddings.patch_embedding.weight"], stride=14).flatten(2).transpose(1, 2)
    x = torch.cat([w["embeddings.class_embedding"].expand(len(x), 1, -1), x], 1)
    x = norm(x + w["embeddings.position_embedding.weight"], "pre_layrnorm")
    for i in range(LAYERS - 1):
        layer = f"encoder.layers.{i}"
        y = norm(x, f"{layer}.layer_norm1")
        q, k, v = (
            linear(y, f"{layer}.self_attn.{p}_proj").unflatten(2, (HEADS, -1)).transpose(1, 2) for p in "qkv"
        )
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + linear(y, f"{layer}.self_attn.out_proj")
        y = F.gelu(linear(norm(x, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1"))
        x = x + linear(y, f"{layer}.mlp.fc2")
    return x[:, 1:]


def main():
    into_venv()
    import torch
    from safetensors.torch import load_file

    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    device = sys.argv[2] if len(sys.argv) > 2 else "cpu"
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    make()
    program = build("tower", device)
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
    ours = subprocess.Popen(
        [program, WEIGHTS, device], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    print("face-encoder:", ours.stdout.readline().strip())
    print("face-encoder:", ours.stdout.readline().strip())
    weights = load_file(WEIGHTS / "model.safetensors", device=device).items()
    weights = {k.removeprefix("vision_model."): v for k, v in weights}
    pixels = torch.randn(1, 3, 224, 224, device=device)
    # Products with weights in few bits are computed by the processor, wherever the rest is.
    kinds = ("f32", "int8") if device == "cpu" else ("f32",)
    times = {which: [] for which in (*kinds, "PyTorch")}

    def compute(which):
        ours.stdin.write(f"{which}\n")
        ours.stdin.flush()
        return float(ours.stdout.readline().split()[0])

    with torch.inference_mode():
        for run in range(runs + 2):
            row = {which: compute(which) for which in kinds}
            start = time.perf_counter()
            forward(weights, pixels)
            computed(device)
            row["PyTorch"] = (time.perf_counter() - start) * 1000
            if run >= 2:  # the first runs warm up
                for which, value in row.items():
                    times[which].append(value)
    ours.stdin.close()
    middle = {which: statistics.median(values) for which, values in times.items()}
    print(f"PyTorch {torch.__version__}, {on(device, threads)}, medians of {runs} interleaved runs")
    for which, value in middle.items():
        print(f"{which}: {value:.0f} ms, {value / middle['PyTorch']:.2f} times PyTorch's")


if __name__ == "__main__":
    main()
