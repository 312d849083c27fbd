//! The nine benchmarks' folders as their owners lay them out, with a few items each: the photograph, a little different
//! each time, under the names of the real datasets.

use std::fmt::Write;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use face_llava::ATTRIBUTES;
use face_llava::eval::{BENCHMARKS, Truth};
use image::codecs::gif::GifEncoder;
use image::{Frame, ImageFormat, RgbImage};

use crate::astronaut;

/// A folder with a folder for each benchmark, by its name.
pub(crate) struct Layouts {
    folder: tempfile::TempDir,
    /// Encoded pictures: JPEG, PNG.
    pictures: Vec<[Vec<u8>; 2]>,
    /// A clip of three frames, which are read by content whatever the file is called.
    clip: Vec<u8>,
    written: std::cell::Cell<usize>,
}

const DISFA_UNITS: [u8; 8] = [1, 2, 4, 6, 9, 12, 25, 26];

impl Layouts {
    pub fn new() -> Self {
        let face = image::open(astronaut()).unwrap().into_rgb8();
        let face = image::imageops::resize(&face, 192, 192, image::imageops::FilterType::Triangle);
        let shades = [0, -12, 12].map(|by| image::imageops::brighten(&face, by));
        let encode = |image: &RgbImage, format| {
            let mut bytes = Cursor::new(Vec::new());
            image.write_to(&mut bytes, format).unwrap();
            bytes.into_inner()
        };
        let pictures = shades.iter().map(|s| [ImageFormat::Jpeg, ImageFormat::Png].map(|f| encode(s, f))).collect();
        let mut clip = Vec::new();
        let mut encoder = GifEncoder::new_with_speed(&mut clip, 30);
        for shade in &shades {
            encoder.encode_frame(Frame::new(image::DynamicImage::from(shade.clone()).into_rgba8())).unwrap();
        }
        drop(encoder);
        let layouts = Self { folder: tempfile::tempdir().unwrap(), pictures, clip, written: 0.into() };
        layouts.dfew();
        layouts.crema_d();
        layouts.raf_db();
        layouts.disfa();
        layouts.bp4d();
        layouts.celeba();
        layouts.morph();
        layouts.utkface();
        layouts.faceforensics();
        layouts
    }

    /// The folder of a benchmark.
    pub fn root(&self, benchmark: &str) -> PathBuf {
        assert!(BENCHMARKS.iter().any(|b| b.name() == benchmark));
        self.folder.path().join(benchmark)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// The next shade of the photograph.
    pub fn picture(&self, path: &str) {
        let shade = &self.pictures[self.written.replace(self.written.get() + 1) % self.pictures.len()];
        let png = Path::new(path).extension().is_some_and(|e| e == "png");
        self.write(path, &shade[usize::from(png)]);
    }

    pub fn clip(&self, path: &str) {
        self.write(path, &self.clip);
    }

    /// The items of the benchmark's first split: names and truths.
    pub fn expected(benchmark: &str) -> Vec<(String, Truth)> {
        let label = |id: &str, label: &str| (id.to_owned(), Truth::Label(label.into()));
        let units = |id: &str, units: &[u8]| (id.to_owned(), Truth::Units(units.into()));
        let age = |id: &str, age| (id.to_owned(), Truth::Age(age));
        match benchmark {
            "dfew" => vec![label("00001", "sadness"), label("00002", "fear"), label("10003", "happiness")],
            "crema-d" => vec![label("1001_DFA_ANG_XX", "anger"), label("1018_IEO_HAP_HI", "happiness")],
            "raf-db" => vec![label("test_0001", "surprise"), label("test_0002", "neutral")],
            "disfa" => vec![units("SN002/0001", &[]), units("SN002/0002", &[6, 12, 25])],
            "bp4d" => vec![units("F001/T1/0099", &[6, 12]), units("F001/T1/0101", &[])],
            "celeba" => {
                let held = |names: &[&str]| Truth::Attributes(ATTRIBUTES.map(|a| names.contains(&a)).into());
                vec![("182638.jpg".into(), held(&["Smiling", "Young"])), ("182639.jpg".into(), held(&["Eyeglasses"]))]
            }
            "morph-ii" => vec![age("Album2/009001_1M54.JPG", 54.0)],
            "utkface" => vec![
                age("26_1_3_20170117175041574.jpg.chip.jpg", 26.0),
                age("60_0_1_20170113185153840.jpg.chip.jpg", 60.0),
            ],
            "faceforensics" => {
                let kinds = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"];
                let fakes = kinds.iter().flat_map(|kind| ["953_974", "974_953"].map(|pair| format!("{kind}/{pair}")));
                let fakes = fakes.map(|id| (id, Truth::Label("fake".into())));
                [label("youtube/953", "real"), label("youtube/974", "real")].into_iter().chain(fakes).collect()
            }
            _ => panic!("{benchmark}"),
        }
    }

    fn dfew(&self) {
        let set = |number: u8, rows: &str| {
            let path = format!("dfew/EmoLabel_DataSplit/test(single-labeled)/set_{number}.csv");
            self.write(&path, format!("video_name,label\n{rows}"));
        };
        set(1, "1,2\n2,7\n10003,1\n");
        for (number, label) in [(2, 3), (3, 4), (4, 5), (5, 6)] {
            set(number, &format!("{number}00,{label}\n"));
            self.picture(&format!("dfew/Clip/clip_224x224/00{number}00/00{number}00_00001.jpg"));
        }
        for frame in 1..=3 {
            self.picture(&format!("dfew/Clip/clip_224x224/00001/00001_{frame:05}.jpg"));
        }
        self.clip("dfew/Clip/clip_224x224_avi/00002.avi");
        self.clip("dfew/Clip/original/10003.mp4");
    }

    fn crema_d(&self) {
        let names = ["1001_DFA_ANG_XX", "1018_IEO_HAP_HI", "1019_IEO_NEU_XX", "1054_TIE_SAD_LO", "1091_WSI_FEA_MD"];
        let mut list = String::from("\"Stimulus_Number\",\"Filename\"\n");
        for (name, number) in names.iter().zip(1..) {
            writeln!(list, "{number},\"{name}\"").unwrap();
            self.clip(&format!("crema-d/VideoFlash/{name}.flv"));
        }
        self.write("crema-d/SentenceFilenames.csv", list);
    }

    fn raf_db(&self) {
        let list = "train_00001.jpg 5\ntrain_00002.jpg 3\ntest_0001.jpg 1\ntest_0002.jpg 7\n";
        self.write("raf-db/basic/EmoLabel/list_patition_label.txt", list);
        for name in ["train_00001", "train_00002", "test_0001"] {
            self.picture(&format!("raf-db/basic/Image/aligned/{name}_aligned.jpg"));
        }
        self.picture("raf-db/basic/Image/original/test_0002.jpg");
    }

    /// Two frames of one person in each part, one in the last; labels go one frame further, as they do there.
    fn disfa(&self) {
        for person in 1..=32 {
            if [14, 15, 19, 20, 22].contains(&person) {
                continue;
            }
            let frames = [(2, 2), (13, 2), (3, 1)].iter().find(|(p, _)| *p == person).map_or(0, |(_, frames)| *frames);
            for unit in DISFA_UNITS {
                let mut rows = String::new();
                for frame in 1..=frames {
                    let intensity = match unit {
                        6 | 12 | 25 if frame == 2 => 2 + unit % 3,
                        26 => 1,
                        _ => 0,
                    };
                    writeln!(rows, "{frame},{intensity}").unwrap();
                }
                if frames > 0 {
                    writeln!(rows, "{},0", frames + 1).unwrap();
                }
                self.write(&format!("disfa/ActionUnit_Labels/SN{person:03}/SN{person:03}_au{unit}.txt"), rows);
            }
            for frame in 1..=frames {
                let video = format!("LeftVideoSN{person:03}_comp");
                self.picture(&format!("disfa/images/{video}/{video}_{frame:04}.png"));
            }
        }
    }

    /// Frames of the first person in each part, with names of three and of four digits; one is unknown.
    fn bp4d(&self) {
        let names: Vec<String> = (0..=27).map(|unit| unit.to_string()).collect();
        let header = names.join(",");
        let people = (1..=23).map(|n| format!("F{n:03}")).chain((1..=18).map(|n| format!("M{n:03}")));
        for person in people {
            for task in 1..=8 {
                let mut rows = header.clone() + "\n";
                if task == 1 && ["F001", "M011", "F007"].contains(&person.as_str()) {
                    for (frame, active) in [(99, &[6, 12, 27][..]), (100, &[]), (101, &[])] {
                        let code = |unit: u8| match unit {
                            _ if frame == 100 => "9",
                            _ if active.contains(&unit) => "1",
                            // Not among the twelve: of no account.
                            5 => "9",
                            _ => "0",
                        };
                        let codes: Vec<&str> = (1..=27).map(code).collect();
                        writeln!(rows, "{frame},{}", codes.join(",")).unwrap();
                    }
                    self.picture(&format!("bp4d/Sequences(2D+3D)/{person}/T1/099.jpg"));
                    self.picture(&format!("bp4d/Sequences(2D+3D)/{person}/T1/0101.jpg"));
                }
                self.write(&format!("bp4d/AUCoding/AU_OCC/{person}_T{task}.csv"), rows);
            }
        }
    }

    fn celeba(&self) {
        let mut list = format!("4\n{} \n", ATTRIBUTES.join(" "));
        let mut parts = String::new();
        for (number, part, held) in [
            (1, 0, &["Bald"][..]),
            (162_771, 1, &[]),
            (182_638, 2, &["Smiling", "Young"]),
            (182_639, 2, &["Eyeglasses"]),
        ] {
            let values = ATTRIBUTES.map(|a| if held.contains(&a) { " 1" } else { "-1" });
            writeln!(list, "{number:06}.jpg {}", values.join(" ")).unwrap();
            writeln!(parts, "{number:06}.jpg {part}").unwrap();
            self.picture(&format!("celeba/Img/img_align_celeba/{number:06}.jpg"));
        }
        self.write("celeba/Anno/list_attr_celeba.txt", list);
        self.write("celeba/Eval/list_eval_partition.txt", parts);
    }

    /// People of the folds 1, 3 and 5.
    fn morph(&self) {
        let mut list = String::from("id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo\n");
        for (person, age) in [(9001, 54), (1, 21), (3, 33)] {
            let photo = format!("Album2/{person:06}_1M{age}.JPG");
            writeln!(list, "{person},1,04/18/1952,05/20/2006,B,M,NULL,{age},0,NULL,{photo}").unwrap();
            self.picture(&format!("morph-ii/{photo}"));
        }
        self.write("morph-ii/morph_2008_nonCommercial.csv", list);
    }

    fn utkface(&self) {
        let names = ["26_1_3_20170117175041574", "60_0_1_20170113185153840", "1_0_0_20161219140623097"];
        for name in names.iter().chain(&["40_1_3_20170119165539693", "61_1_20170109142408075"]) {
            self.picture(&format!("utkface/UTKFace/{name}.jpg.chip.jpg"));
        }
        let (first, second) = (names[0], names[1]);
        let test = format!(",file,age\n18896,{first}.jpg.chip.jpg,5\n18897,{second}.jpg.chip.jpg,39\n");
        self.write("utkface/utk_test.csv", test);
        self.write("utkface/utk_train.csv", ",file,age\n0,40_1_3_20170119165539693.jpg.chip.jpg,19\n");
    }

    fn faceforensics(&self) {
        let json = "[\n  [\n    \"953\",\n    \"974\"\n  ]\n]";
        self.write("faceforensics/splits/test.json", json);
        self.write("faceforensics/splits/val.json", json.replace("953", "720").replace("974", "672"));
        for [a, b] in [["953", "974"], ["720", "672"]] {
            for id in [a, b] {
                self.clip(&format!("faceforensics/original_sequences/youtube/c40/videos/{id}.mp4"));
            }
            for kind in ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"] {
                for pair in [format!("{a}_{b}"), format!("{b}_{a}")] {
                    self.clip(&format!("faceforensics/manipulated_sequences/{kind}/c40/videos/{pair}.mp4"));
                }
            }
        }
    }
}
