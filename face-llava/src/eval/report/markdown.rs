//! The report in words and tables.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::paper::{PaperRow, PaperTable, of_benchmark, paper_tables};
use super::{Contents, bars_name, confusion_name, method};
use crate::Task;
use crate::eval::{BENCHMARKS, Score, benchmark};

/// The paper's tables: number, name, and the tasks in them.
const TABLES: [(u8, &str, &[Task]); 3] = [
    (3, "Expression", &[Task::Expression]),
    (4, "Action units", &[Task::ActionUnits]),
    (5, "Age, attributes, deepfake", &[Task::Age, Task::Attributes, Task::Deepfake]),
];

const HEAD: &str = "# Evaluation

Figures in bold are of the runs named there, with 95 % bootstrap intervals over items; all others are the paper's
(arXiv 2504.07198), as printed. Each figure of ours names its scorer: figures of different scorers, splits or numbers of
items cannot be compared. Blocks are the paper's: closed (a service), zero-shot, fine-tuned on the benchmark.

In the paper: * as marked there (EmoLA saw only the middle frame), † taken from that method's own paper, ‡ run again on
cropped faces.
";

/// The whole report.
pub(super) fn markdown(contents: &Contents<'_>) -> String {
    let mut out = HEAD.to_owned();
    if contents.has_page {
        out += "\n[index.html](index.html) shows pictures with the answers to them.\n";
    }
    for (number, name, tasks) in TABLES {
        let _ = write!(out, "\n## Table {number}: {name}\n");
        if number == 4 {
            out += "\nThe figures of the paper's table could not be had, so there are none to compare with.\n";
        }
        for known in BENCHMARKS.iter().filter(|b| tasks.contains(&b.task())) {
            let scores: Vec<&Score> = contents.scores.iter().filter(|s| s.benchmark == known.name()).collect();
            section(&mut out, known.title(), &scores, of_benchmark(known.name()));
        }
    }
    judged(&mut out, contents);
    let own: Vec<&Score> = contents.scores.iter().filter(|s| benchmark(&s.benchmark).is_err()).collect();
    if !own.is_empty() {
        out += "\n## Other data\n";
        let names: BTreeSet<(&str, Task)> = own.iter().map(|s| (s.title.as_str(), s.task)).collect();
        for (title, task) in names {
            let of: Vec<&Score> = own.iter().copied().filter(|s| s.title == title && s.task == task).collect();
            section(&mut out, &format!("{title}: {}", task.name()), &of, None);
        }
    }
    out += "\n## Runs\n";
    let mut digests: Vec<&str> = Vec::new();
    for score in contents.scores {
        if !digests.contains(&score.predictions_sha256.as_str()) {
            digests.push(&score.predictions_sha256);
            let of = contents.scores.iter().filter(|other| other.predictions_sha256 == score.predictions_sha256);
            run(&mut out, &of.collect::<Vec<_>>());
        }
    }
    out
}

/// A benchmark's figures beside the paper's.
fn section(out: &mut String, title: &str, scores: &[&Score], paper: Option<&PaperTable>) {
    let _ = write!(out, "\n### {}\n\n", escape(title));
    let mut names: Vec<&str> = paper.iter().flat_map(|t| t.metrics.iter().map(String::as_str)).collect();
    for metric in scores.iter().flat_map(|s| &s.metrics) {
        if !names.contains(&metric.name.as_str()) {
            names.push(&metric.name);
        }
    }
    if names.is_empty() {
        *out += "No run.\n";
        return;
    }
    let rows = paper.iter().flat_map(|table| &table.rows).map(|PaperRow(block, method, values)| {
        let cells =
            (0..names.len()).map(|at| values.get(at).copied().flatten().map_or("-".into(), |v| number(names[at], v)));
        (block.clone(), escape(method), cells.collect::<Vec<_>>())
    });
    let ours = scores.iter().map(|score| {
        let cells = names.iter().map(|name| {
            let metric = score.metrics.iter().find(|m| m.name == *name);
            let text = |m: &crate::eval::MetricValue| {
                let text = |value| number(name, value);
                format!("**{}** [{}, {}]", text(m.value), text(m.low), text(m.high))
            };
            metric.map_or("-".into(), text)
        });
        let who = format!(
            "**{}** ({}, {} of {} items)",
            escape(&method(score)),
            score.scorer.name(),
            score.counted,
            score.items
        );
        ("this run".to_owned(), who, cells.collect())
    });
    table(out, &["", "method"].into_iter().chain(names.iter().copied()).collect::<Vec<_>>(), rows.chain(ours));
    for score in scores {
        note(out, score);
    }
    if scores.is_empty() {
        *out += "\nNo run.\n";
    }
}

/// What has to be known before a figure is compared, and its pictures.
fn note(out: &mut String, score: &Score) {
    let who = format!("{} ({})", escape(&method(score)), score.scorer.name());
    let known = benchmark(&score.benchmark).ok();
    if let Some(published) = known.and_then(|b| b.published(&score.split)).filter(|n| *n != score.items) {
        let _ = write!(out, "\n{who}: {} of the {published} items that were published.\n", score.items);
    }
    if let Some(first) = known.and_then(|b| b.splits().first()).filter(|first| **first != score.split) {
        let split = escape(&score.split);
        let _ = write!(
            out,
            "\n{who}: split {split} rather than {first}; which one the paper's figures are about it does not say.\n"
        );
    }
    if score.confusion.is_some() {
        let _ = write!(out, "\n![Confusion matrix, {who}]({})\n", confusion_name(score));
    }
    if !score.per_class.is_empty() {
        let _ = write!(out, "\n![{} of each class, {who}]({})\n", score.class_metric, bars_name(score));
    }
}

/// The paper's Table 10 with our judge's means.
fn judged(out: &mut String, contents: &Contents<'_>) {
    *out += "\n## Table 10: reasoning, judged\n";
    if let Some(report) = contents.judged {
        let judge = report.judge.to_string();
        let _ = write!(
            out,
            "\nOur judge: `{}`. The paper's judge is GPT-4o with a prompt that is not published: \
            ratings of different judges, rubrics or items cannot be compared.\n",
            code(&judge)
        );
        if !report.complete {
            *out += "\nNot every answer is judged yet.\n";
        }
    }
    for (at, (criterion, title)) in [
        ("media_consistency", "Reason-video consistency"),
        ("truth_consistency", "Reason-truth consistency"),
        ("completeness", "Reasoning completeness"),
    ]
    .into_iter()
    .enumerate()
    {
        let Some(paper) = paper_tables().iter().find(|t| t.benchmark == criterion) else { continue };
        let _ = write!(out, "\n### {title}\n\n");
        let cell = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.2}"));
        let rows = paper.rows.iter().map(|PaperRow(block, method, values)| {
            (block.clone(), escape(method), values.iter().map(|v| cell(*v)).collect())
        });
        let ours = contents.judged.map(|report| {
            let of = |task| report.tasks.iter().find(|t| t.task == task)?.means;
            // The paper's last column is the mean of all five.
            let all = report.all.means.filter(|_| report.all.over.len() == Task::ALL.len());
            let means = Task::ALL.map(of).into_iter().chain([all]);
            let cells = means.map(|m| m.map_or("-".into(), |m| format!("**{:.2}**", m.values()[at])));
            ("this run".to_owned(), "**judged answers**".to_owned(), cells.collect())
        });
        let columns = ["", "method"].into_iter().chain(paper.metrics.iter().map(String::as_str));
        table(out, &columns.collect::<Vec<_>>(), rows.chain(ours));
    }
}

/// What the scores of one file of predictions were made with.
fn run(out: &mut String, scores: &[&Score]) {
    let Some(first) = scores.first() else { return };
    let (title, split) = (escape(&first.title), escape(&first.split));
    let _ = write!(out, "\n### {title} ({split}), {}\n\n", escape(&method(first)));
    for score in scores {
        let _ = writeln!(
            out,
            "{} (version {}): {} items, {} answered, {} of them without a label, {} failed; {} counted. Intervals from \
             {} draws with seed {}.\n",
            score.scorer.name(),
            score.scorer_version,
            score.items,
            score.answered,
            score.unparsed,
            score.failed,
            score.counted,
            score.resamples,
            score.seed
        );
    }
    let _ = writeln!(out, "- predictions: `{}`", code(&first.predictions_sha256));
    for (name, value) in first.settings.as_object().into_iter().flatten() {
        let value = if let Value::String(text) = value { text.clone() } else { value.to_string() };
        let _ = writeln!(out, "- {}: `{}`", escape(name), code(&value));
    }
}

/// Foreign text between backticks.
fn code(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '`' {
                '\''
            } else if c.is_control() {
                ' '
            } else {
                c
            }
        })
        .collect()
}

fn table(out: &mut String, columns: &[&str], rows: impl Iterator<Item = (String, String, Vec<String>)>) {
    let _ = writeln!(out, "| {} |", columns.iter().map(|c| escape(c)).collect::<Vec<_>>().join(" | "));
    let _ = writeln!(out, "|---|---|{}", "---:|".repeat(columns.len().saturating_sub(2)));
    for (block, method, cells) in rows {
        let _ = writeln!(out, "| {block} | {method} | {} |", cells.join(" | "));
    }
}

/// Years with two decimals, shares with three, as in the paper.
fn number(metric: &str, value: f64) -> String {
    if metric == "MAE" { format!("{value:.2}") } else { format!("{value:.3}") }
}

/// Foreign text as text.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '!' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_makes_no_markup() {
        assert_eq!(escape("a|b\n<i>*x* [y](z)"), "a\\|b &lt;i>\\*x\\* \\[y\\](z)");
    }

    #[test]
    fn the_papers_figures_are_there_without_a_run() {
        let contents = Contents { scores: &[], judged: None, has_page: false };
        let text = markdown(&contents);
        for line in [
            "| zero-shot | Face-LLaVA | 0.469 | 0.564 |",
            "| zero-shot | Emotion LLaMA† | 0.456 | 0.594 |",
            "| fine-tuned | MTCAE-DFER | 0.847 | 0.850 |",
            "| zero-shot | Face-LLaVA | 3.34 |",
            "| fine-tuned | DMM-CNN | 0.917 |",
            "| zero-shot | Face-LLaVA | 7.95 | 6.90 | 8.34 | 7.68 | 8.56 | 7.89 |",
            "| zero-shot | EmoLA | 7.33 | 5.17 | - | - | - | - |",
            "could not be had",
        ] {
            assert!(text.contains(line), "{line}");
        }
    }
}
