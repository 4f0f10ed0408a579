//! Reads tables that choose among kinds.

use crate::deserialize::ReadError;
use crate::diagnostic::Diagnostic;
use crate::kinds::KindSet;
use crate::read::Reader;
use crate::suggest;
use crate::tree::{Entry, Path, Value};

impl Reader {
    /// Reads the table at `path` by its key `kind`; a bare string is a kind without options.
    /// Returns the kind too, because the options of a known kind may be beyond repair.
    pub fn read_kind<T>(
        &mut self,
        path: &Path,
        set: &KindSet<'_, T>,
    ) -> (Option<String>, Option<T>) {
        self.expand_bare_kind(path);
        let Some(tree) = self.tree.at(path) else {
            return (None, None);
        };
        if !matches!(tree.value, Value::Table(_)) {
            let message = format!(
                "{}: found {}, expected a kind, or a table with \"kind\" and options",
                self.subject(path),
                tree.found()
            );
            let span = tree.span.clone();
            self.report(Diagnostic::new("wrong-type", span, message));
            return (None, None);
        }
        let Some(kind) = self.kind_of(path, set) else {
            return (None, None);
        };
        let Some(schema) = set.schema(&kind) else {
            return (None, None);
        };
        let value = self.read(path, &schema, &[], |tree| {
            let mut options = tree.clone();
            options.remove("kind");
            set.read(&kind, &options)
                .unwrap_or_else(|| Err(ReadError::at_root("this kind cannot be read")))
        });
        (Some(kind), value)
    }

    /// `loss = "mse"` means `loss = { kind = "mse" }`.
    fn expand_bare_kind(&mut self, path: &Path) {
        let Some(tree) = self.tree.at_mut(path) else {
            return;
        };
        if matches!(tree.value, Value::String(_)) {
            let kind = Entry {
                key: "kind".to_owned(),
                key_span: tree.span.clone(),
                tree: tree.clone(),
            };
            tree.value = Value::Table(vec![kind]);
        }
    }

    /// The value of `kind`, mended where it is misspelt.
    fn kind_of<T>(&mut self, path: &Path, set: &KindSet<'_, T>) -> Option<String> {
        let tree = self.tree.at(path)?;
        let subject = self.subject(path);
        let Some(found) = tree.get("kind") else {
            let near = tree
                .entries()
                .iter()
                .find(|e| suggest::nearest(&e.key, ["kind"]).is_some());
            let (span, message) = match near {
                Some(entry) => (
                    entry.key_span.clone(),
                    format!(
                        "unknown key \"{}\" in {subject}, where \"kind\" is missing",
                        entry.key
                    ),
                ),
                None => (
                    self.tree.span_at(path),
                    format!("missing key \"kind\" in {subject}"),
                ),
            };
            let help = format!("kinds of {}: {}", set.what, suggest::list(&set.kinds));
            self.report(Diagnostic::new("missing-key", span, message).help(help));
            return None;
        };
        let Some(kind) = found.as_str() else {
            let message = format!(
                "\"kind\" of {subject}: found {}, expected a string",
                found.found()
            );
            let help = format!("kinds of {}: {}", set.what, suggest::list(&set.kinds));
            let span = found.span.clone();
            self.report(Diagnostic::new("wrong-type", span, message).help(help));
            return None;
        };
        if set.kinds.contains(&kind) {
            return Some(kind.to_owned());
        }
        let message = format!("unknown kind of {} \"{kind}\"", set.what);
        let help = suggest::help(kind, &format!("kinds of {}", set.what), &set.kinds);
        let meant = suggest::meant(kind, set.kinds.iter().copied());
        let span = found.span.clone();
        self.report(Diagnostic::new("unknown-kind", span, message).help(help));
        if let (Some(meant), Some(value)) = (
            meant,
            self.tree.at_mut(path).and_then(|tree| tree.get_mut("kind")),
        ) {
            value.value = Value::String(meant.to_owned());
        }
        meant.map(str::to_owned)
    }
}
