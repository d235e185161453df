//! Members of a record that only a newer version knows: whoever writes the record over keeps them, so that two versions can
//! share a store while one takes the place of the other.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The members by which the parts of a record's lists are known: secrets by the one, keys by the other, and keys of one name
/// by their algorithm besides.
const NAMES: [&str; 2] = ["id", "kid"];

/// The JSON of a record, with what the one that it takes the place of has beyond what a `T` knows.
///
/// # Errors
/// When the record cannot be encoded.
pub fn encode_over<T: Serialize + DeserializeOwned>(record: &T, held: Option<&str>) -> serde_json::Result<String> {
    // What cannot be read has nothing to be kept.
    let held = held.and_then(|held| serde_json::from_str::<Value>(held).ok());
    let known = held.as_ref().and_then(|held| T::deserialize(held).ok()).map(serde_json::to_value).transpose()?;
    let Some((held, known)) = held.zip(known).filter(|(held, known)| held != known) else {
        return serde_json::to_string(record);
    };
    let mut record = serde_json::to_value(record)?;
    carry_over(&mut record, &held, &known);
    Ok(record.to_string())
}

/// `known` is `held` as this version reads and writes it: a member that it lacks is one that this version does not know.
fn carry_over(record: &mut Value, held: &Value, known: &Value) {
    match (record, held, known) {
        (Value::Object(record), Value::Object(held), Value::Object(known)) => {
            for (name, value) in held {
                match (record.get_mut(name), known.get(name)) {
                    (Some(part), Some(known)) => carry_over(part, value, known),
                    (None, None) => drop(record.insert(name.clone(), value.clone())),
                    // Changed or taken away by this version, which knows it.
                    _ => {}
                }
            }
        }
        (Value::Array(record), Value::Array(held), Value::Array(known)) => {
            for (held, known) in held.iter().zip(known) {
                if let Some(part) = record.iter_mut().find(|part| is_same(part, held)) {
                    carry_over(part, held, known);
                }
            }
        }
        _ => {}
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    one.get("alg") == other.get("alg")
        && NAMES.iter().any(|name| one.get(name).is_some_and(|said| Some(said) == other.get(name)))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Serialize, Deserialize, Default)]
    struct Record {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<u32>,
        #[serde(default)]
        parts: Vec<Part>,
    }

    #[derive(Serialize, Deserialize)]
    struct Part {
        id: u32,
        size: u32,
    }

    fn over(record: &Record, held: &Value) -> Value {
        serde_json::from_str(&encode_over(record, Some(&held.to_string())).unwrap()).unwrap()
    }

    #[test]
    fn p17_what_this_version_does_not_know_stays_and_what_it_knows_is_as_it_says() {
        let held = json!({"name": "old", "until": 7, "future": {"a": [1]}, "parts": [
            {"id": 1, "size": 10, "future": true}, {"id": 2, "size": 20, "future": false}]});
        let record = Record {
            name: "new".to_owned(),
            until: None,
            parts: vec![Part { id: 2, size: 21 }, Part { id: 3, size: 30 }],
        };
        assert_eq!(
            over(&record, &held),
            json!({"name": "new", "future": {"a": [1]}, "parts": [
                {"id": 2, "size": 21, "future": false}, {"id": 3, "size": 30}]})
        );
    }

    #[test]
    fn a_record_of_this_version_or_one_that_cannot_be_read_adds_nothing() {
        let record = Record { name: "new".to_owned(), ..Record::default() };
        let plain = serde_json::to_string(&record).unwrap();
        for held in [None, Some(""), Some("[]"), Some(r#"{"x":1}"#), Some(r#"{"name":"old","until":1,"parts":[]}"#)] {
            assert_eq!(encode_over(&record, held).unwrap(), plain, "{held:?}");
        }
    }
}
