#!/usr/bin/env bash
# Parity and speed on an NVIDIA GPU: builds with the cuda feature (the build fetches LLVM), runs the parity and gradient
# tests on it, then times the full-size vision tower. Needs the driver; target/tower comes from tower_vs_pytorch.py.
set -euo pipefail
cd "$(dirname "$0")/.."
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
FACE_LLAVA_DEVICE=cuda cargo test --release -p face-llava --features cuda --test suite -- parity:: gradients::
cargo build --release -p face-llava-benches --features cuda --bin tower
yes "" | head -20 | target/release/tower target/tower cuda
