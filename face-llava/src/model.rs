//! A model with everything around it, loaded once and used many times.

use burn::tensor::Device;
use frgca::{Frgca, Fusion};
use landmarks::FaceFinder;
use landmarks::quantized::Bits;
use landmarks::weights::{LoadOptions as WeightOptions, LoadReport};

use crate::media::{FaceOptions, Media, Prepared};
use crate::session::{Session, SessionOptions};
use crate::text::Tokenizer;
use crate::{Error, FaceLlavaConfig, ModelDir, Network};

/// How to load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// Type of the weights, and whether damaged ones are accepted.
    pub weights: WeightOptions,
    /// Refuse tensors that nothing uses.
    pub strict: bool,
    /// Round the weights of linear layers as they are read: the decoder's layers to these bits, all others to 8. On the
    /// CPU.
    pub quantize: Option<Bits>,
}

/// What loading found.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelReport {
    /// Tensors and values read.
    pub weights: LoadReport,
    /// Tensors that nothing uses.
    pub unused: Vec<String>,
    /// Whether the checkpoint has landmark modules. Without them answers do not depend on face geometry.
    pub has_landmarks: bool,
}

/// Network, tokenizer and face finder.
#[derive(Debug)]
pub struct FaceLlava<F: Fusion = Frgca> {
    /// The network.
    pub network: Network<F>,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// Detector and aligner.
    pub finder: FaceFinder,
    /// The checkpoint's configuration.
    pub config: FaceLlavaConfig,
    /// What loading found.
    pub report: ModelReport,
    pub(crate) device: Device,
}

impl FaceLlava {
    /// Loads a model onto a device. Strict about what is missing or misshapen; no network.
    ///
    /// # Errors
    /// [`Error::Landmarks`] names missing, misshapen and damaged tensors; [`Error::Tokenizer`],
    /// [`Error::UnusedTensors`].
    pub fn load(dir: &ModelDir, options: &LoadOptions, device: &Device) -> Result<Self, Error> {
        let config = dir.config.clone();
        let tokenizer = dir.tokenizer()?;
        let parts = dir.parts();
        let network = config.init(&parts, device);
        let (network, weights) = network.load(dir.sources(), &options.weights, options.quantize)?;
        let unused = dir.unused();
        if options.strict && !unused.is_empty() {
            let names = unused.iter().take(20).cloned().collect();
            return Err(Error::UnusedTensors { count: unused.len(), names });
        }
        Ok(Self {
            network,
            tokenizer,
            finder: FaceFinder::new(landmarks::DetectorOptions::default(), device)?,
            config,
            report: ModelReport { weights, unused, has_landmarks: parts.landmarks },
            device: device.clone(),
        })
    }
}

impl<F: Fusion> FaceLlava<F> {
    /// The same model with another fusion; none leaves landmarks out.
    pub fn with_fusion<G: Fusion>(self, fusion: Option<G>) -> FaceLlava<G> {
        let Self { network, tokenizer, finder, config, report, device } = self;
        FaceLlava { network: network.with_fusion(fusion), tokenizer, finder, config, report, device }
    }

    /// Finds, crops and aligns the face of a picture or clip. Threads may do so side by side while a session answers.
    ///
    /// # Errors
    /// [`Error::NoFace`], [`Error::LandmarkFrames`].
    pub fn prepare(&self, media: &Media, faces: &FaceOptions) -> Result<Prepared, Error> {
        media.prepare(&self.finder, faces, self.network.fusion.is_some(), self.config.face_crop)
    }

    /// The same for every face of a picture, or every track of a clip: in the order of their indices, each with its own fate.
    /// They are looked for once. [`FaceOptions::select`] is not looked at.
    ///
    /// # Errors
    /// [`Error::NoFace`] where there is none.
    pub fn prepare_all(&self, media: &Media, faces: &FaceOptions) -> Result<Vec<Result<Prepared, Error>>, Error> {
        media.prepare_all(&self.finder, faces, self.network.fusion.is_some(), self.config.face_crop)
    }

    /// A conversation about one picture or clip at a time. Sessions share the model and nothing else.
    pub fn session(&self, options: SessionOptions) -> Session<'_, F> {
        Session::new(self, options)
    }

    /// The device it is on.
    pub fn device(&self) -> &Device {
        &self.device
    }
}
