//! The committed counts of a token request, `benches/counts.toml`: read, held against those counted now, written anew.
//!
//! Leaves the counting to `allocations` and `counts`, each of which has its own tables there. A count that grew by more
//! than [`TOLERANCE`] is too much, one that shrank is worth a word; a name that only one side knows is a mistake.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// By what part a count may exceed the committed one.
pub const TOLERANCE: f64 = 0.03;
/// The same for instructions of another compiler, which differ without anyone's doing.
pub const TOLERANCE_ELSEWHERE: f64 = 0.10;
/// Instructions that no stage is judged by: a compiler arranges code a little differently after any change elsewhere.
const SLACK: f64 = 20.0;
/// The same for allocations: what happens once a second comes more often to a request that a busy machine delays.
const SLACK_ALLOCATIONS: f64 = 0.1;
const SLACK_BYTES: f64 = 50.0;
/// What renews the file.
pub const RENEWAL: &str = "benches/counts --accept";
/// The table whose counts a compiler decides on.
pub const INSTRUCTIONS: &str = "instructions";
pub const ALLOCATIONS: &str = "allocations";
pub const BYTES: &str = "bytes";

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/counts.toml");
const HEADER: &str = "\
# What a token request takes in this build of it: `benches/counts` counts it anew, and the tests fail when a count has
# grown by more than 3 %. `benches/counts --accept` writes this file; a commit that changes it says why.
";

/// Counts by name.
pub type Counts = BTreeMap<String, f64>;

/// The file.
#[derive(Debug, Default, Deserialize)]
pub struct Figures {
    /// Who compiled what the instructions were counted of.
    pub compiler: String,
    #[serde(flatten)]
    pub tables: BTreeMap<String, Counts>,
}

/// What is to be said of some counts.
#[derive(Debug, Default)]
pub struct Verdict {
    pub lines: Vec<String>,
    pub mistakes: Vec<String>,
}

impl Figures {
    pub fn read(text: &str) -> Self {
        toml::from_str(text).unwrap()
    }

    pub fn text(&self) -> String {
        let mut text = format!("{HEADER}compiler = {:?}\n", self.compiler);
        for (table, counts) in &self.tables {
            write!(text, "\n[{table}]\n").unwrap();
            for (name, count) in counts {
                writeln!(text, "{name:?} = {count}").unwrap();
            }
        }
        text
    }

    /// By what part a count of this table may grow, and by how much besides, when `compiler` made what was counted.
    fn tolerance(&self, table: &str, compiler: &str) -> (f64, f64) {
        let is_comparable = table != INSTRUCTIONS || compiler == self.compiler;
        let slack = match table {
            INSTRUCTIONS => SLACK,
            ALLOCATIONS => SLACK_ALLOCATIONS,
            BYTES => SLACK_BYTES,
            _ => 0.0,
        };
        (if is_comparable { TOLERANCE } else { TOLERANCE_ELSEWHERE }, slack)
    }

    pub fn judge(&self, table: &str, counts: &Counts, compiler: &str) -> Verdict {
        let none = Counts::new();
        let committed = self.tables.get(table).unwrap_or(&none);
        let tolerance = self.tolerance(table, compiler);
        let mut verdict = Verdict::default();
        for (name, &count) in counts {
            verdict.add(&format!("{table}: {name}"), count, committed.get(name).copied(), tolerance);
        }
        for name in committed.keys().filter(|name| !counts.contains_key(*name)) {
            verdict.mistakes.push(format!("{table}: {name}: is in the file, but nothing counts it"));
        }
        verdict
    }
}

impl Verdict {
    fn add(&mut self, name: &str, count: f64, committed: Option<f64>, (part, slack): (f64, f64)) {
        let Some(committed) = committed else {
            self.lines.push(format!("{name:55} {count:>9}"));
            self.mistakes.push(format!("{name}: {count}, but no figure is committed"));
            return;
        };
        let change = 100.0 * (count / committed - 1.0);
        let told = format!("{name:55} {count:>9}, committed {committed:>9}, {change:+.1} %");
        let (growth, allowed, percent) = (count - committed, committed * part + slack, 100.0 * part);
        let word = if growth > allowed {
            let told =
                format!("{name}: {count}, {change:.1} % above the committed {committed}, {percent:.0} % allowed");
            self.mistakes.push(told);
            ": TOO MUCH"
        } else if -growth > allowed {
            ": much less, worth renewing the file"
        } else {
            ""
        };
        self.lines.push(format!("{told}{word}"));
    }
}

/// Judges counts by the committed file, or with `--accept` writes them there: what is to be said, and the exit code.
pub fn settle(tables: &[(&str, Counts)]) -> (String, i32) {
    let mut figures = Figures::read(&std::fs::read_to_string(FILE).unwrap());
    let compiler = compiler();
    if std::env::args().any(|argument| argument == "--accept") {
        for (table, counts) in tables {
            figures.tables.insert((*table).to_owned(), counts.clone());
            if *table == INSTRUCTIONS {
                figures.compiler.clone_from(&compiler);
            }
        }
        std::fs::write(Path::new(FILE), figures.text()).unwrap();
        return (format!("written to {FILE}"), 0);
    }
    let verdicts = tables.iter().map(|(table, counts)| figures.judge(table, counts, &compiler));
    let (lines, mistakes): (Vec<_>, Vec<_>) = verdicts.map(|verdict| (verdict.lines, verdict.mistakes)).unzip();
    let (mut said, mistakes) = (lines.concat().join("\n"), mistakes.concat());
    if mistakes.is_empty() {
        return (said, 0);
    }
    write!(said, "\n\n{}\nWhere it is worth that, `{RENEWAL}` renews benches/counts.toml.", mistakes.join("\n"))
        .unwrap();
    if compiler != figures.compiler {
        write!(said, "\nThe instructions there are of {}, and these of {compiler}.", figures.compiler).unwrap();
    }
    (said, 1)
}

/// The compiler by its release, and for which machine.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().expect("rustc says which it is");
    let text = String::from_utf8(output.stdout).unwrap();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
    format!("rustc {} for {}", field("release: "), field("host: "))
}
