//! What changed between two recipes, key by key; `--resume` names it.

use crate::recipe::Recipe;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A key whose value differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Such as `stages.joint.lr`.
    pub key: String,
    /// `None` where the key was not there.
    pub before: Option<Value>,
    /// `None` where the key is gone.
    pub after: Option<Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{}: {before} -> {after}", self.key),
            (None, Some(after)) => write!(f, "{}: new, {after}", self.key),
            (Some(before), None) => write!(f, "{}: gone, was {before}", self.key),
            (None, None) => f.write_str(&self.key),
        }
    }
}

/// Keys that differ between two recipes, sorted. Tables in a list are told apart by their names, so
/// that a new stage does not change the ones after it; a new order of them is a change of its own.
pub fn diff(before: &Recipe, after: &Recipe) -> Vec<Change> {
    let flat = |recipe: &Recipe| {
        let mut leaves = BTreeMap::new();
        flatten(&recipe.tree().to_json(), String::new(), &mut leaves);
        leaves
    };
    let (before, mut after) = (flat(before), flat(after));
    let mut changes: Vec<Change> = before
        .into_iter()
        .map(|(key, before)| Change {
            after: after.remove(&key),
            key,
            before: Some(before),
        })
        .filter(|change| change.before != change.after)
        .collect();
    changes.extend(after.into_iter().map(|(key, after)| Change {
        key,
        before: None,
        after: Some(after),
    }));
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

/// Collects the values that have no keys of their own, by path.
fn flatten(value: &Value, key: String, leaves: &mut BTreeMap<String, Value>) {
    let below = |name: &str| {
        if key.is_empty() {
            name.to_owned()
        } else {
            format!("{key}.{name}")
        }
    };
    match value {
        Value::Object(table) if !table.is_empty() => {
            for (name, value) in table {
                flatten(value, below(name), leaves);
            }
        }
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_object) => {
            let name = |item: &Value| Some(item.get("name")?.as_str()?.to_owned());
            let names: Option<Vec<String>> = items.iter().map(name).collect();
            for (index, item) in items.iter().enumerate() {
                let own = names
                    .as_ref()
                    .map_or(index.to_string(), |names| names[index].clone());
                flatten(item, below(&own), leaves);
            }
            if let Some(names) = names {
                leaves.insert(format!("{key} (order)"), names.into());
            }
        }
        Value::Number(number) => {
            // 1 and 1.0 are one number.
            let number = number.as_f64().map_or_else(|| value.clone(), Value::from);
            leaves.insert(key, number);
        }
        _ => {
            leaves.insert(key, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(before: &str, after: &str) -> Vec<String> {
        let parse = |text| Recipe::parse(text, "r.toml", &[]).unwrap();
        diff(&parse(before), &parse(after))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn keys_are_named() {
        let before = "seed = 7\n[[stages]]\nname = 'a'\nlr = 1\nema = 0.9\n";
        let after = "seed = 8\n[[stages]]\nname = 'a'\nlr = 1.0\nschedule = { warmup = 3 }\n";
        assert_eq!(
            changes(before, after),
            [
                "seed: 7.0 -> 8.0",
                "stages.a.ema: gone, was 0.9",
                "stages.a.schedule.warmup: new, 3.0"
            ]
        );
    }

    #[test]
    fn layout_and_comments_are_no_change() {
        let before = "# one\n[nodes.a]\nkind = 'linear'\n";
        assert!(changes(before, "nodes = { a = { kind = \"linear\" } }").is_empty());
    }

    #[test]
    fn a_new_stage_does_not_touch_the_others() {
        let before = "[[stages]]\nname = 'b'\nlr = 1\n";
        let after = "[[stages]]\nname = 'a'\nlr = 2\n[[stages]]\nname = 'b'\nlr = 1\n";
        assert_eq!(
            changes(before, after),
            [
                "stages (order): [\"b\"] -> [\"a\",\"b\"]",
                "stages.a.lr: new, 2.0",
                "stages.a.name: new, \"a\""
            ]
        );
    }
}
