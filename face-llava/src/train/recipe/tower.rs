//! The small model's towers: one taught from scratch, one made of it for clips.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, FloatDType, TensorData};
use face_encoder::{MEAN, STD, Tower, TowerConfig};
use landmarks::weights::{LoadOptions, NamedTensors, Weights, collect, load, write};
use serde_json::json;

use super::data::labelled;
use super::{Event, FRAMES, MiniRecipe};
use crate::data::{Record, read_records};
use crate::train::{
    Lesson, LessonPlan, Pupil, Run, Teacher, TeacherObjective, TowerObjective, TrainError, initialise, train,
};
use crate::{EXPRESSIONS, Error};

/// The image tower with its heads, taught to see expressions and points in the training part.
pub(super) fn pretrain(
    recipe: &MiniRecipe,
    records: &[Record],
    split: &Path,
    out: &Path,
    device: &Device,
    observe: &mut dyn FnMut(Event),
) -> Result<Pupil, Error> {
    let config = recipe.tower();
    let (classes, shown) = (EXPRESSIONS.len(), recipe.lesson());
    let file = out.join("tower.safetensors");
    if file.exists() {
        return read(Pupil::new(&config, classes, device), &file);
    }
    let (media, labels) = labelled(records, split);
    let small = LessonPlan { augmentation: recipe.teacher_augmentation(), ..shown.clone() };
    let (lesson, bad) = Lesson::new(&media, &labels, classes, config.image_size, small.clone(), device);
    if let Some((place, error)) = bad.first() {
        let path = media[*place].path.display();
        observe(Event::Note(format!("{} pictures cannot be used, first {path}: {error}", bad.len())));
    }
    let val = read_records(split.join("val.json"))?;
    let (media, labels) = labelled(&val, split);
    let (unseen, _) = Lesson::new(&media, &labels, classes, config.image_size, shown.clone(), device);

    observe(Event::Step("teaching the tower's teacher"));
    let (settings, folder) = (recipe.teaching(), out.join("teacher"));
    let identity = json!({ "step": "teacher", "recipe": recipe, "lesson": small });
    let run = Run { folder: &folder, settings: &settings, identity, stop_at: None };
    let teacher = initialise(Teacher::new(&recipe.teacher_widths, classes, device), 1, recipe.seed);
    let objective = TeacherObjective::new(&lesson);
    let teacher =
        train(&objective, teacher, |_| true, std::slice::from_ref(device), &run, &mut |p| observe(Event::Trained(*p)))?;
    let teacher = Module::valid(&teacher);
    let seen = unseen.predict(|pixels| teacher.forward(pixels));
    observe(Event::Note(format!("teacher on the validation part: {}", accuracy(&seen, unseen.labels()))));

    observe(Event::Step("pre-training the tower"));
    let (settings, folder, plan) = (recipe.schooling(), out.join("tower"), recipe.plan());
    let identity = json!({ "step": "tower", "recipe": recipe, "lesson": shown, "plan": plan });
    let run = Run { folder: &folder, settings: &settings, identity, stop_at: None };
    let pupil = initialise(Pupil::new(&config, classes, device), 2 * config.layers, recipe.seed);
    let lesson = lesson.changed(shown.augmentation);
    let objective = TowerObjective::new(&lesson, &teacher, plan);
    let pupil =
        train(&objective, pupil, |_| true, std::slice::from_ref(device), &run, &mut |p| observe(Event::Trained(*p)))?;
    let pupil = Module::valid(&pupil);
    let seen = unseen.predict(|pixels| pupil.forward(pixels).0);
    observe(Event::Note(format!("tower on the validation part: {}", accuracy(&seen, unseen.labels()))));
    write(&file, &collect(&pupil, |path| path.into()), FloatDType::F32)?;
    read(Pupil::new(&config, classes, device), &file)
}

/// A module filled from a file that names tensors as it does.
fn read<M: Module>(module: M, file: &Path) -> Result<M, Error> {
    Ok(load(module, &Weights::open(file)?, &LoadOptions::default(), |path| path.into())?.0)
}

/// Accuracy and the recall of each class, in words.
fn accuracy(seen: &[usize], labels: &[usize]) -> String {
    let right = |class: Option<usize>| {
        let of = seen.iter().zip(labels).filter(|(_, label)| class.is_none_or(|c| c == **label));
        let (all, right) = of.fold((0, 0), |(all, right), (s, l)| (all + 1, right + usize::from(s == l)));
        format!("{right}/{all}")
    };
    let classes = EXPRESSIONS.iter().enumerate().map(|(i, name)| format!("{name} {}", right(Some(i))));
    format!("{} right; {}", right(None), classes.collect::<Vec<_>>().join(", "))
}

/// Weights of red, green and blue in grey (ITU-R BT.601).
const GREY: [f32; 3] = [0.299, 0.587, 0.114];

/// The same tower seeing every picture as if it were grey, as all that it was taught with were: exactly the same on grey
/// pictures, while colours would be nothing that it knows.
pub(super) fn colour_blind(image: &Tower, device: &Device) -> Result<Tower, Error> {
    let mut tensors = collect(image, |path| path.into());
    let values = |data: &TensorData| data.iter::<f32>().collect::<Vec<_>>();
    let (kernels, places) = (&tensors["patch_embedding"], &tensors["position_embedding"]);
    let (shape, [rows, d]) = (kernels.shape().to_vec(), [places.shape()[0], places.shape()[1]]);
    let (mut kernels, mut places) = (values(kernels), values(places));
    let area = kernels.len() / d / 3;
    let grey_mean: f32 = (0..3).map(|c| GREY[c] * MEAN[c]).sum();
    for (out, kernel) in kernels.chunks_mut(3 * area).enumerate() {
        let mut offset = 0.0;
        for i in 0..area {
            let seen: f32 = (0..3).map(|c| kernel[c * area + i] / STD[c]).sum();
            offset += seen * grey_mean - (0..3).map(|c| kernel[c * area + i] * MEAN[c] / STD[c]).sum::<f32>();
            (0..3).for_each(|c| kernel[c * area + i] = seen * GREY[c] * STD[c]);
        }
        // The class token, in the first place, sees no pixels.
        (1..rows).for_each(|row| places[row * d + out] += offset);
    }
    tensors.insert("patch_embedding".into(), TensorData::new(kernels, shape));
    tensors.insert("position_embedding".into(), TensorData::new(places, [rows, d]));
    filled(image.config(), &tensors, device)
}

/// A tower of given weights.
fn filled(config: &TowerConfig, tensors: &NamedTensors, device: &Device) -> Result<Tower, Error> {
    let folder = tempfile::tempdir().map_err(|source| TrainError::Io { path: std::env::temp_dir(), source })?;
    let file = folder.path().join("tower.safetensors");
    write(&file, tensors, FloatDType::F32)?;
    read(config.init(device), &file)
}

/// The image tower with attention over time that adds nothing yet.
pub(super) fn inflate(image: &Tower, device: &Device) -> Result<Tower, Error> {
    let config = TowerConfig { frames: Some(FRAMES), ..image.config().clone() };
    let mut tensors = collect(image, |path| path.into());
    for (name, shape) in
        collect(&config.init(device), |path| path.into()).into_iter().map(|(n, t)| (n, t.shape().to_vec()))
    {
        if let Some((layer, leaf)) = name.split_once(".temporal.") {
            // Fresh projections as the layer's own, an output of zero.
            let like = leaf.strip_prefix("attn.").map(|leaf| format!("{layer}.self_attn.{leaf}"));
            let own = like.filter(|_| !leaf.contains("out_proj")).and_then(|like| tensors.get(&like).cloned());
            let ones = leaf == "norm.weight";
            let value = if ones { 1.0_f32 } else { 0.0 };
            let plain = TensorData::new(vec![value; shape.iter().product()], shape);
            tensors.insert(name, own.unwrap_or(plain));
        }
    }
    filled(&config, &tensors, device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Tensor;
    use face_encoder::image_pixels;
    use image::{Rgb, RgbImage};

    use super::*;

    #[test]
    fn a_colour_blind_tower_sees_grey_pictures_as_before_and_no_colours() {
        let device = crate::open_device("cpu").unwrap().device;
        let config = MiniRecipe { tower_layers: 1, ..MiniRecipe::default() }.tower();
        let tower = config.init(&device);
        let blind = colour_blind(&tower, &device).unwrap();
        let size = config.image_size;
        let see = |tower: &Tower, picture: &RgbImage| -> Tensor<3> {
            tower.images(image_pixels(picture, size, &device).unsqueeze())
        };
        let side = size as u32;
        let grey = RgbImage::from_fn(side, side, |x, y| Rgb([(x * 7 + y * 3) as u8; 3]));
        let off = |a: Tensor<3>, b: Tensor<3>| (a - b).abs().max().into_scalar::<f32>();
        assert!(off(see(&tower, &grey), see(&blind, &grey)) < 1e-4);
        // Red and the grey that is as bright.
        let (red, same) = ([200, 0, 0], [60, 60, 60]);
        let [red, same] = [red, same].map(|colour| RgbImage::from_pixel(side, side, Rgb(colour)));
        assert!(off(see(&blind, &red), see(&blind, &same)) < 0.02 && off(see(&tower, &red), see(&tower, &same)) > 0.02);
    }
}
