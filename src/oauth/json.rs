//! JSON that others sign or write for us, read strictly: an object in which no name stands twice at any depth.
//!
//! Two readers of one text must not see two things in it (RFC 7515 §4, RFC 7519 §4, RFC 8725 §2.4). Depth is bounded by
//! the parser, length by whoever calls.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Why a text is no such object. Says nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// An object, its members in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(Vec<(String, Json)>);

/// A value as far as anybody here asks for it.
#[derive(Clone, Debug, PartialEq)]
enum Json {
    Object(Object),
    Array(Vec<Json>),
    Text(String),
    Number(f64),
    /// `null`, `true` or `false`.
    Other,
}

impl Object {
    /// Reads a whole text.
    ///
    /// # Errors
    /// [`Malformed`] for anything but one object.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        match serde_json::from_slice(text) {
            Ok(Json::Object(object)) => Ok(object),
            _ => Err(Malformed),
        }
    }

    /// Whether there is such a member, whatever it says.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A text, if there is such a member.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Malformed> {
        match self.find(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(Malformed),
        }
    }

    /// A number, if there is such a member.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn number(&self, name: &str) -> Result<Option<f64>, Malformed> {
        match self.find(name) {
            None => Ok(None),
            Some(Json::Number(number)) => Ok(Some(*number)),
            Some(_) => Err(Malformed),
        }
    }

    /// A text or an array of texts, if there is such a member.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>, Malformed> {
        match self.find(name) {
            None => Ok(Vec::new()),
            Some(Json::Text(text)) => Ok(vec![text]),
            Some(Json::Array(items)) => items.iter().map(|item| item.as_text().ok_or(Malformed)).collect(),
            Some(_) => Err(Malformed),
        }
    }

    /// An array of objects.
    ///
    /// # Errors
    /// When it is missing or anything else.
    pub fn objects(&self, name: &str) -> Result<Vec<&Self>, Malformed> {
        let Some(Json::Array(items)) = self.find(name) else { return Err(Malformed) };
        items.iter().map(|item| if let Json::Object(object) = item { Ok(object) } else { Err(Malformed) }).collect()
    }

    fn find(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(held, _)| held == name).map(|(_, value)| value)
    }
}

impl Json {
    fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Strict)
    }
}

struct Strict;

impl<'de> Visitor<'de> for Strict {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }

    #[allow(clippy::cast_precision_loss, reason = "instants are far below 2^53; what is above is refused as too late")]
    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    #[allow(clippy::cast_precision_loss, reason = "only negative numbers come here, and all of them are too early")]
    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = members.next_entry::<String, Json>()? {
            object.push((name, value));
        }
        let mut names: Vec<&str> = object.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(A::Error::custom("a name is repeated"));
        }
        Ok(Json::Object(Object(object)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn t104_t135_what_is_no_object_or_says_a_name_twice_is_refused() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        for text in [
            "",
            "null",
            "[]",
            "\"x\"",
            "1",
            "{",
            "{}x",
            "{} {}",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"{"a":1e400}"#,
            "{\"a\":\"\u{1}\"}",
            "\u{feff}{}",
            r#"{"a":"\ud800"}"#,
            &deep,
        ] {
            assert_eq!(Object::parse(text.as_bytes()), Err(Malformed), "{}", &text[..text.len().min(40)]);
        }
        assert_eq!(Object::parse(b"{\"a\":\"\xff\"}"), Err(Malformed));
        assert!(Object::parse(b" { } ").is_ok());
    }

    #[test]
    fn a_member_is_what_it_is_and_nothing_else() {
        let object = Object::parse(br#"{"t":"x","n":1.5,"z":null,"l":["a","b"],"m":["a",1],"o":[{"k":"v"}]}"#).unwrap();
        assert_eq!((object.text("t"), object.text("none")), (Ok(Some("x")), Ok(None)));
        assert_eq!((object.number("n"), object.number("none")), (Ok(Some(1.5)), Ok(None)));
        assert_eq!((object.texts("t"), object.texts("l")), (Ok(vec!["x"]), Ok(vec!["a", "b"])));
        assert_eq!(object.objects("o").unwrap()[0].text("k"), Ok(Some("v")));
        assert!(object.has("z") && !object.has("none"));
        for name in ["n", "z", "l"] {
            assert_eq!(object.text(name), Err(Malformed), "{name}");
        }
        for name in ["t", "z", "l"] {
            assert_eq!(object.number(name), Err(Malformed), "{name}");
        }
        assert!(object.texts("m").is_err() && object.objects("l").is_err() && object.objects("none").is_err());
    }

    proptest! {
        #[test]
        fn parse_never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Object::parse(&text);
        }
    }
}
