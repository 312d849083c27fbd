#!/usr/bin/env bash
# Parity and speed on an NVIDIA GPU: builds with the cuda and wgpu features (the build of the first fetches LLVM), runs the
# parity and gradient tests on both, prints the table of the 7B shape in bfloat16 and int4, and times the full-size vision tower
# and the small model's training steps beside PyTorch. Needs the driver, and a python3 that can install torch.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! nvidia-smi --query-gpu=name,driver_version --format=csv,noheader; then
  echo "no NVIDIA GPU here: nothing was run"
  exit 1
fi
# The timings are worth having where a tolerance is missed; the script fails at its end.
status=0
for device in cuda wgpu; do
  FACE_LLAVA_DEVICE=$device cargo test --release -p face-llava --features $device --test suite -- parity:: gradients:: || status=1
done
cargo build --release -p face-llava --features cuda
for precision in bf16 f32; do
  target/release/face-llava bench --random 7b --precision $precision --device cuda
done
# Products with weights in few bits are computed by the processor, wherever the rest is.
target/release/face-llava bench --random 7b --quantize int4 --device cuda
# In turn with PyTorch's eager operations on the same GPU.
python3 benches/tower_vs_pytorch.py 20 cuda
python3 benches/training_vs_pytorch.py 100 cuda
exit $status
