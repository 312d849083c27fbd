#!/usr/bin/env python3
"""Converts MediaPipe's face detector and face mesh to mediapipe.safetensors beside this script.

    python3 -m venv /tmp/venv && . /tmp/venv/bin/activate
    pip install numpy safetensors tflite
    pip download --no-deps mediapipe==0.10.14 -d /tmp/wheel
    python3 convert.py /tmp/wheel/mediapipe-0.10.14-*.whl

The weights are MediaPipe's, Apache-2.0; they stay float16 as published. Kernels become OIHW.
"""
import pathlib
import sys
import zipfile

import numpy as np
import tflite
from safetensors.numpy import save_file

FOLDER = "mediapipe/modules/"


def constants(data):
    """Name -> float16 array of every constant."""
    model = tflite.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)
    found = {}
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        raw = model.Buffers(tensor.Buffer()).DataAsNumpy()
        if tensor.Type() == tflite.TensorType.FLOAT16 and not isinstance(raw, int):
            shape = tensor.ShapeAsNumpy()
            found[tensor.Name().decode()] = raw.view(np.float16).reshape(shape)
    return found


class Net:
    def __init__(self, data, prefix):
        self.constants, self.prefix, self.out = constants(data), prefix, {}

    def get(self, name):
        keys = [k for k in self.constants if name in (k, k.removesuffix("_dequantize"))]
        assert len(keys) == 1, (name, keys, sorted(self.constants)[:8])
        return self.constants[keys[0]]

    def conv(self, target, source):
        kernel = self.get(f"{source}/Kernel")
        depthwise = source.startswith("depthwise")
        self.out[f"{self.prefix}.{target}.weight"] = np.ascontiguousarray(
            kernel.transpose(3, 0, 1, 2) if depthwise else kernel.transpose(0, 3, 1, 2)
        )
        self.out[f"{self.prefix}.{target}.bias"] = self.get(f"{source}/Bias").reshape(-1)

    def prelu(self, target, source):
        self.out[f"{self.prefix}.{target}.alpha"] = self.get(f"{source}/Alpha").reshape(-1)


def blazeface(data):
    net = Net(data, "blazeface")
    net.conv("stem", "conv2d")
    for i in range(16):
        net.conv(f"blocks.{i}.depthwise", f"depthwise_conv2d{f'_{i}' if i else ''}")
        net.conv(f"blocks.{i}.pointwise", f"conv2d_{i + 1}")
    for grid in (8, 16):
        net.conv(f"score_{grid}", f"classificator_{grid}")
        net.conv(f"box_{grid}", f"regressor_{grid}")
    return net.out


def face_mesh(data):
    net = Net(data, "face_mesh")

    def block(target, depthwise, pointwise, prelu):
        net.conv(f"{target}.depthwise", f"depthwise_conv2d_{depthwise}")
        net.conv(f"{target}.pointwise", f"conv2d_{pointwise}")
        net.prelu(f"{target}.prelu", f"p_re_lu_{prelu}")

    net.conv("stem", "conv2d_1")
    net.prelu("stem_prelu", "p_re_lu_1")
    for k in range(1, 15):
        block(f"trunk.{k - 1}", k, k + 1, k + 1)
    for i, (d, p, a) in enumerate([(15, 16, 16), (16, 17, 17), (17, 18, 18)]):
        block(f"points.reduce.{i}", d, p, a)
    net.conv("points.narrow", "conv2d_19")
    net.prelu("points.narrow_prelu", "p_re_lu_19")
    block("points.last", 18, 20, 20)
    net.conv("points.head", "conv2d_21")
    block("presence.reduce.0", 23, 28, 26)
    net.conv("presence.narrow", "conv2d_29")
    net.prelu("presence.narrow_prelu", "p_re_lu_27")
    block("presence.last", 24, 30, 28)
    net.conv("presence.head", "conv2d_31")
    return net.out


if __name__ == "__main__":
    wheel = zipfile.ZipFile(sys.argv[1])
    tensors = blazeface(wheel.read(FOLDER + "face_detection/face_detection_short_range.tflite"))
    tensors |= face_mesh(wheel.read(FOLDER + "face_landmark/face_landmark.tflite"))
    target = pathlib.Path(__file__).with_name("mediapipe.safetensors")
    save_file(tensors, target, {"source": "PyPI mediapipe 0.10.14", "licence": "Apache-2.0"})
    print(f"{target}: {len(tensors)} tensors, {target.stat().st_size} bytes")
