#!/usr/bin/env python3
"""Times the decoder at a published shape in this project, in llama.cpp and in transformers, on the same threads.

    python3 benches/decoder_vs_others.py 7b|1b [ROUNDS] [--bits 4|8]

Makes a virtual environment under target/, installs torch, transformers, gguf and llama-cpp-python (compiled there, minutes)
into it, writes a GGUF file of random weights under target/ (Q4_0 or Q8_0, the last layer Q8_0: as many bytes a weight as ours
in each layer), builds the release program, then lets all compute in turn: a prompt of 313 positions, and 16 tokens one after
the other. Prints medians and the ratios. transformers runs in bfloat16; at 7B it runs after the others, since all three do not
fit into 24 GiB.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

from tower_vs_pytorch import ROOT, VENV, into_venv

PROMPT, NEW, VOCAB = 313, 16, 32000
SHAPES = {
    "7b": dict(width=4096, mlp=11008, layers=32, heads=32, kv_heads=32),
    "1b": dict(width=2048, mlp=5632, layers=22, heads=32, kv_heads=4),
}


def install(*packages):
    subprocess.run([VENV / "bin" / "python", "-m", "pip", "install", "-q", *packages], check=True)


def write_gguf(path, shape, bits):
    import gguf
    import numpy as np

    part = path.with_suffix(".part")
    out = gguf.GGUFWriter(part, "llama")
    d, kv = shape["width"], shape["width"] * shape["kv_heads"] // shape["heads"]
    out.add_context_length(2048)
    out.add_embedding_length(d)
    out.add_block_count(shape["layers"])
    out.add_feed_forward_length(shape["mlp"])
    out.add_head_count(shape["heads"])
    out.add_head_count_kv(shape["kv_heads"])
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(d // shape["heads"])
    out.add_vocab_size(VOCAB)
    out.add_tokenizer_model("llama")
    out.add_token_list([b"<unk>", b"<s>", b"</s>"] + [f"w{i}".encode() for i in range(3, VOCAB)])
    out.add_token_scores([0.0] * VOCAB)
    out.add_token_types([2, 3, 3] + [1] * (VOCAB - 3))
    random = np.random.default_rng(0)

    def norm(name):
        out.add_tensor(name, np.ones(d, dtype=np.float32))

    def matrix(name, rows, columns, bits=bits):
        kind, block = {
            "4": (gguf.GGMLQuantizationType.Q4_0, 18),
            "8": (gguf.GGMLQuantizationType.Q8_0, 34),
        }[bits]
        blocks = random.integers(0, 256, (rows, columns // 32, block), dtype=np.uint8)
        scale = np.float16(0.04 / (8 if bits == "4" else 128)).view(np.uint16)
        blocks[:, :, 0], blocks[:, :, 1] = scale & 255, scale >> 8
        out.add_tensor(name, blocks.reshape(rows, -1), raw_dtype=kind)

    matrix("token_embd.weight", VOCAB, d)
    for i in range(shape["layers"]):
        for name, rows, columns in [
            ("attn_q", d, d), ("attn_k", kv, d), ("attn_v", kv, d), ("attn_output", d, d),
            ("ffn_gate", shape["mlp"], d), ("ffn_up", shape["mlp"], d), ("ffn_down", d, shape["mlp"]),
        ]:
            matrix(f"blk.{i}.{name}.weight", rows, columns)
        norm(f"blk.{i}.attn_norm.weight")
        norm(f"blk.{i}.ffn_norm.weight")
    norm("output_norm.weight")
    matrix("output.weight", VOCAB, d, "8")
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    part.rename(path)


def llama_cpp(path, threads):
    """Milliseconds of prompt and tokens, at each call."""
    from llama_cpp import Llama

    llama = Llama(str(path), n_ctx=512, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)

    def run():
        llama.reset()
        start = time.perf_counter()
        llama.eval(list(range(3, 3 + PROMPT)))
        between = time.perf_counter()
        for i in range(NEW):
            llama.eval([3 + i])
        return (between - start) * 1e3, (time.perf_counter() - between) * 1e3

    return run


def transformers(shape, threads, dtype=None, prompt=PROMPT, new=NEW, vocab=VOCAB):
    """Milliseconds of prompt and tokens, at each call; in bfloat16 unless told otherwise."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(threads)
    dtype = dtype or torch.bfloat16
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=shape["width"], intermediate_size=shape["mlp"], num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"], num_key_value_heads=shape["kv_heads"], max_position_embeddings=2048,
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(dtype)
    model = model.to_empty(device="cpu")
    noise = torch.randn(1 << 22).mul_(0.02).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            flat = parameter.view(-1)
            for start in range(0, flat.numel(), noise.numel()):
                flat[start : start + noise.numel()].copy_(noise[: flat.numel() - start])
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    model.eval()

    def run():
        with torch.inference_mode():
            start = time.perf_counter()
            seen = model(torch.arange(3, 3 + prompt)[None], use_cache=True, logits_to_keep=1).past_key_values
            between = time.perf_counter()
            for i in range(new):
                seen = model(torch.tensor([[3 + i]]), past_key_values=seen, use_cache=True).past_key_values
            return (between - start) * 1e3, (time.perf_counter() - between) * 1e3

    return run


def ours(name, bits, threads):
    command = [
        ROOT / "target/release/face-llava", "bench", "--random", name, "--quantize", f"int{bits}", "--device", "cpu",
        "--prompt", str(PROMPT), "--new", str(NEW), "--runs", "1", "--json",
    ]
    peaks = []

    def run():
        environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
        row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
        peaks.append(row["peak_mib"])
        return row["prefill_ms"], row["decoding_ms"]

    return run, peaks


def main():
    into_venv()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("rounds", type=int, nargs="?", default=5)
    parser.add_argument("--bits", choices=["4", "8"], default="4")
    arguments = parser.parse_args()
    name, rounds, bits = arguments.shape, arguments.rounds, arguments.bits
    shape, threads = SHAPES[name], len(os.sched_getaffinity(0))
    install("transformers", "gguf", "llama-cpp-python")
    path = ROOT / "target" / f"random-{name}-q{bits}.gguf"
    if not path.exists():
        write_gguf(path, shape, bits)
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "face-llava"], cwd=ROOT, check=True)
    mine, peaks = ours(name, bits, threads)
    programs = {"face-llava": mine, "llama.cpp": llama_cpp(path, threads)}
    later = {"transformers, bfloat16": lambda: transformers(shape, threads)}
    if name != "7b":
        programs |= {label: make() for label, make in later.items()}
        later = {}
    times = {}

    def round(programs):
        for label, program in programs.items():
            times.setdefault(label, []).append(program())

    for _ in range(rounds + 1):
        round(programs)
    programs.clear()
    for label, make in later.items():
        program = make()
        for _ in range(rounds + 1):
            round({label: program})
    print(f"{name}, {bits} bits, {threads} threads, medians of {rounds} rounds; our peak memory {max(peaks):.0f} MiB")
    base = None
    for label, rows in times.items():
        # The first round warms up.
        prefill, decoding = (statistics.median(column) for column in zip(*rows[1:]))
        base = base or (prefill, decoding)
        print(
            f"{label:24} prefill {PROMPT / prefill * 1e3:7.1f} tokens/s, decoding {NEW / decoding * 1e3:6.2f} tokens/s;"
            f" ours is {prefill / base[0]:.2f} and {decoding / base[1]:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
