//! Which parameters are trained, and the name by which everything knows them.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, FloatDType, Tensor};
use sha2::{Digest, Sha256};

/// Puts a module onto an autodiff device and decides, by a parameter's path (`decoder.layers.0.mlp.up_proj.weight`),
/// which ones receive gradients. Identities become functions of the path, so that an optimizer's state, saved by one
/// process, finds its parameters in the next.
pub fn prepare<M: Module>(module: M, device: &Device, trained: impl Fn(&str) -> bool) -> M {
    module.map(&mut Prepare { device: device.clone().autodiff(), trained, path: Vec::new() })
}

struct Prepare<F> {
    device: Device,
    trained: F,
    path: Vec<String>,
}

impl<F: Fn(&str) -> bool> ModuleMapper for Prepare<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let trained = (self.trained)(&path);
        let digest: [u8; 32] = Sha256::digest(path.as_bytes()).into();
        let id = u64::from_le_bytes(std::array::from_fn(|i| digest[i]));
        // Through the host: a value of its own, without history, on the autodiff device.
        let value = Tensor::from_data(param.into_value().into_data(), &self.device);
        Param::initialized(ParamId::from(id), value).set_require_grad(trained)
    }
}

/// The same module computing in another type. Gradients reach the parameters of `module` through the casts, in their type.
pub(super) fn cast<M: Module>(module: &M, dtype: FloatDType) -> M {
    struct Cast(FloatDType);
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            Param::initialized(param.id, param.val().cast(self.0))
        }
    }
    module.clone().map(&mut Cast(dtype))
}

/// Number of values that are trained.
pub fn trained_values<M: Module>(module: &M) -> usize {
    struct Count(usize);
    impl ModuleVisitor for Count {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                self.0 += param.val().dims().iter().product::<usize>();
            }
        }
    }
    let mut count = Count(0);
    module.visit(&mut count);
    count.0
}

/// The norm of all gradients together, each multiplied by `scale`. The device is waited for once, not for each parameter.
pub(super) fn norm<M: Module>(module: &M, gradients: &GradientsParams, scale: f64) -> f64 {
    struct Squares<'a>(&'a GradientsParams, Vec<Tensor<1>>);
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                let gradient: Tensor<D> = gradient;
                self.1.push(gradient.clone().mul(gradient).sum());
            }
        }
    }
    let mut squares = Squares(gradients, Vec::new());
    module.visit(&mut squares);
    if squares.1.is_empty() {
        return 0.0;
    }
    Tensor::cat(squares.1, 0).into_data().iter::<f64>().sum::<f64>().sqrt() * scale
}

/// Multiplies all gradients.
pub(super) fn scale<M: Module>(module: &M, gradients: &mut GradientsParams, factor: f64) {
    struct Scale<'a>(&'a mut GradientsParams, f64);
    impl ModuleVisitor for Scale<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.remove::<D>(param.id) {
                self.0.register(param.id, gradient * self.1);
            }
        }
    }
    module.visit(&mut Scale(gradients, factor));
}
