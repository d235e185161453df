//! The page: one file with everything in it, no scripts, nothing fetched; light or dark as the reader's system is.
//!
//! `open_loop` is the part of the runs, `chart` draws, `style.css` colours, this file says what stands where. All text that comes from a result is escaped.

mod chart;
mod open_loop;

use crate::report::{Bar, Report, Section};
use crate::units::{float, show_count};

const STYLE: &str = include_str!("style.css");

/// The page of a result.
#[must_use]
pub fn page(report: &Report) -> String {
    let title = escape(&report.title);
    let mut body = header(report);
    body += &cards(report);
    for section in &report.sections {
        body += &section_html(section);
    }
    body += &open_loop::section(&report.runs);
    body += &verdicts(report);
    body += &origin(report);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><main>{body}</main></body></html>\n"
    )
}

fn header(report: &Report) -> String {
    let (class, word) = if report.is_kept() { ("kept", "all bounds kept") } else { ("missed", "a bound was missed") };
    let has_bounds = !report.verdicts.is_empty() || report.runs.iter().any(|run| run.slo.is_some());
    let badge = if has_bounds { format!("<span class=\"badge {class}\">{word}</span>") } else { String::new() };
    format!(
        "<header><h1>{}</h1><p>{} UTC · commit <code>{}</code> · {}, {} cores {badge}</p></header>",
        escape(&report.title),
        date(report.started_at),
        escape(&report.commit),
        escape(&report.machine.processor),
        report.machine.cores,
    )
}

fn cards(report: &Report) -> String {
    let card = |card: &crate::report::Card| {
        let (label, value, note) = (escape(&card.label), escape(&card.value), escape(&card.note));
        format!("<div class=\"card\"><span>{label}</span><strong>{value}</strong><small>{note}</small></div>")
    };
    let cards: String = report.cards.iter().map(card).collect();
    if cards.is_empty() { cards } else { format!("<div class=\"cards\">{cards}</div>") }
}

fn section_html(section: &Section) -> String {
    let mut html = format!("<section><h2>{}</h2>", escape(&section.title));
    if !section.note.is_empty() {
        html += &format!("<p>{}</p>", escape(&section.note));
    }
    html += &bars(&section.bars, &section.unit);
    let columns: Vec<&str> = section.columns.iter().map(String::as_str).collect();
    html += &table(&columns, &section.rows);
    html + "</section>"
}

fn bars(bars: &[Bar], unit: &str) -> String {
    let most = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let bar = |bar: &Bar| {
        let (label, class) = (escape(&bar.label), if bar.ours { "bar ours" } else { "bar" });
        let (width, value) = (100.0 * bar.value / most, show_count(bar.value));
        format!(
            "<div class=\"{class}\"><span>{label}</span><div><i style=\"width:{width:.2}%\"></i></div>\
             <b>{value}{}</b></div>",
            escape(unit)
        )
    };
    let rows: String = bars.iter().map(bar).collect();
    if rows.is_empty() { rows } else { format!("<div class=\"bars\">{rows}</div>") }
}

fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head: String = columns.iter().map(|name| format!("<th>{}</th>", escape(name))).collect();
    let cells = |row: &Vec<String>| row.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect::<String>();
    let rows: String = rows.iter().map(|row| format!("<tr>{}</tr>", cells(row))).collect();
    format!("<div class=\"wide\"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>")
}

fn verdicts(report: &Report) -> String {
    let mut rows: Vec<(bool, Vec<String>)> = Vec::new();
    for verdict in &report.verdicts {
        rows.push((verdict.kept, vec![verdict.name.clone(), verdict.detail.clone()]));
    }
    for run in &report.runs {
        if let Some(slo) = &run.slo {
            rows.push((run.missed.is_empty(), vec![format!("{}: {slo}", run.name), run.missed.join("; ")]));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let row = |(kept, cells): &(bool, Vec<String>)| {
        let (class, word) = if *kept { ("kept", "kept") } else { ("missed", "missed") };
        let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        format!("<tr><td><span class=\"badge {class}\">{word}</span></td>{cells}</tr>")
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<section><h2>Bounds</h2><div class=\"wide\"><table class=\"text\"><tbody>{rows}</tbody></table></div></section>"
    )
}

fn origin(report: &Report) -> String {
    let machine = &report.machine;
    let facts = [
        ("processor", machine.processor.clone()),
        ("cores", machine.cores.to_string()),
        ("memory", format!("{} MiB", show_count(float(machine.memory_mib)))),
        ("kernel", machine.kernel.clone()),
        ("load of the minute before", format!("{:.2}", machine.load)),
        ("commit", report.commit.clone()),
    ];
    let facts: String =
        facts.iter().map(|(name, value)| format!("<tr><td>{name}</td><td>{}</td></tr>", escape(value))).collect();
    let commands: String = report.commands.iter().map(|line| format!("{}\n", escape(line))).collect();
    format!(
        "<section><h2>Where it comes from</h2><div class=\"wide\"><table class=\"text\"><tbody>{facts}</tbody></table>\
         </div><pre>{commands}</pre></section>"
    )
}

/// Text as it stands in a page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A day and a minute, by the civil calendar.
fn date(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, in eras of 400: H. Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}", of_day / 3600, of_day % 3600 / 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Card, Verdict};

    #[test]
    fn dates_follow_the_calendar() {
        for (seconds, shown) in [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (1_700_000_000, "2023-11-14 22:13"),
            (4_107_542_400, "2100-03-01 00:00"),
        ] {
            assert_eq!(date(seconds), shown);
        }
    }

    #[test]
    fn a_page_fetches_nothing_and_escapes_what_it_is_given() {
        let hostile = "<script>\"&".to_owned();
        let report = Report {
            title: hostile.clone(),
            commands: vec![hostile.clone()],
            cards: vec![Card { label: hostile.clone(), value: hostile.clone(), note: hostile.clone() }],
            verdicts: vec![Verdict { name: hostile.clone(), kept: false, detail: hostile.clone() }],
            sections: vec![Section {
                title: hostile.clone(),
                note: hostile.clone(),
                columns: vec![hostile.clone()],
                rows: vec![vec![hostile.clone()]],
                bars: vec![Bar { label: hostile, value: 1.0, ours: true }],
                unit: "/s".to_owned(),
            }],
            ..Report::default()
        };
        let page = page(&report);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;&quot;&amp;"));
        for external in ["http://", "https://", "url(", "@import", "src="] {
            assert!(!page.contains(external), "{external}");
        }
        assert!(page.contains("a bound was missed"));
    }
}
