//! The configuration as written: each setting's text and where it came from.
//!
//! A text may hold a password (in the URL of a store); whatever is shown of one goes through [`redacted`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::{ConfigError, SETTINGS};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the file.
    File(String, usize),
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{path}:{line}"),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

#[derive(Clone)]
struct Value {
    text: String,
    origin: Origin,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("text", &redacted(&self.text)).field("origin", &self.origin).finish()
    }
}

/// Every setting's text and origin.
#[derive(Clone, Debug)]
pub struct RawConfig {
    values: BTreeMap<&'static str, Value>,
}

impl Default for RawConfig {
    /// Every setting at its default.
    fn default() -> Self {
        let value = |text: &str| Value { text: text.to_owned(), origin: Origin::Default };
        Self { values: SETTINGS.iter().map(|setting| (setting.key, value(setting.default))).collect() }
    }
}

impl RawConfig {
    /// Reads a TOML file over what is set.
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML or has an unknown key.
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::new(format!("{name} cannot be read: {error}")))?;
        self.read_toml(&text, &name.to_string())
    }

    /// Reads TOML text over what is set.
    ///
    /// # Errors
    /// When the text is no TOML or has an unknown key.
    pub fn read_toml(&mut self, text: &str, name: &str) -> Result<(), ConfigError> {
        let document = toml::de::DeTable::parse(text).map_err(|error| {
            let line = line_of(text, error.span().map_or(0, |span| span.start));
            ConfigError::new(format!("{name}:{line}: {}", error.message()))
        })?;
        let mut entries = Vec::new();
        flatten("", document.get_ref(), &mut entries);
        for (key, at, value) in entries {
            let line = line_of(text, at);
            let origin = Origin::File(name.to_owned(), line);
            let Some(value) = value else {
                return Err(ConfigError::new(format!("{name}:{line}: {key} must be a text or a whole number")));
            };
            self.set(&key, value, origin)?;
        }
        Ok(())
    }

    /// Reads `JETON_SECTION__KEY` variables over what is set; others that begin with `JETON_` are refused, but for
    /// the few that belong to commands.
    ///
    /// # Errors
    /// When a variable names no setting.
    pub fn read_environment(&mut self, variables: impl Iterator<Item = (String, String)>) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix("JETON_") else { continue };
            if matches!(rest, "CLIENT_SECRET" | "CONFIG" | "COMMIT") || rest.starts_with("TEST_") {
                continue;
            }
            // What Kubernetes tells every pod beside a service that is called jeton.
            if rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_") {
                continue;
            }
            let key = rest.to_ascii_lowercase().replace("__", ".");
            let key = if key == "store" { "store.url".to_owned() } else { key };
            self.set(&key, value, Origin::Environment(name.clone()))?;
        }
        Ok(())
    }

    /// Sets what a flag says.
    ///
    /// # Errors
    /// When there is no such setting, which is a mistake of the command.
    pub fn set_flag(&mut self, key: &str, value: Option<String>, flag: &'static str) -> Result<(), ConfigError> {
        match value {
            Some(value) => self.set(key, value, Origin::Flag(flag)),
            None => Ok(()),
        }
    }

    fn set(&mut self, key: &str, text: String, origin: Origin) -> Result<(), ConfigError> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let near = nearest(key).map_or_else(String::new, |near| format!(", did you mean {near}?"));
            return Err(ConfigError::new(format!(
                "{origin}: unknown key {key}{near} ('jeton config show' lists all keys)"
            )));
        };
        self.values.insert(setting.key, Value { text, origin });
        Ok(())
    }

    /// The text of a setting; `None` when it is not set.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|value| value.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The text of a setting for people: without the password of a URL; `None` when it is not set.
    #[must_use]
    pub fn shown(&self, key: &str) -> Option<Cow<'_, str>> {
        self.text(key).map(redacted)
    }

    /// Where a setting came from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.values.get(key).map_or(Origin::Default, |value| value.origin.clone())
    }

    /// Reads a setting that must be set.
    ///
    /// # Errors
    /// When it is not set, or `parse` says what is allowed instead.
    pub fn read<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        parse(self.text(key).unwrap_or_default()).map_err(|allowed| self.wrong(key, &allowed.to_string()))
    }

    /// Reads a setting that may be left out.
    ///
    /// # Errors
    /// When `parse` says what is allowed instead.
    pub fn read_optional<T, E: fmt::Display>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        self.text(key).map(|text| parse(text).map_err(|allowed| self.wrong(key, &allowed.to_string()))).transpose()
    }

    /// The sentence for a value that is not allowed.
    #[must_use]
    pub fn wrong(&self, key: &str, allowed: &str) -> ConfigError {
        let text = self.shown(key).unwrap_or_default();
        let text = text.escape_debug();
        ConfigError::new(match self.origin(key) {
            Origin::Default => format!("{key} is \"{text}\" when nobody sets it: {allowed}"),
            origin => format!("{origin}: {key} is \"{text}\": {allowed}"),
        })
    }
}

/// The text with `***` for what stands between `://` and the last `@` of an authority, user and password alike.
fn redacted(text: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = text.split_once("://") else { return Cow::Borrowed(text) };
    // A password that was not encoded may hold a slash, so the last sign counts, wherever it stands.
    match rest.rsplit_once('@') {
        Some((_, host)) => Cow::Owned(format!("{scheme}://***@{host}")),
        None => Cow::Borrowed(text),
    }
}

/// Dotted keys with the place and the text of their values; `None` for values that are no scalars.
fn flatten(prefix: &str, table: &toml::de::DeTable<'_>, entries: &mut Vec<(String, usize, Option<String>)>) {
    use toml::de::DeValue;
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        let at = name.span().start;
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&key, inner, entries),
            DeValue::String(text) => entries.push((key, at, Some(text.to_string()))),
            DeValue::Integer(number) => entries.push((key, at, Some(number.to_string()))),
            _ => entries.push((key, at, None)),
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// The known key with the fewest differences, if it is close enough to be a slip.
fn nearest(key: &str) -> Option<&'static str> {
    let distances = SETTINGS.iter().map(|setting| (distance(key, setting.key), setting.key));
    distances.min().filter(|(distance, _)| *distance <= 3).map(|(_, key)| key)
}

/// Levenshtein's, one row at a time.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(row.first_mut().unwrap_or(&mut 0), i + 1);
        let mut before = i + 1;
        for (b, cell) in right.bytes().zip(row.iter_mut().skip(1)) {
            let cost = (diagonal + usize::from(a != b)).min(before + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, cost);
            before = cost;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Config;
    use super::*;

    fn read(toml: &str) -> Result<Config, ConfigError> {
        let mut raw = RawConfig::default();
        raw.read_toml(toml, "jeton.toml")?;
        Config::from_raw(&raw)
    }

    #[test]
    fn the_defaults_are_allowed() {
        assert!(Config::from_raw(&RawConfig::default()).is_ok());
    }

    #[test]
    fn p13_a_mistake_is_one_sentence_with_its_line_its_key_and_what_is_allowed() {
        for (toml, sentence) in [
            (
                "\n[serve]\nworker = 1",
                "jeton.toml:3: unknown key serve.worker, did you mean serve.workers? ('jeton config show' lists all keys)",
            ),
            (
                "listen = \"here\"",
                "jeton.toml:1: listen is \"here\": an address and a port, such as 127.0.0.1:8080 or [::]:8080",
            ),
            (
                "[serve]\ndrain = \"10\"",
                "jeton.toml:2: serve.drain is \"10\": a whole number with a unit: ms, s, m, h or d",
            ),
            ("[serve]\nworkers = 9999", "jeton.toml:2: serve.workers is \"9999\": a whole number from 0 to 1024"),
            (
                "[token]\nlifetime = \"48h\"",
                "jeton.toml:2: token.lifetime is \"48h\": at least 1s and not above token.max_lifetime",
            ),
            ("[log]\nlevel = true", "jeton.toml:2: log.level must be a text or a whole number"),
        ] {
            assert_eq!(read(toml).unwrap_err().to_string(), sentence);
        }
        assert!(read("a 1").unwrap_err().to_string().starts_with("jeton.toml:1: "));
    }

    #[test]
    fn p13_a_bound_that_is_broken_by_a_default_says_whose_value_it_is() {
        assert_eq!(
            read("[token]\nmax_lifetime = \"30m\"").unwrap_err().to_string(),
            "token.lifetime is \"1h\" when nobody sets it: at least 1s and not above token.max_lifetime"
        );
    }

    #[test]
    fn the_password_of_a_url_is_never_shown() {
        for (text, shown) in [
            ("redis://user:pass@host:6379/1", "redis://***@host:6379/1"),
            ("redis://:p/a@ss@host", "redis://***@host"),
            ("https://host/path", "https://host/path"),
            ("sqlite:jeton.db", "sqlite:jeton.db"),
        ] {
            assert_eq!(redacted(text), shown);
        }
        let mut raw = RawConfig::default();
        raw.set_flag("store.url", Some("redis://user:sesame@host/no-number".to_owned()), "--store").unwrap();
        let error = Config::from_raw(&raw).unwrap_err();
        assert!(!format!("{error} {error:?} {raw:?}").contains("sesame"), "{error}");
        raw.set_flag("store.url", Some("redis://user:sesame@host".to_owned()), "--store").unwrap();
        let config = Config::from_raw(&raw).unwrap();
        assert!(!format!("{config:?} {}", config.store.url).contains("sesame"));
    }

    #[test]
    fn what_kubernetes_adds_to_the_environment_is_no_mistake() {
        let mut raw = RawConfig::default();
        let variables = ["JETON_PORT", "JETON_PORT_8080_TCP_ADDR", "JETON_SERVICE_HOST", "JETON_SERVICE_PORT_HTTP"];
        raw.read_environment(variables.into_iter().map(|name| (name.to_owned(), "x".to_owned()))).unwrap();
        assert!(Config::from_raw(&raw).is_ok());
    }

    #[test]
    fn the_environment_stands_over_the_file_and_flags_over_both() {
        let mut raw = RawConfig::default();
        raw.read_toml("[serve]\nworkers = 1\nmax_body = 2048", "f").unwrap();
        let variables =
            [("JETON_SERVE__WORKERS", "2"), ("JETON_STORE", "memory:"), ("PATH", "x"), ("JETON_TEST_X", "1")];
        raw.read_environment(variables.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned()))).unwrap();
        raw.set_flag("store.url", Some("sqlite:x".to_owned()), "--store").unwrap();
        assert_eq!(
            (raw.text("serve.workers"), raw.origin("serve.workers")),
            (Some("2"), Origin::Environment("JETON_SERVE__WORKERS".to_owned()))
        );
        assert_eq!(raw.origin("serve.max_body"), Origin::File("f".to_owned(), 3));
        assert_eq!((raw.text("store.url"), raw.origin("store.url")), (Some("sqlite:x"), Origin::Flag("--store")));
        let unknown = raw.read_environment([("JETON_SERV__WORKERS".to_owned(), "2".to_owned())].into_iter());
        assert!(unknown.unwrap_err().to_string().contains("serve.workers"));
    }

    proptest! {
        #[test]
        fn parse_never_panics(text in ".*", key in "[a-z_.]{1,30}", value in ".{0,30}") {
            let _ = read(&text);
            let _ = read(&format!("{key} = {value}"));
            let _ = read(&format!("{key} = {value:?}"));
        }

        #[test]
        fn any_text_for_any_setting_is_taken_or_named(at in 0..SETTINGS.len(), value in ".{0,30}") {
            let mut raw = RawConfig::default();
            let key = SETTINGS[at].key;
            raw.set_flag(key, Some(value), "--flag").unwrap();
            if let Err(error) = Config::from_raw(&raw) {
                let sentence = error.to_string();
                prop_assert!(sentence.starts_with("--flag: ") || sentence.contains("token."), "{}", sentence);
                prop_assert!(!sentence.contains(['\n', '\r', '\u{1b}']), "{}", sentence);
            }
        }
    }
}
