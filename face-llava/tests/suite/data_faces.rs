//! What points and pixels tell, and what self-blending changes.

use face_llava::data::annotate::{Offline, Request};
use face_llava::data::blend::Blend;
use face_llava::data::geometry::{Eyes, Level, Lips, Measures, Turn};
use face_llava::data::light::Light;
use face_llava::data::{Annotator, LabelOrigin};
use face_llava::{ACTION_UNITS, ATTRIBUTES, EXPRESSIONS, Task};
use image::{Rgb, RgbImage};
use landmarks::{UnitLandmarks, UnitPoint};

/// A face at rest, drawn by hand: level eyes 0.4 apart, closed lips, the nose in the middle.
fn rest() -> UnitLandmarks {
    let mut p = [[0.0f32; 2]; 68];
    for (i, point) in p[..17].iter_mut().enumerate() {
        let t = (i as f32 / 16.0 * 180.0).to_radians();
        *point = [0.5 - 0.35 * t.cos(), 0.45 + 0.42 * t.sin()];
    }
    for i in 0..5 {
        let bow = [0.0, 0.02, 0.025, 0.02, 0.01][i];
        p[17 + i] = [0.26 + 0.04 * i as f32, 0.34 - bow];
        p[26 - i] = [0.74 - 0.04 * i as f32, 0.34 - bow];
    }
    for i in 0..4 {
        p[27 + i] = [0.5, 0.42 + 0.04 * i as f32];
    }
    for i in 0..5 {
        p[31 + i] = [0.45 + 0.025 * i as f32, 0.58];
    }
    let eye = |x: f32| {
        [[x, 0.42], [x + 0.04, 0.405], [x + 0.08, 0.405], [x + 0.12, 0.42], [x + 0.08, 0.435], [x + 0.04, 0.435]]
    };
    p[36..42].copy_from_slice(&eye(0.30));
    p[42..48].copy_from_slice(&eye(0.58));
    let lips = [
        [0.40, 0.70],
        [0.43, 0.685],
        [0.47, 0.68],
        [0.50, 0.685],
        [0.53, 0.68],
        [0.57, 0.685],
        [0.60, 0.70],
        [0.57, 0.72],
        [0.53, 0.725],
        [0.50, 0.727],
        [0.47, 0.725],
        [0.43, 0.72],
    ];
    p[48..60].copy_from_slice(&lips);
    let inner = [
        [0.41, 0.70],
        [0.46, 0.70],
        [0.50, 0.70],
        [0.54, 0.70],
        [0.59, 0.70],
        [0.54, 0.701],
        [0.50, 0.702],
        [0.46, 0.701],
    ];
    p[60..68].copy_from_slice(&inner);
    UnitLandmarks::new(p.map(|[x, y]| UnitPoint::new(x, y)))
}

fn changed(change: impl Fn(usize, UnitPoint) -> UnitPoint) -> Measures {
    let face = rest();
    let mut at = 0;
    let points = face.map(|p| {
        at += 1;
        change(at - 1, p)
    });
    Measures::new(&points, 1.0).unwrap()
}

fn down(p: UnitPoint, by: f32) -> UnitPoint {
    UnitPoint::new(p.x, p.y + by)
}

#[test]
fn a_face_at_rest_shows_nothing() {
    let m = Measures::new(&rest(), 1.0).unwrap();
    assert!(m.action_units().is_empty(), "{m:?}");
    assert!(m.attributes().is_empty(), "{m:?}");
    assert_eq!((m.lips(), m.corners(), m.brows(), m.eyes()), (Lips::Closed, Level::Middle, Level::Middle, Eyes::Open));
    assert_eq!(m.turn(), Turn::Ahead);
    assert!(m.roll.abs() < 1e-3 && m.yaw.abs() < 1e-3);
}

#[test]
fn each_movement_is_told() {
    let lower_lip = [55, 56, 57, 58, 59, 65, 66, 67];
    let open = |by: f32| changed(move |i, p| if lower_lip.contains(&i) { down(p, by) } else { p });
    assert_eq!(open(0.03).action_units(), [25]);
    assert_eq!(open(0.12).action_units(), [25, 26]);
    assert_eq!(open(0.12).lips(), Lips::WideOpen);
    // Down, and out by half as much.
    let corners = |by: f32| {
        changed(move |i, p| match i {
            48 | 60 => UnitPoint::new(p.x - by.abs() / 2.0, p.y + by),
            54 | 64 => UnitPoint::new(p.x + by.abs() / 2.0, p.y + by),
            _ => p,
        })
    };
    assert_eq!(corners(-0.05).action_units(), [12]);
    assert_eq!(corners(-0.05).attributes(), ["Smiling"]);
    assert_eq!(corners(0.05).corners(), Level::Low);
    let brows = |by: f32| changed(move |i, p| if (17..27).contains(&i) { down(p, by) } else { p });
    assert_eq!(brows(-0.08).action_units(), [1, 2]);
    assert_eq!(brows(-0.08).attributes(), ["Arched_Eyebrows"]);
    let knit = changed(|i, p| match i {
        17..22 => down(p, 0.02 + 0.01 * (i - 17) as f32),
        22..27 => down(p, 0.02 + 0.01 * (26 - i) as f32),
        _ => p,
    });
    assert_eq!(knit.action_units(), [4]);
    let shut = changed(|i, p| if (36..48).contains(&i) { UnitPoint::new(p.x, 0.42 + (p.y - 0.42) * 0.2) } else { p });
    assert_eq!(shut.action_units(), [43]);
    let wide = changed(|i, p| if (36..48).contains(&i) { UnitPoint::new(p.x, 0.42 + (p.y - 0.42) * 2.2) } else { p });
    assert_eq!(wide.eyes(), Eyes::Wide);
    let nose = |by: f32| changed(move |i, p| if (27..36).contains(&i) { UnitPoint::new(p.x + by, p.y) } else { p });
    assert_eq!((nose(0.15).turn(), nose(-0.15).turn()), (Turn::Right, Turn::Left));
}

#[test]
fn measures_do_not_depend_on_place_size_or_tilt() {
    let m = Measures::new(&rest(), 1.0).unwrap();
    let (s, c) = 0.3f32.sin_cos();
    let turned = changed(|_, p| {
        let (x, y) = (p.x - 0.5, p.y - 0.5);
        UnitPoint::new(0.4 + 0.5 * (c * x - s * y), 0.6 + 0.5 * (s * x + c * y))
    });
    for (a, b) in [
        (m.lip_gap, turned.lip_gap),
        (m.corner_lift, turned.corner_lift),
        (m.inner_brow, turned.inner_brow),
        (m.eye_open, turned.eye_open),
        (m.yaw, turned.yaw),
    ] {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
    assert!((turned.roll - 0.3f32.to_degrees()).abs() < 1e-2);
    // Half as wide a picture: its x count half.
    let squeezed = rest().map(|p| UnitPoint::new(p.x * 2.0 - 0.5, p.y));
    let squeezed = Measures::new(&squeezed, 0.5).unwrap();
    assert!((squeezed.mouth_width - m.mouth_width).abs() < 1e-4);
    assert!(Measures::new(&rest().map(|_| UnitPoint::new(0.5, 0.5)), 1.0).is_none());
    assert!(Measures::new(&rest().map(|_| UnitPoint::new(f32::NAN, 0.5)), 1.0).is_none());
}

fn textured(grey: bool) -> RgbImage {
    RgbImage::from_fn(128, 128, |x, y| {
        let v = (128.0 + 60.0 * ((x as f32 * 0.7).sin() + (y as f32 * 0.5).cos()) / 2.0) as u8;
        if grey { Rgb([v; 3]) } else { Rgb([v, v / 2 + 40, 255 - v]) }
    })
}

#[test]
fn blending_changes_the_face_and_nothing_else() {
    let (points, picture) = (rest(), textured(false));
    let (mut most, mut inside) = (0, 0);
    for n in 0..12 {
        let blend = Blend::draw(7, &format!("row{n}"));
        let blended = blend.apply(&picture, &points);
        assert!(blended == Blend::draw(7, &format!("row{n}")).apply(&picture, &points), "the same for the same seed");
        assert!(blended != Blend::draw(8, &format!("row{n}")).apply(&picture, &points));
        let mut changed = 0;
        for (x, y, pixel) in blended.enumerate_pixels() {
            let old = picture.get_pixel(x, y);
            if pixel == old {
                continue;
            }
            let (u, v) = ((x as f32 + 0.5) / 128.0, (y as f32 + 0.5) / 128.0);
            assert!((0.15..0.85).contains(&u) && (0.29..0.87).contains(&v), "({u}, {v}) lies outside the face");
            // The corner between jaw and brows is inside the points' box, but outside their hull.
            assert!(!(u < 0.2 && v > 0.75), "({u}, {v}) lies outside the hull");
            changed += 1;
            most = most.max((0..3).map(|c| pixel.0[c].abs_diff(old.0[c])).max().unwrap());
        }
        inside = inside.max(changed);
        assert!(changed > 1000, "{changed} pixels");
    }
    assert!(inside < 128 * 128 / 2 && most > 10, "{inside} {most}");
}

#[test]
fn grey_pictures_stay_grey() {
    for n in 0..6 {
        let blended = Blend::draw(1, &format!("{n}")).apply(&textured(true), &rest());
        assert!(blended.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]));
    }
}

#[test]
fn light_is_measured() {
    let flat = |v: u8| Light::new(&RgbImage::from_pixel(64, 64, Rgb([v; 3])));
    assert!(flat(20).is_dark() && flat(230).is_bright() && flat(120).is_blurry());
    assert!(!flat(120).is_dark() && !flat(120).is_bright());
    let sharp = RgbImage::from_fn(128, 128, |x, y| Rgb([if (x / 4 + y / 4) % 2 == 0 { 60 } else { 190 }; 3]));
    assert!(!Light::new(&sharp).is_blurry());
    assert!(Light::new(&image::imageops::blur(&sharp, 6.0)).is_blurry());
}

/// Answers to every label, in every form.
#[test]
fn offline_answers_say_their_label_and_no_other() {
    let face = [textured(true)];
    let (points, light) = ([rest()], Light::new(&face[0]));
    let blend = Blend::draw(0, "x");
    let smile = changed(|i, p| if [48, 54, 60, 64].contains(&i) { down(p, -0.12) } else { p });
    let mut cases: Vec<(Task, Vec<String>)> = Vec::new();
    cases.extend(EXPRESSIONS.map(|e| (Task::Expression, vec![e.to_owned()])));
    cases.extend(ACTION_UNITS.map(|(n, _)| (Task::ActionUnits, vec![format!("AU{n}")])));
    cases.extend(ATTRIBUTES.map(|a| (Task::Attributes, vec![a.to_owned()])));
    cases.extend([0, 1, 34, 101].map(|years| (Task::Age, vec![years.to_string()])));
    cases.extend(["real", "fake"].map(|l| (Task::Deepfake, vec![l.to_owned()])));
    cases.extend([Task::ActionUnits, Task::Attributes].map(|task| (task, Vec::new())));
    cases.push((Task::ActionUnits, ["AU1", "AU2", "AU25", "AU26"].map(str::to_owned).into()));
    cases.push((Task::Attributes, ATTRIBUTES.map(str::to_owned).into()));
    for (task, labels) in &cases {
        for n in 0..20 {
            let request = Request {
                id: &format!("row{n}#{}", task.name()),
                task: *task,
                question: task.questions()[0],
                labels,
                origin: LabelOrigin::Human,
                frames: &face,
                points: &points,
                measures: if n % 2 == 0 { smile } else { Measures::new(&points[0], 1.0).unwrap() },
                light,
                blend: (n % 3 == 0).then_some(&blend),
                seed: 0,
            };
            let answer = Offline.annotate(&request).unwrap().value;
            assert_eq!(task.labels_of(&answer).as_ref(), Some(labels), "{answer}");
        }
    }
}
