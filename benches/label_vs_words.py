#!/usr/bin/env python3
"""`face-llava run` over a folder of photographs: labels by likelihood against answers in words, interleaved.

    python3 benches/label_vs_words.py PHOTOS [ROUNDS]

With the small model inside, and with a folder of random weights of ViT-L/14 and a decoder of 1.1 billion weights (int8), whose
answers end at 64 tokens. Installs what it needs and writes 2.9 GB under target/, and prints medians in seconds.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

from decoder_vs_others import SHAPES
from tower_vs_pytorch import LAYERS, MLP, ROOT, WIDTH, into_venv

TINY = ROOT / "face-llava/tests/fixtures/tiny-simple/checkpoint"
LARGE = ROOT / "target/random-1b"


def shape_of(name, shape, decoder):
    """The shape at full size of a tensor of the tiny checkpoint (widths 32 and 96, tower 48 and 96)."""
    d = decoder["width"]
    if "image_tower" in name:
        wide = {48: WIDTH, 96: MLP}
    else:
        wide = {32: d, 96: 3 * d if "in_proj" in name else decoder["mlp"], 48: WIDTH}
    shape = [wide.get(n, n) for n in shape]
    if name.endswith(("self_attn.k_proj.weight", "self_attn.v_proj.weight")) and "image_tower" not in name:
        shape[0] = d * decoder["kv_heads"] // decoder["heads"]
    return shape


def write_model(decoder):
    """The tiny checkpoint's names and wording with the shapes of 1.1 billion weights."""
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import save_file

    random, tensors = np.random.default_rng(0), {}
    for file in sorted(TINY.glob("*.safetensors")):
        with safe_open(file, "numpy") as tiny:
            for name in tiny.keys():
                if "video_tower" in name or ".layers." in name and ".layers.0." not in name:
                    continue
                shape = shape_of(name, tiny.get_slice(name).get_shape(), decoder)
                layers = (LAYERS if "image_tower" in name else decoder["layers"]) if ".layers.0." in name else 1
                for layer in range(layers):
                    norm = name.endswith("weight") and ("norm" in name or name.endswith("ln.weight"))
                    values = np.ones(shape) if norm else 0.02 * random.standard_normal(shape, dtype=np.float32)
                    tensors[name.replace(".layers.0.", f".layers.{layer}.")] = values.astype(np.float16)
    config = json.loads((TINY / "config.json").read_text())
    config |= dict(hidden_size=decoder["width"], intermediate_size=decoder["mlp"], num_hidden_layers=decoder["layers"],
                   num_attention_heads=decoder["heads"], num_key_value_heads=decoder["kv_heads"], mm_hidden_size=WIDTH)
    del config["mm_video_tower"]
    part = pathlib.Path(f"{LARGE}.part")
    part.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(TINY / name, part)
    (part / "config.json").write_text(json.dumps(config))
    save_file(tensors, part / "model.safetensors")
    part.rename(LARGE)


def seconds(photos, scorer, *model):
    """One run of the program over all photographs, each row without an error."""
    command = [ROOT / "target/release/face-llava", "run", "--task", "expression", photos, "--scorer", scorer, *model]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    took = time.perf_counter() - start
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows and not any(row["error"] for row in rows), "a photograph could not be answered"
    return took, len(rows)


def main():
    into_venv()
    photos, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "face-llava"], cwd=ROOT, check=True)
    if not LARGE.exists():
        write_model(SHAPES["1b"])
    large = ["--model", str(LARGE), "--quantize", "int8"]
    print(f"{len(os.sched_getaffinity(0))} threads, medians of {rounds} rounds")
    for name, model in {"small model": [], "1.1 billion, int8": large}.items():
        times = {"likelihood": [], "words": []}
        for _ in range(rounds):
            for scorer, values in times.items():
                took, count = seconds(photos, scorer, *model)
                values.append(took)
        label, words = (statistics.median(values) for values in times.values())
        print(f"{name:18} {count} photographs: likelihood {label:.2f} s, words {words:.2f} s: {label / words:.2f} times")


if __name__ == "__main__":
    main()
