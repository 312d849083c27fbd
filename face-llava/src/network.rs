//! The composed network: towers, projector, fusion, decoder. It knows pixels, landmarks, ids and embeddings.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use face_encoder::{Tower, TowerConfig, VisionProjector};
use frgca::{Frgca, Fusion};

use crate::decoder::{KvCache, Llama};
use crate::{Error, FaceLlavaConfig};

/// Which parts a network has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// The image tower's shape.
    pub image_tower: Option<TowerConfig>,
    /// The video tower's shape.
    pub video_tower: Option<TowerConfig>,
    /// Whether there are landmark modules.
    pub landmarks: bool,
}

/// Face-LLaVA as a burn module. `F` is what informs visual features by landmarks; [`Frgca`] unless a researcher puts
/// something else there.
#[derive(Module, Debug)]
pub struct Network<F: Fusion = Frgca> {
    /// Reads pictures.
    pub image_tower: Option<Tower>,
    /// Reads videos.
    pub video_tower: Option<Tower>,
    /// From the towers' width to the decoder's.
    pub projector: VisionProjector,
    /// Landmark modules, where the checkpoint has them.
    pub fusion: Option<F>,
    /// The language model.
    pub decoder: Llama,
}

impl FaceLlavaConfig {
    /// The network without weights.
    pub fn init(&self, parts: &Parts, device: &Device) -> Network {
        Network {
            image_tower: parts.image_tower.as_ref().map(|t| t.init(device)),
            video_tower: parts.video_tower.as_ref().map(|t| t.init(device)),
            projector: self.projector.init(device),
            fusion: parts.landmarks.then(|| self.frgca.init(device)),
            decoder: self.llama.init(device),
        }
    }
}

impl<F: Fusion> Network<F> {
    /// The same network with another fusion.
    pub fn with_fusion<G: Fusion>(self, fusion: Option<G>) -> Network<G> {
        let Self { image_tower, video_tower, projector, decoder, .. } = self;
        Network { image_tower, video_tower, projector, fusion, decoder }
    }

    /// Visual tokens of pictures.
    ///
    /// # Shapes
    /// - pixels `[B, 3, S, S]`, normalised
    /// - landmarks `[B, 68, 2]`, fractions of the crop; ignored without landmark modules
    /// - output `[B, N, D]`
    ///
    /// # Errors
    /// [`Error::NoTower`], [`Error::Fusion`].
    pub fn image_features(&self, pixels: Tensor<4>, landmarks: Option<Tensor<3>>) -> Result<Tensor<3>, Error> {
        let tower = self.image_tower.as_ref().ok_or(Error::NoTower { kind: "image" })?;
        self.visual_tokens(tower.images(pixels.cast(self.decoder.dtype())), landmarks)
    }

    /// Visual tokens of the frames of a video.
    ///
    /// # Shapes
    /// - pixels `[T, 3, S, S]`, normalised
    /// - landmarks `[T, 68, 2]`
    /// - output `[T, 1 + N, D]`
    ///
    /// # Errors
    /// [`Error::NoTower`], [`Error::Fusion`].
    pub fn video_features(&self, pixels: Tensor<4>, landmarks: Option<Tensor<3>>) -> Result<Tensor<3>, Error> {
        let tower = self.video_tower.as_ref().ok_or(Error::NoTower { kind: "video" })?;
        let features = tower.videos(pixels.cast(self.decoder.dtype()).unsqueeze()).squeeze_dim(0);
        self.visual_tokens(features, landmarks)
    }

    /// Visual tokens of a tower's output.
    ///
    /// # Shapes
    /// - features `[B, N, D_tower]`
    /// - landmarks `[B, 68, 2]`, fractions of the crop; ignored without landmark modules
    /// - output `[B, N, D]`
    ///
    /// # Errors
    /// [`Error::Fusion`].
    pub fn visual_tokens(&self, features: Tensor<3>, landmarks: Option<Tensor<3>>) -> Result<Tensor<3>, Error> {
        let features = self.projector.forward(features);
        match (&self.fusion, landmarks) {
            (Some(fusion), Some(landmarks)) => Ok(fusion.fuse(features, landmarks.cast(self.decoder.dtype()))?),
            _ => Ok(features),
        }
    }

    /// Logits of the last position, on the host.
    ///
    /// # Shapes
    /// - embeddings `[B, L, D]`
    /// - output: V values for each sequence
    ///
    /// # Errors
    /// [`Error::NonFinite`] at `step`, [`Error::Backend`].
    pub fn next_logits(
        &self,
        embeddings: Tensor<3>,
        cache: &mut KvCache,
        pads: &[usize],
        step: usize,
    ) -> Result<Vec<Vec<f32>>, Error> {
        let l = embeddings.dims()[1];
        let hidden = self.decoder.forward(embeddings, cache, pads).narrow(1, l - 1, 1);
        let logits = self.decoder.logits(hidden);
        let vocab = self.decoder.config().vocab;
        let values: Vec<f32> = logits.try_into_vec_as().map_err(|e| Error::Backend(e.to_string()))?;
        if values.iter().all(|v| v.is_finite()) {
            Ok(values.chunks(vocab).map(<[f32]>::to_vec).collect())
        } else {
            Err(Error::NonFinite { step })
        }
    }
}
