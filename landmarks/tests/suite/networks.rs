//! The embedded networks against MediaPipe's outputs on the same inputs.

use burn::tensor::{Tensor, TensorData};
use landmarks::blazeface::BlazeFaceConfig;
use landmarks::face_mesh::FaceMeshConfig;
use landmarks::weights::Weights;

use crate::{device, fixture, max_abs};

/// On values up to about 200.
const TOLERANCE: f32 = 1e-3;

fn input(reference: &Weights, name: &str) -> Tensor<4> {
    let side = reference.info(name).unwrap().shape[1];
    let values = reference.read_f32(name).unwrap();
    Tensor::<4>::from_data(TensorData::new(values, [1, side, side, 3]), &device()).permute([0, 3, 1, 2])
}

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_to_vec().unwrap()
}

#[test]
fn blazeface_matches() {
    let reference = Weights::open(fixture("mediapipe/astronaut.safetensors")).unwrap();
    let network = BlazeFaceConfig.pretrained(&device()).unwrap();
    let (boxes, logits) = network.forward(input(&reference, "blazeface.input_nhwc"));
    assert!(max_abs(&values(boxes), &reference.read_f32("blazeface.regressors").unwrap()) < TOLERANCE);
    assert!(max_abs(&values(logits), &reference.read_f32("blazeface.classificators").unwrap()) < TOLERANCE);
}

#[test]
fn face_mesh_matches() {
    let reference = Weights::open(fixture("mediapipe/astronaut.safetensors")).unwrap();
    let network = FaceMeshConfig.pretrained(&device()).unwrap();
    let (points, presence) = network.forward(input(&reference, "facemesh.input_nhwc"));
    assert!(max_abs(&values(points), &reference.read_f32("facemesh.conv2d_21").unwrap()) < TOLERANCE);
    assert!(max_abs(&values(presence), &reference.read_f32("facemesh.conv2d_31").unwrap()) < TOLERANCE);
}

#[test]
fn a_batch_gives_what_each_picture_gives() {
    let reference = Weights::open(fixture("mediapipe/astronaut.safetensors")).unwrap();
    let network = BlazeFaceConfig.pretrained(&device()).unwrap();
    let one = input(&reference, "blazeface.input_nhwc");
    let other = one.clone().flip([3]);
    let (together, _) = network.forward(Tensor::cat(vec![one.clone(), other.clone()], 0));
    let (first, second) = (network.forward(one).0, network.forward(other).0);
    assert!(max_abs(&values(together), &values(Tensor::cat(vec![first, second], 0))) < 1e-4);
}
