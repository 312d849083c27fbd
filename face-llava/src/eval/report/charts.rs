//! Scores as pictures (SVG).

use plotters::prelude::{
    BLACK, Color, DrawingArea, IntoDrawingArea, IntoFont, RGBColor, Rectangle, SVGBackend, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::eval::Score;
use crate::eval::metrics::Confusion;

type Fault = Box<dyn std::error::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

const BLUE: RGBColor = RGBColor(30, 100, 200);
/// Width of a cell, and the height of a bar with its gap.
const CELL: i32 = 72;
const BAR: i32 = 22;
/// Room for labels on the left, and for the title and labels at the top.
const LEFT: i32 = 170;
const TOP: i32 = 84;
/// Length of a full bar.
const LENGTH: i32 = 420;

/// A confusion matrix: rows are truths, columns readings; shades are shares of the row, numbers are items. The last
/// column is for items without a reading.
pub(super) fn confusion(matrix: &Confusion, title: &str) -> Result<String, String> {
    let columns: Vec<&str> = matrix.labels.iter().map(String::as_str).chain(["no label"]).collect();
    let size = (LEFT + CELL * columns.len() as i32 + 20, TOP + CELL * matrix.labels.len() as i32 + 20);
    draw(size, title, |area| {
        write(area, "truth / read", (LEFT - 10, TOP - 12), 14, HPos::Right, &BLACK.mix(0.6))?;
        let middle = |column: usize| LEFT + CELL * column as i32 + CELL / 2;
        for (column, label) in columns.iter().enumerate() {
            write(area, label, (middle(column), TOP - 12), 15, HPos::Center, &BLACK)?;
        }
        for (row, counts) in matrix.counts.iter().enumerate() {
            let top = TOP + CELL * row as i32;
            let support: u64 = counts.iter().sum();
            write(area, &matrix.labels[row], (LEFT - 10, top + CELL / 2), 16, HPos::Right, &BLACK)?;
            for (column, count) in counts.iter().enumerate() {
                let share = if support > 0 { *count as f64 / support as f64 } else { 0.0 };
                let left = LEFT + CELL * column as i32;
                let corners = [(left + 1, top + 1), (left + CELL - 1, top + CELL - 1)];
                area.draw(&Rectangle::new(corners, BLUE.mix(0.04 + 0.96 * share).filled()))?;
                let ink = if share > 0.5 { WHITE } else { BLACK };
                write(area, &count.to_string(), (middle(column), top + CELL / 2 - 8), 18, HPos::Center, &ink)?;
                let percent = format!("{:.0} %", 100.0 * share);
                write(area, &percent, (middle(column), top + CELL / 2 + 11), 14, HPos::Center, &ink)?;
            }
        }
        Ok(())
    })
}

/// A bar for each label.
pub(super) fn classes(score: &Score, title: &str) -> Result<String, String> {
    let size = (LEFT + LENGTH + 130, TOP + BAR * score.per_class.len() as i32 + 20);
    draw(size, title, |area| {
        for (share, text) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
            let x = LEFT + (f64::from(LENGTH) * share) as i32;
            write(area, text, (x, TOP - 16), 14, HPos::Center, &BLACK)?;
            let bottom = TOP + BAR * score.per_class.len() as i32;
            area.draw(&Rectangle::new([(x, TOP - 6), (x + 1, bottom)], BLACK.mix(0.15).filled()))?;
        }
        for (at, class) in score.per_class.iter().enumerate() {
            let top = TOP + BAR * at as i32;
            let (middle, length) = (top + BAR / 2, (f64::from(LENGTH) * class.value.clamp(0.0, 1.0)) as i32);
            write(area, &class.label, (LEFT - 10, middle), 16, HPos::Right, &BLACK)?;
            area.draw(&Rectangle::new([(LEFT, top + 4), (LEFT + length, top + BAR - 4)], BLUE.filled()))?;
            let value = format!("{:.3} (of {})", class.value, class.support);
            write(area, &value, (LEFT + length + 8, middle), 14, HPos::Left, &BLACK)?;
        }
        Ok(())
    })
}

fn draw(
    (width, height): (i32, i32),
    title: &str,
    fill: impl FnOnce(&Area<'_>) -> Result<(), Fault>,
) -> Result<String, String> {
    let mut svg = String::new();
    let drawn = (|| -> Result<(), Fault> {
        let area = SVGBackend::with_string(&mut svg, (width.max(1) as u32, height.max(1) as u32)).into_drawing_area();
        area.fill(&WHITE)?;
        write(&area, title, (12, 24), 20, HPos::Left, &BLACK)?;
        fill(&area)?;
        area.present()?;
        Ok(())
    })();
    drawn.map_err(|e| e.to_string())?;
    Ok(svg)
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: u32, side: HPos, ink: &impl Color) -> Result<(), Fault> {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(ink).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_labels_are_drawn_and_foreign_text_stays_text() {
        let matrix = Confusion { labels: vec!["real".into(), "<b>".into()], counts: vec![vec![17, 3, 0], vec![0; 3]] };
        let svg = confusion(&matrix, "A & B").unwrap();
        for part in ["<svg", ">\n17\n<", "85 %", "no label", "&lt;b&gt;", "A &amp; B"] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert!(!svg.contains("<b>"));
    }
}
