//! Every benchmark's folder opens; every fault of a folder names the file and the line.

use std::path::Path;

use face_llava::data::LabelOrigin;
use face_llava::eval::benchmarks::{held_out, records, records_of};
use face_llava::eval::{BENCHMARKS, EvalError, Truth, benchmark, check};
use face_llava::{Media, Pixels, Task};
use serde_json::{Value, json};

use crate::eval_layouts::Layouts;

#[test]
fn each_opens_with_its_items_and_truths() {
    let layouts = Layouts::new();
    for b in BENCHMARKS {
        let dataset = b.open(&layouts.root(b.name()), b.splits()[0]).unwrap();
        let items: Vec<_> = dataset.items.iter().map(|item| (item.id.clone(), item.truth.clone())).collect();
        let mut expected = Layouts::expected(b.name());
        // The order is that of the lists; the benchmark with several kinds goes through them in turn.
        let mut found = items.clone();
        if b.name() == "faceforensics" {
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            found.sort_by(|a, b| a.0.cmp(&b.0));
        }
        assert_eq!(found, expected, "{}", b.name());
        assert_eq!((dataset.benchmark, dataset.split.as_str()), (b.name(), b.splits()[0]));
        for item in &dataset.items {
            let media = Media::open(&item.media).unwrap();
            let clip = matches!(b.name(), "dfew" | "crema-d" | "faceforensics");
            assert_eq!(matches!(media.pixels, Pixels::Video(_)), clip, "{}", item.media.display());
        }
    }
}

#[test]
fn other_splits_hold_the_others() {
    let layouts = Layouts::new();
    let ids = |name: &str, split: &str| -> Vec<String> {
        let dataset = benchmark(name).unwrap().open(&layouts.root(name), split).unwrap();
        dataset.items.into_iter().map(|item| item.id).collect()
    };
    assert_eq!(ids("dfew", "set_5"), ["00500"]);
    assert_eq!(ids("dfew", "all"), ["00001", "00002", "10003", "00200", "00300", "00400", "00500"]);
    assert_eq!(ids("crema-d", "fold2"), ["1019_IEO_NEU_XX"]);
    assert_eq!(ids("crema-d", "fold5"), ["1091_WSI_FEA_MD"]);
    assert_eq!(ids("crema-d", "all").len(), 5);
    assert_eq!(ids("raf-db", "train"), ["train_00001", "train_00002"]);
    assert_eq!(ids("disfa", "part3"), ["SN003/0001"]);
    assert_eq!(ids("disfa", "all").len(), 5);
    assert_eq!(ids("bp4d", "part2"), ["M011/T1/0099", "M011/T1/0101"]);
    assert_eq!(ids("bp4d", "all").len(), 6);
    assert_eq!(ids("celeba", "val"), ["162771.jpg"]);
    assert_eq!(ids("celeba", "train"), ["000001.jpg"]);
    assert_eq!(ids("morph-ii", "fold3"), ["Album2/000001_1M21.JPG"]);
    assert_eq!(ids("morph-ii", "all").len(), 3);
    assert_eq!(ids("utkface", "train"), ["40_1_3_20170119165539693.jpg.chip.jpg"]);
    assert_eq!(ids("utkface", "21-60").len(), 3);
    assert_eq!(ids("utkface", "all").len(), 5);
    assert_eq!(ids("faceforensics", "val-c40").len(), 10);
    // Nothing is under c23, and no person of the second fold is there.
    for (name, split) in [("faceforensics", "test-c23"), ("morph-ii", "fold2")] {
        assert!(benchmark(name).unwrap().open(&layouts.root(name), split).is_err());
    }
}

#[test]
fn ids_and_digest_do_not_depend_on_the_place() {
    let layouts = Layouts::new();
    for b in BENCHMARKS {
        let (root, moved) = (layouts.root(b.name()), layouts.path(&format!("moved-{}", b.name())));
        let before = b.open(&root, b.splits()[0]).unwrap();
        std::fs::rename(&root, &moved).unwrap();
        let after = b.open(&moved, b.splits()[0]).unwrap();
        assert!(before.digest == after.digest && before.digest.len() == 64, "{}", b.name());
        assert!(before.items.iter().zip(&after.items).all(|(a, b)| a.id == b.id && a.media != b.media));
    }
}

/// A change to a folder, and where the error points and what it says.
struct Spoiled {
    benchmark: &'static str,
    file: &'static str,
    /// Replaced text; without any, the file is removed.
    change: Option<(&'static str, &'static str)>,
    at: &'static str,
    says: &'static str,
}

const fn gone(benchmark: &'static str, file: &'static str, at: &'static str, says: &'static str) -> Spoiled {
    Spoiled { benchmark, file, change: None, at, says }
}

const fn wrong(
    benchmark: &'static str,
    file: &'static str,
    change: (&'static str, &'static str),
    line: &'static str,
    says: &'static str,
) -> Spoiled {
    Spoiled { benchmark, file, change: Some(change), at: line, says }
}

const DFEW: &str = "EmoLabel_DataSplit/test(single-labeled)/set_1.csv";
const CREMA: &str = "SentenceFilenames.csv";
const RAF: &str = "basic/EmoLabel/list_patition_label.txt";
const DISFA: &str = "ActionUnit_Labels/SN002/SN002_au12.txt";
const BP4D: &str = "AUCoding/AU_OCC/F001_T1.csv";
const CELEBA: &str = "Anno/list_attr_celeba.txt";
const PARTS: &str = "Eval/list_eval_partition.txt";
const MORPH: &str = "morph_2008_nonCommercial.csv";
const UTK: &str = "utk_test.csv";
const FF: &str = "splits/test.json";
const NOT_THERE: &str = "is not there; so it is with 1 of";

#[rustfmt::skip]
const SPOILED: &[Spoiled] = &[
    gone("dfew", DFEW, DFEW, "missing; a fold of DFEW"),
    gone("dfew", "Clip/original/10003.mp4", ":4", NOT_THERE),
    wrong("dfew", DFEW, ("2,7", "2,7,1"), ":3", "3 columns; expected 2"),
    wrong("dfew", DFEW, ("label", "emotion"), ":1", "no column \"label\""),
    wrong("dfew", DFEW, ("2,7", "2,8"), ":3", "label is \"8\"; expected a whole number from 1 to 7"),
    wrong("dfew", DFEW, ("2,7", "1,7"), ":3", "00001 is named a second time"),
    gone("crema-d", CREMA, CREMA, "missing; the list of CREMA-D's clips"),
    gone("crema-d", "VideoFlash/1018_IEO_HAP_HI.flv", ":3", NOT_THERE),
    wrong("crema-d", CREMA, ("1018_IEO_HAP_HI", "1018_IEO_HAP"), ":3", "3 parts; expected ACTOR_SENTENCE_EMOTION_LEVEL"),
    wrong("crema-d", CREMA, ("1018_IEO_HAP", "1018_IEO_JOY"), ":3", "emotion \"JOY\"; expected one of ANG"),
    wrong("crema-d", CREMA, ("1018_IEO_HAP", "1092_IEO_HAP"), ":3", "the actor is \"1092\""),
    gone("raf-db", RAF, RAF, "missing; RAF-DB's list of labels"),
    gone("raf-db", "basic/Image/aligned/test_0001_aligned.jpg", ":3", NOT_THERE),
    wrong("raf-db", RAF, ("test_0001.jpg 1", "test_0001.jpg"), ":3", "1 columns; expected 2"),
    wrong("raf-db", RAF, ("test_0001.jpg 1", "test_0001.jpg 0"), ":3", "label is \"0\""),
    wrong("raf-db", RAF, ("test_0001.jpg", "0001.jpg"), ":3", "expected train_NUMBER.jpg or test_NUMBER.jpg"),
    gone("disfa", DISFA, DISFA, "missing; DISFA's intensities"),
    gone("disfa", "images/LeftVideoSN002_comp/LeftVideoSN002_comp_0001.png", "SN002_au1.txt:1", NOT_THERE),
    wrong("disfa", DISFA, ("2,2", "2,2,2"), ":2", "3 columns; expected 2: FRAME,INTENSITY"),
    wrong("disfa", DISFA, ("2,2", "2,6"), ":2", "intensity is \"6\"; expected a whole number from 0 to 5"),
    wrong("disfa", DISFA, ("2,2", "4,2"), ":2", "frame 4; "),
    wrong("disfa", DISFA, ("3,0\n", ""), ":2", "2 frames; "),
    gone("bp4d", BP4D, BP4D, "missing; BP4D's codes"),
    gone("bp4d", "Sequences(2D+3D)/F001/T1/0101.jpg", ":4", NOT_THERE),
    wrong("bp4d", BP4D, (",27\n", "\n"), ":2", "28 columns; expected 27"),
    wrong("bp4d", BP4D, ("99,0", "99,2"), ":2", "AU1 is \"2\"; expected 0, 1, or 9"),
    wrong("bp4d", BP4D, ("0,1,2,", "0,1,3,"), ":1", "no column \"2\""),
    gone("celeba", PARTS, PARTS, "missing; CelebA's list of partitions"),
    gone("celeba", CELEBA, CELEBA, "missing; CelebA's list of attributes"),
    gone("celeba", "Img/img_align_celeba/182638.jpg", "list_eval_partition.txt:3", NOT_THERE),
    wrong("celeba", PARTS, ("182638.jpg 2", "182638.jpg 3"), ":3", "partition is \"3\""),
    wrong("celeba", PARTS, ("182638.jpg 2", "182638.jpg"), ":3", "1 columns; expected 2"),
    wrong("celeba", PARTS, ("182638.jpg", "182637.jpg"), ":3", "182637.jpg is not in "),
    wrong("celeba", CELEBA, ("182638.jpg -1", "182638.jpg"), ":5", "40 columns; expected 41"),
    wrong("celeba", CELEBA, ("182638.jpg -1", "182638.jpg  0"), ":5", "value \"0\"; expected 1 or -1"),
    wrong("celeba", CELEBA, ("Young", "Old"), ":2", "these are not CelebA's forty attributes"),
    wrong("celeba", CELEBA, ("4\n", "\n"), ":2", "the number of pictures is"),
    gone("morph-ii", MORPH, MORPH, "missing; MORPH II's list"),
    gone("morph-ii", "Album2/009001_1M54.JPG", ":2", NOT_THERE),
    wrong("morph-ii", MORPH, ("NULL,54,", "NULL,"), ":2", "10 columns; expected 11"),
    wrong("morph-ii", MORPH, ("NULL,54,", "NULL,154,"), ":2", "age is \"154\""),
    gone("utkface", UTK, UTK, "missing; UTKFace's owners have no split"),
    gone("utkface", "UTKFace/60_0_1_20170113185153840.jpg.chip.jpg", ":3", NOT_THERE),
    wrong("utkface", UTK, (".jpg,39", ".jpg"), ":3", "2 columns; expected 3"),
    wrong("utkface", UTK, (".jpg,39", ".jpg,40"), ":3", "age (years above 21) is \"40\""),
    wrong("utkface", UTK, (".jpg,39", ".jpg,38"), ":3", "is not that in the name"),
    gone("faceforensics", FF, FF, "missing; a split of FaceForensics++"),
    gone("faceforensics", "manipulated_sequences/FaceSwap/c40/videos/974_953.mp4", ":4", NOT_THERE),
    wrong("faceforensics", FF, ("\"974\"", "\"974\",\n\"975\""), ":5", "no list of pairs"),
    wrong("faceforensics", FF, ("\"974\"", "\"97\""), ":4", "video \"97\"; expected a number of three digits"),
    wrong("faceforensics", FF, ("\"974\"", "\"953\""), ":3", "youtube/953 is named a second time"),
];

#[test]
fn bad_folders_name_file_and_line() {
    let layouts = Layouts::new();
    for spoiled in SPOILED {
        let Spoiled { benchmark: name, file, change, at, says } = *spoiled;
        let (root, path) = (layouts.root(name), layouts.root(name).join(file));
        let bytes = std::fs::read(&path).unwrap();
        match change {
            None => std::fs::remove_file(&path).unwrap(),
            Some((from, to)) => {
                let text = std::str::from_utf8(&bytes).unwrap();
                assert!(text.contains(from), "{name} {file}: {from:?}");
                std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
            }
        }
        let b = benchmark(name).unwrap();
        let error = b.open(&root, b.splits()[0]).unwrap_err();
        std::fs::write(&path, bytes).unwrap();
        let message = error.to_string();
        // "FILE:LINE" where only a line is given: that of the spoiled list.
        let place = match at {
            line if line.starts_with(':') && change.is_some() => format!("{}{line}: ", path.display()),
            place => format!("{place}: "),
        };
        assert!(message.contains(&place), "{name} {file}: {place:?} is not in {message:?}");
        assert!(message.contains(says), "{name} {file}: {says:?} is not in {message:?}");
        assert!(message.starts_with(&root.display().to_string()), "{message}");
        assert!(matches!(error, EvalError::Missing { .. } | EvalError::Line { .. }), "{message}");
    }
    // Everything was put back.
    assert!(BENCHMARKS.iter().all(|b| b.open(&layouts.root(b.name()), b.splits()[0]).is_ok()));
}

#[test]
fn rubbish_in_a_list_is_an_error() {
    let layouts = Layouts::new();
    let lists = [DFEW, CREMA, RAF, DISFA, BP4D, CELEBA, MORPH, UTK, FF].iter().zip(BENCHMARKS);
    for (file, b) in lists.chain([(&PARTS, benchmark("celeba").unwrap())]) {
        let (root, path) = (layouts.root(b.name()), layouts.root(b.name()).join(file));
        let good = std::fs::read(&path).unwrap();
        let cut = good[..good.len() / 2].to_vec();
        let noise: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for bytes in [&noise, &cut, b"\"\n\n\"\"\"".as_slice(), &[0; 100], b"[[[[[", &[b'9'; 5000]] {
            std::fs::write(&path, bytes).unwrap();
            match b.open(&root, b.splits()[0]) {
                Err(error) => assert!(error.to_string().starts_with(&root.display().to_string()), "{error}"),
                // A list that was cut may still be one; nothing else may.
                Ok(_) => assert!(*bytes == *cut, "{} {file}: {:?}", b.name(), &bytes[..5]),
            }
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(b.open(&root, b.splits()[0]).is_err());
        std::fs::remove_dir(&path).unwrap();
        std::fs::write(&path, good).unwrap();
    }
}

#[test]
fn frames_that_count_from_zero_are_refused() {
    let layouts = Layouts::new();
    layouts.picture("disfa/images/LeftVideoSN002_comp/LeftVideoSN002_comp_0000.png");
    let error = benchmark("disfa").unwrap().open(&layouts.root("disfa"), "part1").unwrap_err().to_string();
    assert!(error.contains("LeftVideoSN002_comp_0000.png: frames are counted from 1 in the labels"), "{error}");
}

#[test]
fn a_check_counts_and_names_what_is_absent() {
    let layouts = Layouts::new();
    for b in BENCHMARKS {
        let report = check(b, &layouts.root(b.name()), b.splits()[0]).unwrap();
        assert_eq!((report.items, report.absent), (Layouts::expected(b.name()).len(), 0));
        // Far fewer than published, and said so.
        assert_eq!(report.notes.is_empty(), report.published.is_none(), "{:?}", report.notes);
        assert_eq!(report.digest, Some(b.open(&layouts.root(b.name()), b.splits()[0]).unwrap().digest));
        assert!(report.to_string().starts_with(&format!("{} {}: ", b.name(), b.splits()[0])));
    }
    let counts = |name: &str| {
        let b = benchmark(name).unwrap();
        let report = check(b, &layouts.root(name), b.splits()[0]).unwrap();
        let counts = report.labels.into_iter().filter(|c| c.items > 0).map(|c| (c.label, c.items));
        counts.collect::<Vec<_>>()
    };
    let owned = |counts: &[(&str, usize)]| counts.iter().map(|(l, n)| ((*l).to_owned(), *n)).collect::<Vec<_>>();
    assert_eq!(counts("dfew"), owned(&[("happiness", 1), ("sadness", 1), ("fear", 1)]));
    assert_eq!(counts("disfa"), owned(&[("AU6", 1), ("AU12", 1), ("AU25", 1)]));
    assert_eq!(counts("celeba"), owned(&[("Eyeglasses", 1), ("Smiling", 1), ("Young", 1)]));
    assert_eq!(counts("utkface"), owned(&[("20-29", 1), ("60-69", 1)]));
    assert_eq!(counts("faceforensics"), owned(&[("real", 2), ("fake", 8)]));

    let root = layouts.root("raf-db");
    let mut list = std::fs::read_to_string(root.join(RAF)).unwrap();
    (3..=32).for_each(|n| list += &format!("test_{n:04}.jpg 4\n"));
    std::fs::write(root.join(RAF), list).unwrap();
    layouts.write("raf-db/basic/Image/aligned/test_0003_aligned.jpg", b"");
    let report = check(benchmark("raf-db").unwrap(), &root, "test").unwrap();
    assert_eq!((report.listed, report.items, report.absent, report.missing.len()), (32, 2, 30, 20));
    assert!(!report.is_good() && report.digest.is_none());
    let text = report.to_string();
    let (aligned, list) = (root.join("basic/Image/aligned"), root.join(RAF));
    assert!(text.contains(&format!(
        "{}:5: {} is empty",
        list.display(),
        aligned.join("test_0003_aligned.jpg").display()
    )));
    assert!(text.contains(&format!(":6: {} is not there", aligned.join("test_0004_aligned.jpg").display())));
    assert!(text.contains("media of 30 of 32 items are absent") && text.trim_end().ends_with("and 10 more"), "{text}");
    assert!(serde_json::to_value(&report).unwrap()["missing"][0]["line"] == 5);
    let error = benchmark("raf-db").unwrap().open(&root, "test").unwrap_err().to_string();
    assert!(error.ends_with("test_0003_aligned.jpg is empty; so it is with 30 of 32 items"), "{error}");
}

fn record(id: u32, image: &str, task: &str, labels: &[&str], origin: &str) -> Value {
    json!({
        "id": id.to_string(), "image": image,
        "conversations": [{"from": "human", "value": "<image>\n?"}, {"from": "gpt", "value": "."}],
        "meta": {"task": task, "labels": labels, "origin": origin, "source_id": image},
    })
}

#[test]
fn ones_own_records_are_a_benchmark() {
    let layouts = Layouts::new();
    let all = [
        record(1, "media/a.png", "expression", &["fear"], "human"),
        record(2, "media/a.png", "expression", &["fear"], "human"),
        record(3, "media/a.png", "action-units", &["AU4", "AU1"], "human"),
        record(4, "media/b.png", "expression", &["anger"], "geometry"),
        record(5, "media/b.png", "deepfake", &["fake"], "made"),
        record(6, "media/b.png", "expression", &["sadness"], "human"),
        json!({"image": "media/c.png", "conversations": []}),
    ];
    let write = |records: &[Value]| layouts.write("own/records.json", serde_json::to_vec(records).unwrap());
    write(&all);
    layouts.picture("own/media/a.png");
    layouts.picture("own/media/b.png");
    let (folder, file) = (layouts.path("own"), layouts.path("own/records.json"));
    let dataset = records(&file, Task::Expression).unwrap();
    let items: Vec<_> = dataset.items.iter().map(|i| (i.id.as_str(), i.truth.clone())).collect();
    let label = |label: &str| Truth::Label(label.into());
    assert_eq!(items, [("media/a.png", label("fear")), ("media/b.png", label("sadness"))]);
    assert!(dataset.items.iter().all(|i| i.media.is_file()) && dataset.benchmark == "records");
    assert_eq!(records(&folder, Task::Expression).unwrap().digest, dataset.digest);
    assert_eq!(records(&file, Task::ActionUnits).unwrap().items[0].truth, Truth::Units(vec![1, 4]));
    let made = records_of(&file, Task::Deepfake, &[LabelOrigin::Made]).unwrap();
    assert_eq!((made.items.len(), made.items[0].truth.clone()), (1, label("fake")));

    let says = |error: Result<_, EvalError>, says: &str| {
        let message = error.map(|d: face_llava::eval::Dataset| d.items.len()).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: ", file.display())) && message.contains(says), "{message}");
    };
    says(records(&file, Task::Deepfake), "none of 7 records has such a label for deepfake");
    let with = |record: Value| write(&[&all[..], &[record]].concat());
    with(record(8, "media/a.png", "expression", &["anger"], "human"));
    says(records(&file, Task::Expression), "entry 8: its label of media/a.png is not that of entry 1");
    with(record(8, "media/c.png", "expression", &["anger"], "human"));
    says(records(&file, Task::Expression), "entry 8: ");
    with(record(8, "media/c.png", "expression", &["joy"], "human"));
    says(records(&file, Task::Expression), "entry 8: \"joy\" is no label of expression");
    layouts.write("own/records.json", b"[{}]");
    says(records(&file, Task::Expression), "entry 1: not an instruction record");
    let error = records(Path::new("nowhere.json"), Task::Age).unwrap_err().to_string();
    assert!(error.starts_with("nowhere.json: "), "{error}");
}

#[test]
fn a_manifests_test_people_are_held_out() {
    let layouts = Layouts::new();
    let mut manifest = String::from("image,expression,person\n");
    for row in 0..60 {
        manifest += &format!("{row:02}.png,{},p{}\n", ["happiness", "neutral", ""][row % 3], row / 3);
        layouts.picture(&format!("set/images/{row:02}.png"));
    }
    layouts.write("set/labels.csv", &manifest);
    let path = layouts.path("set/labels.csv");
    let dataset = held_out(&path, 0).unwrap();
    let people: Vec<usize> = dataset.items.iter().map(|i| i.id[..2].parse::<usize>().unwrap() / 3).collect();
    let fractions = face_llava::data::Fractions::default();
    let test = |person: &usize| {
        face_llava::data::split_of(&format!("p{person}"), 0, &fractions) == face_llava::data::Split::Test
    };
    let expected: Vec<usize> = (0..20).filter(test).flat_map(|person| [person, person]).collect();
    assert!(!expected.is_empty());
    assert_eq!(people, expected);
    assert!(dataset.items.iter().all(|i| matches!(&i.truth, Truth::Label(l) if l != "sadness")));
    let others = held_out(&path, 1).unwrap();
    assert_ne!(others.digest, dataset.digest);

    layouts.write("set/labels.csv", manifest.replacen("01.png,neutral", "01.png,joyful", 1));
    let error = held_out(&path, 0).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:3: expression \"joyful\" is not known", path.display())), "{error}");
    layouts.write("set/labels.csv", manifest.replacen("01.png", "99.png", 1));
    let error = held_out(&path, 0).unwrap_err().to_string();
    assert!(error.contains(":3: 99.png is not beside the manifest"), "{error}");
    layouts.write("set/labels.csv", "image,expression,person\n00.png,,p1\n");
    assert!(held_out(&path, 0).unwrap_err().to_string().contains("nobody with an expression"));
    assert!(held_out(&layouts.path("set/none.csv"), 0).is_err());
}
