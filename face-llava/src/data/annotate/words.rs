//! Short plain phrases for what the points and pixels show.

use crate::data::geometry::{Eyes, Level, Lips, Measures, Turn};
use crate::data::light::Light;

/// The two things about a face that a viewer would name first.
pub(super) fn observations(measures: &Measures) -> [&'static str; 2] {
    let corners = match measures.corners() {
        Level::High => (3, "the lip corners are pulled up"),
        Level::Middle => (0, "the lip corners are level"),
        Level::Low => (2, "the lip corners point down"),
    };
    let lips = match measures.lips() {
        Lips::WideOpen => (3, "the mouth is wide open"),
        Lips::Parted => (2, "the lips are parted"),
        Lips::Closed => (1, "the lips are closed"),
    };
    let brows = match measures.brows() {
        Level::High => (2, "the brows are raised"),
        Level::Middle => (0, "the brows are level"),
        Level::Low => (2, "the brows are lowered"),
    };
    let eyes = match measures.eyes() {
        Eyes::Wide => (2, "the eyes are wide open"),
        Eyes::Open => (0, "the eyes are open"),
        Eyes::Narrow => (1, "the eyes are narrow"),
        Eyes::Closed => (2, "the eyes are closed"),
    };
    let mut all = [corners, lips, brows, eyes];
    // Stable: of equals, the mouth comes before the brows and eyes.
    all.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    [all[0].1, all[1].1]
}

pub(super) fn turn(measures: &Measures) -> &'static str {
    match measures.turn() {
        Turn::Left => "the face is turned to the left",
        Turn::Ahead => "the face looks straight ahead",
        Turn::Right => "the face is turned to the right",
    }
}

pub(super) fn light(light: &Light) -> &'static str {
    if light.is_dark() {
        "the picture is dark"
    } else if light.is_bright() {
        "the picture is bright"
    } else {
        "the light is even"
    }
}

/// First letter in upper case.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
