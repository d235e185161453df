//! How results are printed: aligned for eyes, tab-separated for pipes, JSON for programs.
//!
//! All that commands print goes through here: a reader that has gone is an error, never a panic.

use std::io::{self, IsTerminal as _, Write};

use serde::Serialize;

/// The `-o` flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// A table on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// An aligned table with a head
    Table,
    /// Tab-separated lines without a head
    Plain,
    /// JSON: an object, or one object per line
    Json,
}

impl Output {
    /// Whether it is for eyes.
    #[must_use]
    pub fn is_table(self) -> bool {
        self == Self::Table || (self == Self::Auto && io::stdout().is_terminal())
    }
}

/// Rows of one kind.
#[derive(Debug)]
pub struct Table {
    output: Output,
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub const fn new(output: Output, head: &'static [&'static str]) -> Self {
        Self { output, head, rows: Vec::new() }
    }

    /// Adds a row: its columns, and itself for JSON. Only a table is held back until [`Table::finish`], to align it.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn row(&mut self, columns: Vec<String>, value: &impl Serialize) -> io::Result<()> {
        if self.output == Output::Json {
            return json(value);
        }
        if self.output.is_table() {
            self.rows.push(columns);
            return Ok(());
        }
        let columns: Vec<String> = columns.iter().map(|column| printable(column)).collect();
        writeln!(io::stdout().lock(), "{}", columns.join("\t"))
    }

    /// Prints what was held back.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn finish(self) -> io::Result<()> {
        if !self.output.is_table() {
            return Ok(());
        }
        let head: Vec<String> = self.head.iter().map(|title| title.to_uppercase()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(head)
            .chain(self.rows)
            .map(|row| row.iter().map(|cell| printable(cell)).collect())
            .collect();
        let width =
            |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.head.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut out = io::stdout().lock();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Prints a record: a name and a value per line, or one JSON object.
///
/// # Errors
/// When standard output is closed.
pub fn record(output: Output, lines: &[(&str, String)], value: &impl Serialize) -> io::Result<()> {
    if output == Output::Json {
        return json(value);
    }
    let width = if output.is_table() { lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0) } else { 0 };
    let mut out = io::stdout().lock();
    for (name, value) in lines {
        let gap = if width == 0 { "\t" } else { "  " };
        writeln!(out, "{:<width$}{gap}{}", printable(name), printable(value))?;
    }
    Ok(())
}

/// Prints one JSON value on one line.
///
/// # Errors
/// When standard output is closed.
pub fn json(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value).map_err(io::Error::other)?;
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints one line.
///
/// # Errors
/// When standard output is closed.
pub fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// Tells whoever looks on, beside the result: one line on standard error. A closed one has nobody to tell.
pub fn note(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Names are people's: nothing of them may move a terminal's cursor or forge a column.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}
