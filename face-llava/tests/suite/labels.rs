//! Labels read out of answers in words.

use face_llava::Task;

/// Labels joined by spaces, or `?` where nothing could be read.
fn read(task: Task, answer: &str) -> String {
    task.labels_of(answer).map_or_else(|| "?".into(), |labels| labels.join(" "))
}

fn check(task: Task, table: &[(&str, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .filter(|(answer, labels)| read(task, answer) != *labels)
        .map(|(answer, labels)| format!("{answer:?}: {labels:?} expected, {:?} read", read(task, answer)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn expressions() {
    check(
        Task::Expression,
        &[
            ("Happiness.", "happiness"),
            ("happy", "happiness"),
            ("The person looks ANGRY: the brows are drawn together.", "anger"),
            ("She is surprised, maybe a little afraid.", "surprise"),
            ("Fearful.", "fear"),
            ("He seems disgusted by it", "disgust"),
            ("A neutral face.", "neutral"),
            ("sad", "sadness"),
            ("Sadness; the corners of the lips are drawn down.", "sadness"),
            ("The man does not look happy but sad.", "sadness"),
            ("She isn't angry. She's afraid.", "fear"),
            ("She isn\u{2019}t angry, but afraid.", "fear"),
            ("There is no sign of anger, fear or disgust.", "?"),
            ("No sign of anger or fear, the face is neutral.", "neutral"),
            ("Neither happy nor sad.", "?"),
            ("Not only happy but surprised.", "happiness"),
            ("No, she is happy.", "happiness"),
            ("Without a doubt happy.", "happiness"),
            ("Happy rather than sad.", "happiness"),
            ("Rather than fear, it is surprise.", "surprise"),
            ("Happiness is absent.", "?"),
            ("Her nose is wrinkled in disgust.", "disgust"),
            ("I know she is happy.", "happiness"),
            ("I cannot tell.", "?"),
            ("I cannot tell whether she is happy or sad.", "?"),
            ("Happy or sad, I can't really say.", "?"),
            ("Happy or sad, but I cannot tell.", "?"),
            ("The expression cannot be determined. It might be fear.", "?"),
            ("The expression is hard to determine, but she seems sad.", "sadness"),
            ("Happiness. Why she smiles cannot be told.", "happiness"),
            ("Is she happy or sad? Sad.", "sadness"),
            ("Happiness: the teeth are not visible.", "happiness"),
            ("Neutral (no happiness, no sadness).", "neutral"),
            ("Nothing suggests fear. It is neutral.", "neutral"),
            ("It is not clearly neutral; rather, it is anger.", "anger"),
            ("unhappy", "?"),
            ("The angrier of the two.", "?"),
            ("She has a happy-go-lucky air.", "?"),
            ("A smile.", "?"),
            ("", "?"),
            ("\u{202e}\u{0}", "?"),
            ("快乐 happy", "happiness"),
        ],
    );
}

#[test]
fn action_units() {
    check(
        Task::ActionUnits,
        &[
            ("AU12", "AU12"),
            ("AU 12", "AU12"),
            ("au12 and Au6.", "AU6 AU12"),
            ("AU06, AU-12", "AU6 AU12"),
            ("AU6 (Cheek Raiser), AU12 (Lip Corner Puller).", "AU6 AU12"),
            ("The cheek raiser and the lip-corner puller are active.", "AU6 AU12"),
            ("AU12, AU99, AU3 and AU123456789012", "AU12"),
            ("AUs 6, 12 and 25 are active", "AU6 AU12 AU25"),
            ("AU6+12", "AU6 AU12"),
            ("AU12C", "AU12"),
            ("AU4, AU4 and AU4", "AU4"),
            ("AU1 and 2 others", "AU1"),
            ("no AU12", ""),
            ("AU12 is absent.", ""),
            ("AU12 is not active", ""),
            ("AU12 isn't active, AU6 is.", "AU6"),
            ("AU6 is active, AU12 is not.", "AU6"),
            ("AU6 and AU12 are active, but AU4 is absent.", "AU6 AU12"),
            ("AU1, AU2 and AU4 are not active.", ""),
            ("No AU1, AU2 or AU4.", ""),
            ("No AU4, the person shows AU6 and AU12.", "AU6 AU12"),
            ("AU12 with no visible AU4", "AU12"),
            ("AU12 without AU6", "AU12"),
            ("AU12 but not AU6", "AU12"),
            ("Neither AU4 nor AU9 is present; AU12 is.", "AU12"),
            ("AU12: yes, AU4: no, AU6: yes", "AU6 AU12"),
            ("Active: AU6, AU12. Absent: AU4, AU9.", "AU6 AU12"),
            ("Active:\n- AU6 (cheek raiser)\n- AU12\nNot active:\n- AU4\n- AU9", "AU6 AU12"),
            ("The nose wrinkler is not visible", ""),
            ("The nose is visible and AU12 is active", "AU12"),
            ("Now AU12 and the jaw drop", "AU12 AU26"),
            ("The lip tightener, not the lid tightener.", "AU23"),
            ("No activation of AU4, AU9 (nose wrinkler) or AU15; AU12.", "AU12"),
            ("There are no action units apart from AU12.", "AU12"),
            ("AU25: 1, AU26: 0", "AU25"),
            ("None.", ""),
            ("No action units are active.", ""),
            ("No facial action units.", ""),
            ("Whether AU4 is active cannot be determined.", "?"),
            ("I can't tell which action units are active.", "?"),
            ("A smiling face", "?"),
            ("beau12", "?"),
            ("12", "?"),
        ],
    );
}

#[test]
fn attributes() {
    check(
        Task::Attributes,
        &[
            ("Smiling, Young, No_Beard", "No_Beard Smiling Young"),
            ("smiling, young, no beard", "No_Beard Smiling Young"),
            ("Wearing_Lipstick; heavy makeup", "Heavy_Makeup Wearing_Lipstick"),
            ("She is wearing a hat.", "Wearing_Hat"),
            ("5_o_Clock_Shadow", "5_o_Clock_Shadow"),
            ("a 5 o'clock shadow and a big nose", "5_o_Clock_Shadow Big_Nose"),
            ("grey hair, moustache", "Gray_Hair Mustache"),
            ("A man with black hair, not bald, without eyeglasses", "Black_Hair"),
            ("Bald: no, Smiling: yes", "Smiling"),
            ("no beard or eyeglasses", "No_Beard"),
            ("no eyeglasses, a pointy nose", "Pointy_Nose"),
            ("No_Beard, no eyeglasses, Young", "No_Beard Young"),
            ("Male, Smiling. Not: Eyeglasses, Bald.", "Male Smiling"),
            (
                "A woman with wavy hair who is wearing earrings, without eyeglasses, smiling.",
                "Smiling Wavy_Hair Wearing_Earrings",
            ),
            ("A man without eyeglasses who is smiling", "Smiling"),
            ("female", "?"),
            ("Male", "Male"),
            ("an unattractive youngster", "?"),
            ("high-cheekbones", "High_Cheekbones"),
            ("Not young.", ""),
            ("None of the attributes.", ""),
            ("It cannot be told.", "?"),
        ],
    );
}

#[test]
fn ages() {
    check(
        Task::Age,
        &[
            ("34", "34"),
            ("34 years old", "34"),
            ("About 34.", "34"),
            ("The person is a 34-year-old man", "34"),
            ("Age: 34", "34"),
            ("aged about 41", "41"),
            ("The age of the person is 27, give or take.", "27"),
            ("30-35", "32.5"),
            ("30 \u{2013} 35 years", "32.5"),
            ("30 to 35 years old", "32.5"),
            ("between 30 and 36", "33"),
            ("in the 30s", "34.5"),
            ("in his 30's", "34.5"),
            ("in her late twenties", "28"),
            ("early 40s", "41.5"),
            ("mid-50s", "55"),
            ("20s or 30s", "29.5"),
            ("late 20s to early 30s", "29.75"),
            ("a child of 6 months", "0.5"),
            ("34.5 years", "34.5"),
            ("not 34 but 40 years old", "40"),
            ("The 2 wrinkles tell of 60 years.", "60"),
            ("There are 2 wrinkles", "?"),
            ("2-3 wrinkles", "?"),
            ("over 60 years old", "?"),
            ("no older than 30", "?"),
            ("950 years old", "?"),
            ("in the 1930s", "?"),
            ("34 %", "?"),
            ("The age cannot be determined.", "?"),
            ("I can't say, 34 perhaps", "?"),
            ("Hard to say, but around 34 years old", "34"),
            ("An adult.", "?"),
        ],
    );
}

#[test]
fn verdicts() {
    check(
        Task::Deepfake,
        &[
            ("Fake: the border of the face is blurred.", "fake"),
            ("Real: no traces of blending.", "real"),
            ("Real: no manipulated region can be seen.", "real"),
            ("The picture is genuine.", "real"),
            ("It looks authentic, not fake.", "real"),
            ("The face was manipulated.", "fake"),
            ("This is not real.", "fake"),
            ("There is no evidence that the picture was manipulated.", "real"),
            ("No, the picture is real.", "real"),
            ("No: the picture is real.", "real"),
            ("Not fake but real", "real"),
            ("It isn't fake", "real"),
            ("Is it real or fake? Fake.", "fake"),
            ("Really?", "?"),
            ("A real-time recording", "?"),
            ("Neither real nor fake.", "?"),
            ("It cannot be determined whether it is real or fake.", "?"),
            ("It is unclear whether it is fake.", "?"),
            ("a photo", "?"),
        ],
    );
}

#[test]
fn long_nonsense_is_read_as_short_nonsense_is() {
    for part in ["not ", "no, ", "AU12 ", "AUs 1, ", "\n", "- ", "(", "30-", "cannot ", "or ", "between 1 and "] {
        for task in Task::ALL {
            let read = |times: usize| task.labels_of(&part.repeat(times));
            assert_eq!(read(5_000), read(50), "{part:?} {}", task.name());
        }
    }
    assert_eq!(Task::ActionUnits.labels_of(&"AU12 ".repeat(5_000)), Some(vec!["AU12".to_owned()]));
}
