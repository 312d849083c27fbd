#!/usr/bin/env bash
# Parity and speed on an NVIDIA GPU: builds with the cuda and wgpu features (the build of the first fetches LLVM), runs the
# parity and gradient tests on both, times the full-size vision tower, and prints the table of the 7B shape in bfloat16 and
# int4. Needs the driver; PyTorch's eager figures come from the last step, where python3 can install torch.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! nvidia-smi --query-gpu=name,driver_version --format=csv,noheader; then
  echo "no NVIDIA GPU here: nothing was run"
  exit 1
fi
for device in cuda wgpu; do
  FACE_LLAVA_DEVICE=$device cargo test --release -p face-llava --features $device --test suite -- parity:: gradients::
done
cargo build --release -p face-llava --features cuda
for precision in bf16 f32; do
  target/release/face-llava bench --random 7b --precision $precision --device cuda
done
# Products with weights in few bits are computed by the processor, wherever the rest is.
target/release/face-llava bench --random 7b --quantize int4 --device cuda
cargo build --release -p face-llava-benches --features cuda --bin tower
python3 benches/tower_vs_pytorch.py 5 # writes the weights, and the CPU's figures
yes f32 | head -20 | target/release/tower target/tower cuda
