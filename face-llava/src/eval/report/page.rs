//! The page: one file without network. Foreign text lies in it as JSON and becomes text nodes, never markup.

use serde::Serialize;

use super::items::Run;

const TEMPLATE: &str = include_str!("page.html");
/// Where the items go.
const SLOT: &str = "{{RUNS}}";

/// The page about some runs.
pub(super) fn page(runs: &[Run]) -> String {
    TEMPLATE.replacen(SLOT, &json(&runs), 1)
}

/// JSON that no HTML parser sees anything in.
fn json(value: &impl Serialize) -> String {
    // What these types hold is always JSON.
    let json = serde_json::to_string(value).unwrap_or_else(|_| "[]".into());
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::report::items::{Shown, State};

    #[test]
    fn foreign_text_cannot_leave_its_place() {
        let foreign = "</script><img src=x onerror=alert(1)><!-- {{RUNS}} & \u{2028} \"'";
        let item = Shown {
            id: foreign.into(),
            truth: foreign.into(),
            label: foreign.into(),
            state: State::Wrong,
            raw: foreign.into(),
            picture: String::new(),
        };
        let run = Run { title: foreign.into(), task: "age", scorer: "strict", of: 7, items: vec![item] };
        let page = page(&[run]);
        assert!(!page.contains("<img src=x") && !page.contains("<!-- {{"));
        let empty = TEMPLATE.replacen(SLOT, "[]", 1);
        for markup in ["<", ">", "</script>"] {
            assert_eq!(page.matches(markup).count(), empty.matches(markup).count(), "{markup}");
        }
        let start = page.find("type=\"application/json\">").unwrap() + "type=\"application/json\">".len();
        let data = &page[start..start + page[start..].find("</script>").unwrap()];
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data[0]["items"][0]["raw"], foreign);
        assert_eq!((&data[0]["of"], &data[0]["items"][0]["state"]), (&7.into(), &"wrong".into()));
    }

    #[test]
    fn nothing_is_fetched_and_nothing_is_written_as_markup() {
        for word in ["http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!TEMPLATE.contains(word), "{word}");
        }
        assert!(TEMPLATE.contains("default-src 'none'") && TEMPLATE.matches(SLOT).count() == 1);
    }
}
