//! Reads tables into configs and reports every mistake of a table, not the first alone: after each
//! one the working copy of the tree is mended (a misspelt name replaced by the one that was meant,
//! a wrong value cut out) and read again. What could not be mended is remembered as damaged, so
//! that later checks keep quiet about its consequences.

use crate::deserialize::{ReadError, ReadErrorKind};
use crate::diagnostic::{Diagnostic, Span};
use crate::schema::Shape;
use crate::suggest;
use crate::tree::{Dotted, Entry, Path, Step, Tree, Value, place};
use schemars::Schema;
use std::collections::BTreeSet;

/// The working copy of a recipe and what was found wrong with it.
#[derive(Debug)]
pub(crate) struct Reader {
    pub tree: Tree,
    pub found: Vec<Diagnostic>,
    damaged: BTreeSet<Path>,
}

impl Reader {
    pub fn new(tree: Tree, found: Vec<Diagnostic>) -> Self {
        Self {
            tree,
            found,
            damaged: BTreeSet::new(),
        }
    }

    pub fn report(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Remembers that what stands at `path` is not what the user meant.
    pub fn damage(&mut self, path: Path) {
        self.damaged.insert(path);
    }

    /// Whether something at or below `path` was cut out.
    pub fn is_damaged(&self, path: &[Step]) -> bool {
        self.damaged
            .range(path.to_vec()..)
            .next()
            .is_some_and(|found| found.starts_with(path))
    }

    /// Reads the value at `path`. `fillers` stand in for required keys that are missing, so that
    /// the rest can be checked; the keys count as damaged.
    pub fn read<T>(
        &mut self,
        path: &Path,
        schema: &Schema,
        fillers: &[(&str, Value)],
        read: impl Fn(&Tree) -> Result<T, ReadError>,
    ) -> Option<T> {
        loop {
            match read(self.tree.at(path)?) {
                Ok(value) => return Some(value),
                Err(error) => self
                    .mend(path, &error, Shape::new(schema), fillers)
                    .then_some(())?,
            }
        }
    }

    /// Reports one error and mends the tree; `false` when there is nothing left to read.
    fn mend(
        &mut self,
        root: &Path,
        error: &ReadError,
        shape: Shape<'_>,
        fillers: &[(&str, Value)],
    ) -> bool {
        let inner = error.path();
        let full: Path = root.iter().chain(&inner).cloned().collect();
        match &error.kind {
            ReadErrorKind::UnknownKey { expected } => {
                let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
                self.unknown_key(&full, &expected);
                true
            }
            ReadErrorKind::MissingKey(key) => self.missing_key(root, &inner, key, shape, fillers),
            ReadErrorKind::UnknownName { expected } => self.unknown_name(&full, expected),
            ReadErrorKind::Expected(expected) => {
                let key = inner.iter().rev().find_map(|step| match step {
                    Step::Key(key) => Some(key),
                    Step::Index(_) => None,
                });
                let about = shape_at(shape, &inner).and_then(Shape::about);
                let help = key.zip(about).map(|(key, about)| help_text(key, &about));
                let message = format!(
                    "{}: found {}, expected {}",
                    self.subject(&full),
                    self.found(&full),
                    plain_words(expected)
                );
                self.wrong_value(&full, &inner, "wrong-type", message, help)
            }
            // An outside kind reads with words of its own; after a value was cut out, they only
            // complain about the gap.
            ReadErrorKind::Other(_) if inner.is_empty() && self.is_damaged(root) => false,
            ReadErrorKind::Other(words) => {
                let message = format!("{}: {words}", self.subject(&full));
                self.wrong_value(&full, &inner, "wrong-value", message, None)
            }
        }
    }

    /// Reports a key that is none; renames it if it is a misspelt one, else cuts it out.
    pub fn unknown_key(&mut self, full: &Path, expected: &[&str]) {
        let Some((Step::Key(key), parent)) = full.split_last() else {
            return;
        };
        let absent = |name: &&&str| {
            self.tree
                .at(parent)
                .is_some_and(|table| table.get(name).is_none())
        };
        let open: Vec<&str> = expected.iter().filter(absent).copied().collect();
        let span = self.tree.key_span_at(full);
        let message = format!("unknown key \"{key}\" in {}", self.subject(parent));
        let near = suggest::nearest(key, open.iter().copied());
        let near = near.or_else(|| suggest::nearest(key, expected.iter().copied()));
        let help = match near {
            Some(name) => format!("did you mean \"{name}\"?"),
            None if expected.is_empty() => "it has no keys".to_owned(),
            None => format!("keys: {}", suggest::list(expected)),
        };
        self.report(Diagnostic::new("unknown-key", span, message).help(help));
        match suggest::meant(key, open) {
            Some(name) => {
                let entries = self.tree.at_mut(parent).and_then(Tree::entries_mut);
                let entry = entries.and_then(|list| list.iter_mut().find(|e| e.key == *key));
                if let Some(entry) = entry {
                    name.clone_into(&mut entry.key);
                }
            }
            None => self.tree.cut(full),
        }
    }

    fn missing_key(
        &mut self,
        root: &Path,
        inner: &Path,
        key: &str,
        shape: Shape<'_>,
        fillers: &[(&str, Value)],
    ) -> bool {
        let table: Path = root.iter().chain(inner).cloned().collect();
        let here = shape_at(shape, inner);
        let mut required = here.map(Shape::required).unwrap_or_default();
        if !required.contains(&key) {
            required.push(key);
        }
        let span = self.tree.span_at(&table);
        let subject = self.subject(&table);
        let missing: Vec<String> = required
            .into_iter()
            .filter(|name| {
                self.tree
                    .at(&table)
                    .is_some_and(|tree| tree.get(name).is_none())
            })
            .map(str::to_owned)
            .collect();
        for name in &missing {
            let place: Path = table.iter().cloned().chain([Step::from(name)]).collect();
            if !self.damaged.insert(place) {
                continue; // Cut out a moment ago, with a message.
            }
            let message = format!("missing key \"{name}\" in {subject}");
            let about = here
                .and_then(|shape| shape.key(name))
                .and_then(Shape::about);
            let help = about.map(|about| help_text(name, &about));
            self.report(Diagnostic::new("missing-key", span.clone(), message).maybe_help(help));
        }
        if !inner.is_empty() {
            self.tree.cut(&table);
            self.damaged.insert(table);
            return true;
        }
        self.fill(&table, &missing, fillers, &span)
    }

    /// Puts stand-ins for missing keys into a table; `false` when one has none.
    fn fill(
        &mut self,
        table: &Path,
        missing: &[String],
        fillers: &[(&str, Value)],
        span: &Span,
    ) -> bool {
        let Some(entries) = self.tree.at_mut(table).and_then(Tree::entries_mut) else {
            return false;
        };
        for name in missing {
            let Some((_, value)) = fillers.iter().find(|(key, _)| key == name) else {
                return false;
            };
            entries.push(Entry {
                key: name.clone(),
                key_span: span.clone(),
                tree: Tree::new(value.clone(), span.clone()),
            });
        }
        !missing.is_empty()
    }

    fn unknown_name(&mut self, full: &Path, expected: &'static [&'static str]) -> bool {
        let span = self.tree.span_at(full);
        let subject = self.subject(full);
        let Some(found) = self.tree.at(full).and_then(Tree::as_str) else {
            return false;
        };
        let message = format!(
            "{subject}: found {found:?}, expected {}",
            alternatives(expected)
        );
        let near = suggest::nearest(found, expected.iter().copied());
        let meant = suggest::meant(found, expected.iter().copied());
        let help = near.map(|name| format!("did you mean \"{name}\"?"));
        self.report(Diagnostic::new("unknown-name", span, message).maybe_help(help));
        if let (Some(name), Some(tree)) = (meant, self.tree.at_mut(full)) {
            tree.value = Value::String(name.to_owned());
        } else {
            self.tree.cut(full);
            self.damaged.insert(full.clone());
        }
        true
    }

    fn wrong_value(
        &mut self,
        full: &Path,
        inner: &Path,
        code: &'static str,
        message: String,
        help: Option<String>,
    ) -> bool {
        let span = self.tree.span_at(full);
        self.report(Diagnostic::new(code, span, message).maybe_help(help));
        self.damaged.insert(full.clone());
        if inner.is_empty() {
            return false;
        }
        self.tree.cut(full);
        true
    }

    fn found(&self, full: &Path) -> String {
        self.tree
            .at(full)
            .map_or_else(|| "nothing".to_owned(), Tree::found)
    }

    /// What stands at a path, in words: `node "encoder"`, `"hidden" of node "encoder"`.
    pub fn subject(&self, full: &[Step]) -> String {
        let named = |what: &str, name: &str| format!("{what} \"{name}\"");
        let (whole, rest) = match full {
            [] => return "the recipe".to_owned(),
            [Step::Key(section), Step::Key(name), rest @ ..] => {
                let what = match section.as_str() {
                    "data" => "data set",
                    "nodes" => "node",
                    "objectives" => "objective",
                    "arms" if name == "default" => return "\"default\" of [arms]".to_owned(),
                    "arms" => "arm",
                    "oracle" => return format!("\"{name}\" of [oracle]"),
                    "task" => return format!("\"{}\" of the task", Dotted(&full[1..])),
                    _ => return format!("\"{}\"", Dotted(full)),
                };
                (named(what, name), rest)
            }
            [Step::Key(section), Step::Index(index), rest @ ..] if section == "stages" => {
                let name = self
                    .tree
                    .at(&place!["stages", *index, "name"])
                    .and_then(Tree::as_str);
                let whole = match name.filter(|name| !name.is_empty()) {
                    Some(name) => named("stage", name),
                    None => format!("stage {}", index + 1),
                };
                (whole, rest)
            }
            [Step::Key(section)] if section == "task" => return "the task".to_owned(),
            _ => return format!("\"{}\"", Dotted(full)),
        };
        if matches!(rest, [] | [Step::Index(_)]) {
            whole
        } else {
            format!("\"{}\" of {whole}", Dotted(rest))
        }
    }
}

/// What a key is for.
fn help_text(key: &str, about: &str) -> String {
    format!("{key}: {}", about.trim_end_matches('.').replace('`', "\""))
}

/// The part of a schema that describes the value at a path.
fn shape_at<'a>(shape: Shape<'a>, inner: &[Step]) -> Option<Shape<'a>> {
    inner.iter().try_fold(shape, |shape, step| match step {
        Step::Key(key) => shape.key(key),
        Step::Index(_) => shape.item(),
    })
}

/// Serde's words for what it expected, in the user's.
fn plain_words(expected: &str) -> &str {
    match expected {
        "f64" | "f32" => "a number",
        "u64" | "u32" | "u16" | "u8" | "usize" => "a whole number, 0 or more",
        "i64" | "i32" | "isize" => "a whole number",
        "a boolean" => "true or false",
        "path string" => "a path, in quotes",
        "a sequence" => "a list",
        "an array of length 2" | "a tuple of size 2" => "a list of two",
        "variant identifier" => "a name",
        "a map" => "a table",
        other if other.starts_with("struct ") || other.contains("tagged enum") => "a table",
        other => other,
    }
}

fn alternatives(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
