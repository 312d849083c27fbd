//! From a picture to faces, points and crops.

use image::{Rgb, RgbImage};
use landmarks::{
    Affine, BBox, CropRule, Detector, DetectorOptions, FaceFinder, Pass, Region, Search, Select, crop_face, draw, warp,
};

use crate::{astronaut, device, fixture};

/// What MediaPipe finds in the astronaut's portrait: box cut to whole pixels, score.
const BOX: [f32; 4] = [177.0, 82.0, 95.0, 95.0];
const SCORE: f32 = 0.921_738_7;

fn finder(options: DetectorOptions) -> FaceFinder {
    FaceFinder::new(options, &device()).unwrap()
}

#[test]
fn the_astronaut_is_found_as_mediapipe_finds_her() {
    let found = Detector::new(DetectorOptions::default(), &device()).unwrap().detect(&astronaut().rgb).unwrap();
    assert_eq!((found.faces.len(), found.pass), (1, Pass::Whole));
    let face = &found.faces[0];
    assert_eq!(<[f32; 4]>::from(face.bbox).map(f32::trunc), BOX);
    assert!((face.score - SCORE).abs() < 1e-5, "{}", face.score);
}

#[test]
fn landmarks_lie_where_the_parts_are() {
    let found = finder(DetectorOptions::default()).find(&astronaut().rgb).unwrap();
    let face = &found.faces[0];
    assert!(face.presence > 0.9 && !face.truncated && !face.low_quality);
    let center = |r: Region| BBox::around(&face.points[r.points()]).center();
    let [right_eye, left_eye, nose, mouth, ..] = face.keypoints;
    for (region, keypoint) in
        [(Region::Eye1, right_eye), (Region::Eye2, left_eye), (Region::Nostril, nose), (Region::Lips, mouth)]
    {
        assert!(center(region).distance(keypoint) < 0.12 * face.bbox.width, "{region:?}");
    }
}

#[test]
fn the_authors_crop_is_reproduced() {
    let reference = landmarks::open(fixture("mediapipe/authors_crop.png")).unwrap().rgb;
    let crop = crop_face(&astronaut().rgb, &BOX.into(), CropRule::Authors).unwrap();
    let sum: u64 = crop.image.as_raw().iter().zip(reference.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    let mean = sum as f64 / reference.as_raw().len() as f64;
    assert!(mean <= 2.0, "mean difference {mean} grey levels");
}

#[test]
fn no_face_is_an_empty_list() {
    let noise = RgbImage::from_fn(320, 240, |x, y| {
        let v = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 8;
        Rgb([v as u8, (v >> 3) as u8, (v >> 5) as u8])
    });
    for picture in [RgbImage::new(64, 48), RgbImage::from_pixel(500, 300, Rgb([255; 3])), noise] {
        let found = finder(DetectorOptions::default()).find(&picture).unwrap();
        assert!(found.faces.is_empty());
        assert_eq!(found.pass, Pass::Padded);
        for select in [Select::Largest, Select::Best, Select::Index(0), Select::All] {
            assert!(found.select(select).is_empty());
        }
    }
}

/// The astronaut pasted several times, at several sizes.
fn group(faces: &[(i64, i64, u32)], width: u32, height: u32) -> RgbImage {
    let mut picture = RgbImage::from_pixel(width, height, Rgb([90, 90, 90]));
    let head = image::imageops::crop_imm(&astronaut().rgb, 130, 20, 200, 220).to_image();
    for &(x, y, w) in faces {
        let scaled = image::imageops::resize(&head, w, w * 11 / 10, image::imageops::FilterType::Triangle);
        image::imageops::replace(&mut picture, &scaled, x, y);
    }
    picture
}

#[test]
fn three_faces_have_stable_indices_and_can_be_selected() {
    let picture = group(&[(20, 10, 200), (250, 20, 190), (130, 240, 270)], 520, 560);
    let options = DetectorOptions::default();
    let finder_of_all = finder(options);
    let found = finder_of_all.find(&picture).unwrap();
    assert_eq!(found.faces.len(), 3);
    assert_eq!(found.faces.iter().map(|f| f.index).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(found.faces.windows(2).all(|w| w[0].score >= w[1].score));
    let largest = found.select(Select::Largest)[0];
    assert!(largest.bbox.y > 240.0, "{:?}", largest.bbox);
    assert_eq!(found.select(Select::Best)[0].index, 0);
    assert_eq!(found.select(Select::Index(2))[0].index, 2);
    assert!(found.select(Select::Index(3)).is_empty());
    let two = DetectorOptions { max_faces: 2, ..Default::default() };
    let capped = finder(two).find(&picture).unwrap();
    assert!(capped.capped && capped.faces.len() == 2 && !found.capped);
    let again = finder_of_all.find(&picture).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&found).unwrap());
}

#[test]
fn tiles_find_small_faces_that_the_whole_picture_hides() {
    let picture = group(&[(100, 100, 60), (700, 300, 70)], 1000, 700);
    let count = |search| {
        let options = DetectorOptions { search, ..Default::default() };
        let found = finder(options).find(&picture).unwrap();
        (found.faces.len(), found.pass)
    };
    assert_eq!(count(Search::Tiles), (2, Pass::Tiles));
    assert!(count(Search::Whole).0 < 2);
}

#[test]
fn a_close_up_is_found_in_the_padded_pass() {
    let close = image::imageops::crop_imm(&astronaut().rgb, 186, 84, 78, 96).to_image();
    let close = image::imageops::resize(&close, 390, 480, image::imageops::FilterType::Triangle);
    let found = finder(DetectorOptions::default()).find(&close).unwrap();
    assert_eq!(found.faces.len(), 1, "{:?}", found.pass);
}

#[test]
fn a_face_cut_by_the_border_is_said_to_be() {
    let cut = image::imageops::crop_imm(&astronaut().rgb, 205, 0, 300, 300).to_image();
    let found = finder(DetectorOptions { min_score: 0.3, ..Default::default() }).find(&cut).unwrap();
    for face in &found.faces {
        let crop = crop_face(&cut, &face.bbox, CropRule::Centered { margin: 0.3 }).unwrap();
        assert!(crop.truncated);
    }
    assert!(!found.faces.is_empty());
}

#[test]
fn turned_faces_report_their_roll() {
    let upright = group(&[(60, 60, 260)], 400, 400);
    let options = DetectorOptions { min_score: 0.3, ..Default::default() };
    let roll = |picture: &RgbImage| finder(options).find(picture).unwrap().faces.first().map(|f| f.roll);
    assert!(roll(&upright).unwrap().abs() < 20.0);
    for degrees in [-30.0_f64, 20.0, 40.0] {
        let (sin, cos) = degrees.to_radians().sin_cos();
        // Around the middle of the picture, clockwise as rolls are counted.
        let place = |x: f64, y: f64| [cos * x + sin * y, cos * y - sin * x];
        let [cx, cy] = place(200.0, 200.0);
        let turn = Affine([cos, sin, 200.0 - cx, -sin, cos, 200.0 - cy]);
        let angle = f64::from(roll(&warp(&upright, &turn, 400, 400)).unwrap());
        assert!((angle - degrees).abs() < 6.0, "{angle} for {degrees}");
    }
}

#[test]
fn the_overlay_marks_the_face_and_is_written_whole() {
    let picture = astronaut().rgb;
    let found = finder(DetectorOptions::default()).find(&picture).unwrap();
    let drawn = draw::overlay(&picture, &found.faces);
    assert_eq!(drawn.dimensions(), picture.dimensions());
    assert_ne!(drawn.get_pixel(177, 120), picture.get_pixel(177, 120));
    assert_eq!(drawn.get_pixel(500, 500), picture.get_pixel(500, 500));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.png");
    draw::save(&drawn, &path).unwrap();
    assert_eq!(landmarks::open(&path).unwrap().rgb, drawn);
    assert!(draw::save(&drawn, &folder.path().join("out.nothing")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a failed write leaves nothing behind");
}
