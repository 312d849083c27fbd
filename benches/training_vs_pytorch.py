#!/usr/bin/env python3
"""Times steps of training at the small model's shapes in this project and in PyTorch, interleaved, on the same device.

    python3 benches/training_vs_pytorch.py [RUNS] [DEVICE]

Makes a virtual environment under target/, installs torch and numpy into it, builds the release program, then lets both make
a step in turn (forward, backward, clipping to norm 1, AdamW, all in float32) and prints the medians: a step of pre-training
the tower (64 pictures of 96x96, classes and 68 points) and one of the decoder (32 sequences of 160 places). DEVICE is cpu
(the default) or cuda.
"""
import math
import os
import statistics
import subprocess
import sys
import time

from tower_vs_pytorch import build, computed, into_venv, on


def tower():
    """The tower with its heads, and a step on one batch."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    d, layers, heads, patch, grid = 160, 4, 4, 12, 8

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
            self.q, self.k, self.v, self.out = (nn.Linear(d, d) for _ in range(4))
            self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

        def forward(self, x):
            y = self.norm1(x)
            q, k, v = (f(y).unflatten(2, (heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
            x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))

    class Pupil(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, d, patch, patch, bias=False)
            self.cls = nn.Parameter(torch.randn(d) * 0.02)
            self.positions = nn.Parameter(torch.randn(grid * grid + 1, d) * 0.02)
            self.before, self.after = nn.LayerNorm(d), nn.LayerNorm(d)
            self.layers = nn.ModuleList(Layer() for _ in range(layers))
            self.classes, self.places, self.offsets = nn.Linear(d, 7), nn.Linear(d, 68), nn.Linear(d, 136)
            at = (torch.arange(grid) + 0.5) / grid
            self.register_buffer("centres", torch.stack(torch.meshgrid(at, at, indexing="xy"), -1).view(-1, 2))

        def forward(self, pixels):
            x = self.patches(pixels).flatten(2).transpose(1, 2)
            x = self.before(torch.cat([self.cls.expand(len(x), 1, -1), x], 1) + self.positions)
            for layer in self.layers:
                x = layer(x)
            z = self.after(x[:, 1:])
            places = self.places(z).softmax(1)
            offsets = self.offsets(z).unflatten(2, (68, 2)) * (0.1 / grid)
            points = places.transpose(1, 2) @ self.centres + (places.unsqueeze(3) * offsets).sum(1)
            return self.classes(z.mean(1)), points

    pupil, pixels, points = Pupil(), torch.rand(64, 3, 96, 96), torch.rand(64, 68, 2)
    labels = torch.arange(64) % 7

    def loss():
        logits, seen = pupil(pixels)
        return (F.cross_entropy(logits, labels, reduction="sum") + (seen - points).abs().sum() * (10 / 68)) / 64

    return pupil, loss


def decoder():
    """The decoder, and a step on one batch."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    d, mlp, layers, heads, vocabulary, places = 160, 416, 3, 4, 768, 160

    def rotate(x, cos, sin):
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.RMSNorm(d, eps=1e-5), nn.RMSNorm(d, eps=1e-5)
            self.q, self.k, self.v, self.out = (nn.Linear(d, d, bias=False) for _ in range(4))
            self.gate, self.up = (nn.Linear(d, mlp, bias=False) for _ in range(2))
            self.down = nn.Linear(mlp, d, bias=False)

        def forward(self, x, cos, sin):
            y = self.norm1(x)
            q, k, v = (f(y).unflatten(2, (heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
            y = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).flatten(2))
            y = self.norm2(x)
            return x + self.down(F.silu(self.gate(y)) * self.up(y))

    class Llama(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(vocabulary, d)
            self.layers = nn.ModuleList(Layer() for _ in range(layers))
            self.norm, self.head = nn.RMSNorm(d, eps=1e-5), nn.Linear(d, vocabulary, bias=False)

        def forward(self, ids, cos, sin):
            x = self.embed(ids)
            for layer in self.layers:
                x = layer(x, cos, sin)
            return self.head(self.norm(x))

    half = d // heads // 2
    angles = torch.arange(places)[:, None] * 10000.0 ** (-torch.arange(half) / half)
    cos, sin = (torch.cat([f(angles)] * 2, 1) for f in (torch.cos, torch.sin))
    llama = Llama()
    ids = (torch.arange(32 * places) * 31 % vocabulary).view(32, places)
    following = (ids * 7 % vocabulary).flatten()

    def loss():
        return F.cross_entropy(llama(ids, cos, sin).flatten(0, 1), following)

    return llama, loss


def compare(name, make, runs, program, device):
    import torch

    with torch.device(device):
        model, loss = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)

    def step():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        assert math.isfinite(value.item())
        computed(device)

    threads = str(torch.get_num_threads())
    environment = os.environ | {"RAYON_NUM_THREADS": threads}
    ours = subprocess.Popen([program, name, device], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    mine, theirs = [], []
    for run in range(runs + 3):
        ours.stdin.write("\n")
        ours.stdin.flush()
        a = float(ours.stdout.readline().split()[0])
        start = time.perf_counter()
        step()
        b = (time.perf_counter() - start) * 1000
        if run >= 3:  # the first steps warm up
            mine.append(a)
            theirs.append(b)
    ours.stdin.close()
    ours.wait()
    a, b = statistics.median(mine), statistics.median(theirs)
    print(f"{name}: face-llava {a:.1f} ms, PyTorch {b:.1f} ms a step: {a / b:.2f} times", flush=True)


def main():
    into_venv()
    import torch

    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    device = sys.argv[2] if len(sys.argv) > 2 else "cpu"
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    program = build("training", device)
    print(f"PyTorch {torch.__version__}, {on(device, torch.get_num_threads())}, medians of {runs} interleaved steps")
    for name, make in (("tower", tower), ("decoder", decoder)):
        compare(name, make, runs, program, device)


if __name__ == "__main__":
    main()
