//! CelebA (Liu et al., ICCV 2015): forty attributes of photographs of celebrities.
//!
//! Published at <https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html>. Layout:
//!
//! - `Anno/list_attr_celeba.txt`: a line with the number of pictures, a line with the forty names, then lines
//!   `000001.jpg -1 1 ...` with 1 for attributes that hold and -1 for those that do not
//! - `Eval/list_eval_partition.txt`: lines `000001.jpg 0` with 0 training, 1 validation, 2 test
//! - `Img/img_align_celeba/000001.jpg`: 178x218, aligned at the eyes
//!
//! Lists and the folder of pictures are also found beside each other, as torchvision and others lay them.
//!
//! Official: 162 770 pictures for training, 19 867 for validation, 19 962 for the test.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::lists::{self, At};
use super::{Benchmark, Listing};
use crate::eval::{EvalError, Truth};
use crate::{ATTRIBUTES, Task};

/// Numbers 0 to 2 of the list of partitions.
const PARTITIONS: [&str; 3] = ["train", "val", "test"];

pub(super) struct CelebA;

impl Benchmark for CelebA {
    fn name(&self) -> &'static str {
        "celeba"
    }

    fn title(&self) -> &'static str {
        "CelebA"
    }

    fn task(&self) -> Task {
        Task::Attributes
    }

    fn labels(&self) -> &'static [&'static str] {
        &ATTRIBUTES
    }

    fn splits(&self) -> &'static [&'static str] {
        &["test", "val", "train"]
    }

    fn published(&self, split: &str) -> Option<usize> {
        match split {
            "test" => Some(19_962),
            "val" => Some(19_867),
            "train" => Some(162_770),
            _ => None,
        }
    }

    fn layout(&self) -> &'static str {
        "Anno/list_attr_celeba.txt, Eval/list_eval_partition.txt and Img/img_align_celeba/000001.jpg; \
         https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
    }

    fn list(&self, root: &Path, split: &str) -> Result<Listing, EvalError> {
        lists::split(self.name(), self.splits(), split)?;
        let path = either(root, "Eval", "list_eval_partition.txt");
        let text = lists::read(&path, "CelebA's list of partitions")?;
        let attributes = either(root, "Anno", "list_attr_celeba.txt");
        let table = lists::read(&attributes, "CelebA's list of attributes")?;
        let held = held(&attributes, &table)?;
        let images = either(root, "Img", "img_align_celeba");
        let mut listing = Listing::default();
        for (line, words) in lists::lines(&text) {
            let at = At { path: &path, line };
            let [name, partition] = at.words(words, "a picture and its partition")?;
            let partition = at.whole(partition, "partition", 0..=2)?;
            if PARTITIONS[partition as usize] != split {
                continue;
            }
            let Some((line, values)) = held.get(name) else {
                return Err(at.fault(format!("{name} is not in {}", attributes.display())));
            };
            let truth = Truth::Attributes(flags(At { path: &attributes, line: *line }, values)?);
            listing.push(at, name.into(), &[images.join(name)], truth)?;
        }
        Ok(listing)
    }
}

/// `root/folder/name`, or `root/name` where only that is there.
fn either(root: &Path, folder: &str, name: &str) -> PathBuf {
    let (inside, beside) = (root.join(folder).join(name), root.join(name));
    if beside.exists() && !inside.exists() { beside } else { inside }
}

/// The line of each picture, and what stands there after its name.
fn held<'a>(path: &Path, text: &'a str) -> Result<HashMap<&'a str, (usize, &'a str)>, EvalError> {
    let mut lines = lists::lines(text);
    let end = |line| At { path, line }.fault("the list ends before its pictures");
    let (line, count) = lines.next().ok_or_else(|| end(1))?;
    At { path, line }.whole(count, "the number of pictures", 0..=u32::MAX)?;
    let (line, names) = lines.next().ok_or_else(|| end(line + 1))?;
    if !names.split_whitespace().eq(ATTRIBUTES) {
        return Err(At { path, line }.fault("these are not CelebA's forty attributes in their order"));
    }
    let mut held = HashMap::new();
    for (line, row) in lines {
        let (name, values) = row.split_once(char::is_whitespace).unwrap_or((row, ""));
        if held.insert(name, (line, values)).is_some() {
            return Err(At { path, line }.fault(format!("{name} is named a second time")));
        }
    }
    Ok(held)
}

fn flags(at: At<'_>, values: &str) -> Result<Vec<bool>, EvalError> {
    let flags = values.split_whitespace().map(|value| match value {
        "1" => Ok(true),
        "-1" => Ok(false),
        _ => Err(at.fault(format!("value {value:?}; expected 1 or -1"))),
    });
    let flags: Vec<bool> = flags.collect::<Result<_, _>>()?;
    if flags.len() != ATTRIBUTES.len() {
        let what =
            format!("{} columns; expected {}: a picture and forty values", flags.len() + 1, 1 + ATTRIBUTES.len());
        return Err(at.fault(what));
    }
    Ok(flags)
}
