//! The rules of Grafana's dashboard linter, which is no package that could be run here, and some of ours.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Board, boards, metrics_in};
use crate::support::{GRANT, Server};

/// Exported for alerts and curious people only.
const NOT_SHOWN: [&str; 0] = [];

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// What is wrong with the parts of a dashboard that are not panels.
fn judge_board(board: &Board) -> Vec<String> {
    let json = &board.json;
    let mut wrong = Vec::new();
    let mut complain = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{}: {what}", board.name));
        }
    };
    let variables = json["templating"]["list"].as_array().unwrap();
    let variable = |name: &str| variables.iter().find(|variable| text(variable, "name") == name);
    let source = variable("datasource");
    complain(
        source.is_some_and(|v| v["type"] == "datasource" && v["query"] == "prometheus"),
        "no data source variable",
    );
    for name in ["job", "instance"] {
        let sound = variable(name).is_some_and(|v| {
            v["multi"] == true
                && v["includeAll"] == true
                && v["allValue"] == ".+"
                && text(&v["query"], "query").starts_with("label_values(jeton_build_info")
                && v["datasource"]["uid"] == "${datasource}"
        });
        complain(sound, &format!("{name} is no variable as it should be"));
    }
    complain(json.get("id").is_none_or(Value::is_null), "has an id of its own");
    complain(text(json, "uid").starts_with("jeton-") && text(json, "uid").len() <= 40, "needs a uid");
    complain(
        !text(json, "title").is_empty() && text(json, "description").len() > 40,
        "needs a title and a description",
    );
    complain(board.name == format!("{}.json", text(json, "uid")), "is not called by its uid");
    wrong
}

fn judge_panel(panel: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut complain = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{}: {what}", panel["title"]));
        }
    };
    complain(!text(panel, "title").is_empty(), "needs a title");
    complain(text(panel, "description").len() > 14 && text(panel, "description").ends_with('.'), "needs a sentence");
    complain(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "needs a unit");
    complain(panel["datasource"]["uid"] == "${datasource}", "has a data source of its own");
    let targets = panel["targets"].as_array().unwrap();
    let ids: BTreeSet<&str> = targets.iter().map(|target| text(target, "refId")).collect();
    complain(!targets.is_empty() && ids.len() == targets.len(), "needs queries with names of their own");
    for target in targets {
        complain(target["datasource"]["uid"] == "${datasource}", "a query has a data source of its own");
        let expr = text(target, "expr");
        for problem in judge_query(expr) {
            complain(false, &format!("{problem}: {expr}"));
        }
    }
    wrong
}

/// Selectors name job and instance; rates take the interval that fits the scrape.
fn judge_query(expr: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let names = expr.match_indices('{').map(|(at, _)| at).collect::<Vec<_>>();
    if names.is_empty() {
        wrong.push("selects nothing".to_owned());
    }
    for at in names {
        let labels = &expr[at..at + expr[at..].find('}').unwrap_or(0)];
        if !labels.contains(r#"job=~"$job""#) || !labels.contains(r#"instance=~"$instance""#) {
            wrong.push(format!("not only of the chosen servers: {labels}"));
        }
    }
    for metric in metrics_in(expr) {
        let bare = expr.match_indices(&metric).any(|(at, _)| {
            let rest = expr[at + metric.len()..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let whole = at == 0 || !expr[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            whole && !rest.starts_with('{')
        });
        if bare {
            wrong.push(format!("{metric} has no labels"));
        }
    }
    for (at, _) in expr.match_indices("rate(").chain(expr.match_indices("increase(")) {
        let window = expr[at..].split('[').nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
        // Whole windows are for service levels.
        if !["$__rate_interval", "$__range", "5m", "1h", "6h"].contains(&window) {
            wrong.push(format!("a rate over {window}"));
        }
    }
    wrong
}

/// Panels that lie over one another, and ids that two have.
fn judge_places(board: &Board) -> Vec<String> {
    let panels = board.json["panels"].as_array().unwrap();
    let place = |panel: &Value| ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
    let mut wrong = Vec::new();
    for (number, one) in panels.iter().enumerate() {
        let [x, y, w, h] = place(one);
        if x + w > 24 || w == 0 || h == 0 {
            wrong.push(format!("{} is outside of the grid", one["title"]));
        }
        for other in &panels[number + 1..] {
            let [ox, oy, ow, oh] = place(other);
            if x < ox + ow && ox < x + w && y < oy + oh && oy < y + h {
                wrong.push(format!("{} lies over {}", one["title"], other["title"]));
            }
            if one["id"] == other["id"] || one["title"] == other["title"] {
                wrong.push(format!("{} and {} have the same id or title", one["title"], other["title"]));
            }
        }
    }
    wrong
}

fn judge(board: &Board) -> Vec<String> {
    let mut wrong = judge_board(board);
    wrong.extend(judge_places(board));
    wrong.extend(board.panels().flat_map(judge_panel));
    wrong
}

#[test]
fn the_dashboards_keep_the_rules_of_grafanas_linter() {
    let boards = boards();
    assert_eq!(boards.len(), 4);
    let wrong: Vec<String> = boards.iter().flat_map(judge).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_judge_of_dashboards_sees_what_is_wrong() {
    let sound = std::fs::read_to_string(crate::support::project().join("grafana/dashboards/jeton-load.json")).unwrap();
    for (from, to, complaint) in [
        (r#""uid": "${datasource}""#, r#""uid": "abc""#, "data source of its own"),
        (r#"job=~\"$job\","#, "", "not only of the chosen servers"),
        ("{job=~\\\"$job\\\",instance=~\\\"$instance\\\"}[$__rate_interval]", "[$__rate_interval]", "has no labels"),
        ("[$__rate_interval]", "[2m]", "a rate over 2m"),
        (r#""unit": "reqps""#, r#""unit": """#, "needs a unit"),
        (r#""description": "Over all servers.""#, r#""description": """#, "needs a sentence"),
        (r#""allValue": ".+""#, r#""allValue": ".*""#, "is no variable as it should be"),
        (r#""x": 6"#, r#""x": 5"#, "lies over"),
        (r#""id": 3"#, r#""id": 4"#, "have the same id"),
        (r#""uid": "jeton-load""#, r#""uid": "load""#, "needs a uid"),
    ] {
        assert!(sound.contains(from), "{from}");
        let json = serde_json::from_str(&sound.replace(from, to)).unwrap();
        let wrong = judge(&Board { name: "jeton-load.json".to_owned(), json });
        assert!(wrong.iter().any(|wrong| wrong.contains(complaint)), "{complaint}: {wrong:?}");
    }
}

/// What a running server exports.
fn exported() -> BTreeSet<String> {
    let (server, client) = Server::usual();
    server.ask_patiently(&client, GRANT);
    let metrics = server.ops("/metrics").text();
    metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned)).collect()
}

#[test]
fn every_metric_that_is_named_exists_and_every_one_that_exists_is_shown() {
    let exported = exported();
    assert!(exported.len() > 40, "{exported:?}");
    let boards = boards();
    let mut shown = BTreeSet::new();
    for (of, expr) in boards.iter().flat_map(Board::queries) {
        for metric in metrics_in(expr) {
            assert!(exported.contains(&metric), "{of}: nothing exports {metric}");
            shown.insert(metric);
        }
    }
    let hidden: Vec<&String> =
        exported.iter().filter(|name| !shown.contains(*name) && !NOT_SHOWN.contains(&name.as_str())).collect();
    assert!(hidden.is_empty(), "no dashboard shows {hidden:?}: add a panel, or say in NOT_SHOWN why not");
    let mut others = Vec::new();
    for file in ["rules/alerts.yml", "rules/recording.yml"] {
        others.push((file.to_owned(), super::rules::read(file)));
    }
    for page in super::rules::runbooks() {
        others.push((page.clone(), std::fs::read_to_string(page).unwrap()));
    }
    for (file, text) in others {
        let gone = metrics_in(&text).into_iter().find(|name| !is_known(name, &exported));
        assert_eq!(gone, None, "{file} names what nothing exports");
    }
}

/// A page may name the beginning that several have in common.
fn is_known(name: &str, exported: &BTreeSet<String>) -> bool {
    exported.iter().any(|metric| metric.starts_with(name.trim_end_matches('_')))
}
