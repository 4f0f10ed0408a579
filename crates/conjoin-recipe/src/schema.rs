//! Options as their JSON schemas tell them: names, types, defaults, help texts.

use serde_json::Value;

/// A schema with the definitions that it refers to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'a> {
    root: &'a Value,
    here: &'a Value,
}

impl<'a> Shape<'a> {
    pub fn new(schema: &'a schemars::Schema) -> Self {
        let root = schema.as_value();
        Self { root, here: root }
    }

    fn go(self, here: &'a Value) -> Self {
        Self { here, ..self }
    }

    /// Follows references, and passes over "or nothing".
    fn resolved(self) -> Self {
        if let Some(target) = self.here.get("$ref").and_then(Value::as_str) {
            let found = target
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer));
            return found.map_or(self, |here| self.go(here).resolved());
        }
        for key in ["anyOf", "allOf", "oneOf"] {
            let choices = self
                .here
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let mut real = choices.filter(|choice| choice.get("type") != Some(&"null".into()));
            if let (Some(only), None) = (real.next(), real.next()) {
                return self.go(only).resolved();
            }
        }
        self
    }

    fn properties(self) -> Option<&'a serde_json::Map<String, Value>> {
        self.resolved().here.get("properties")?.as_object()
    }

    /// Keys of a table, in the order of declaration.
    pub fn keys(self) -> impl Iterator<Item = &'a str> {
        self.properties()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str())
    }

    /// Keys that have no default.
    pub fn required(self) -> Vec<&'a str> {
        let list = self
            .resolved()
            .here
            .get("required")
            .and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// The schema of a key: of its own, or that of every key of a map.
    pub fn key(self, key: &str) -> Option<Self> {
        let own = self.properties().and_then(|properties| properties.get(key));
        own.or_else(|| {
            let any = self.resolved().here.get("additionalProperties")?;
            any.is_object().then_some(any)
        })
        .map(|here| self.go(here))
    }

    /// The schema of the elements of a list.
    pub fn item(self) -> Option<Self> {
        self.resolved().here.get("items").map(|here| self.go(here))
    }

    /// The help text of the key itself, else that of its type.
    pub fn about(self) -> Option<String> {
        let own = self
            .here
            .get("description")
            .or_else(|| self.resolved().here.get("description"));
        own.and_then(Value::as_str)
            .map(|text| text.replace('\n', " "))
    }

    /// The default as TOML would have it; `None` for required and for absent ones.
    pub fn default(self) -> Option<&'a Value> {
        self.here.get("default").filter(|value| !value.is_null())
    }

    /// The names that a choice allows, if this is one.
    pub fn choices(self) -> Vec<&'a str> {
        let here = self.resolved().here;
        let names = here
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let consts = here
            .get("oneOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        names
            .chain(consts.filter_map(|choice| choice.get("const")))
            .filter_map(Value::as_str)
            .collect()
    }

    /// The type in words.
    pub fn type_text(self) -> String {
        let shape = self.resolved();
        let choices = shape.choices();
        if !choices.is_empty() {
            let quoted: Vec<String> = choices.iter().map(|name| format!("\"{name}\"")).collect();
            return quoted.join(" | ");
        }
        let either = |key: &str| {
            let list = shape.here.get(key)?.as_array()?;
            let mut names: Vec<String> = list
                .iter()
                .map(|choice| shape.go(choice).type_text())
                .collect();
            names.dedup();
            Some(names.join(" or "))
        };
        if let Some(text) = either("anyOf").or_else(|| either("oneOf")) {
            return text;
        }
        let names: Vec<&str> = match shape.here.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        match names.into_iter().find(|name| *name != "null") {
            Some("integer") => "whole number".to_owned(),
            Some("number") => "number".to_owned(),
            Some("boolean") => "true or false".to_owned(),
            Some("string") => "string".to_owned(),
            Some("array") => match shape.item() {
                Some(item) => match item.type_text() {
                    names if names.starts_with('"') => format!("list of {names}"),
                    name => format!("list of {name}s"),
                },
                None => "list".to_owned(),
            },
            Some("object") => "table".to_owned(),
            _ => "value".to_owned(),
        }
    }
}
