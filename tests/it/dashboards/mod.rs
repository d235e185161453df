//! What Grafana and Prometheus are given: the dashboards' form, the rules, and both run against a server that works.

mod form;
mod lint;
mod live;
mod outage;
mod prometheus;
mod rules;

use serde_json::Value;

use crate::support::project;

/// A dashboard as committed.
pub struct Board {
    pub name: String,
    pub json: Value,
}

/// All dashboards.
pub fn boards() -> Vec<Board> {
    let folder = std::fs::read_dir(project().join("grafana/dashboards")).unwrap();
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| Board {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        json: serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap(),
    };
    paths.iter().map(read).collect()
}

impl Board {
    /// Its panels, rows left out.
    pub fn panels(&self) -> impl Iterator<Item = &Value> {
        self.json["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
    }

    /// Every query: of what, and its text.
    pub fn queries(&self) -> Vec<(String, &str)> {
        let of_panels = self.panels().flat_map(|panel| {
            let title = panel["title"].as_str().unwrap();
            panel["targets"].as_array().unwrap().iter().map(move |target| (title, &target["expr"]))
        });
        let annotations = self.json["annotations"]["list"].as_array().unwrap().iter();
        let of_annotations = annotations.map(|annotation| (annotation["name"].as_str().unwrap(), &annotation["expr"]));
        let named = |(title, expr): (&str, &'_ Value)| format!("{}: {title}: {expr}", self.name);
        of_panels.chain(of_annotations).map(|query| (named(query), query.1.as_str().unwrap())).collect()
    }
}

/// The names of jeton's and the process's metrics in a query, without the endings of a histogram's series.
pub fn metrics_in(expr: &str) -> Vec<String> {
    let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let ours = words.filter(|word| (word.starts_with("jeton_") || word.starts_with("process_")) && word.len() > 8);
    ours.map(base).collect()
}

/// A metric's name, from that of one of its series.
pub fn base(series: &str) -> String {
    let ends = ["_bucket", "_sum", "_count"];
    ends.iter().find_map(|end| series.strip_suffix(end)).unwrap_or(series).to_owned()
}
