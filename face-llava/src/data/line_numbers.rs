//! Line numbers of CSV records.

/// Counts lines; the reader's own count is one short after CRLF, and does not pass over empty lines.
#[derive(Debug)]
pub(crate) struct LineNumbers<'a> {
    bytes: &'a [u8],
    line: u64,
    counted: usize,
}

impl<'a> LineNumbers<'a> {
    /// Of the bytes that the reader reads.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, line: 1, counted: 0 }
    }

    /// The line on which a record begins, from 1; records come in order.
    pub fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let start = position.map_or(0, |p| usize::try_from(p.byte()).unwrap_or(0)).min(self.bytes.len());
        let start = start + self.bytes[start..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let counted = self.counted.min(start);
        self.line += self.bytes[counted..start].iter().filter(|b| **b == b'\n').count() as u64;
        self.counted = start;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_editors_do() {
        for (text, lines) in [
            ("a,b\n1,2\n3,4\n", [1, 2, 3]),
            ("a,b\r\n1,2\r\n3,4", [1, 2, 3]),
            ("\n\na,b\n\n1,2\r\n\r\n3,4\n", [3, 5, 7]),
            ("a,b\n\"1\n1\",2\n3,4\n", [1, 2, 4]),
        ] {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
            let mut numbers = LineNumbers::new(text.as_bytes());
            let found: Vec<u64> = reader.records().map(|record| numbers.of(record.unwrap().position())).collect();
            assert_eq!(found, lines, "{text:?}");
        }
    }
}
