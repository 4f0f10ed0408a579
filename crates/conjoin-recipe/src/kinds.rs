//! The closed sets of kinds, seen alike: what parsing, suggestions and `list` need of each.

use crate::deserialize::ReadError;
use crate::schema::Shape;
use crate::tree::Tree;
use conjoin_data::{SourceConfig, TransformConfig};
use conjoin_graph::{BuiltinNode, NodeExtension, NodeKind};
use conjoin_tasks::TaskConfig;
use conjoin_train::{LossConfig, OptimiserConfig};
use schemars::Schema;

type Lookup<'a, T> = Box<dyn Fn(&str) -> Option<T> + 'a>;
type Reader<'a, T> = Box<dyn Fn(&str, &Tree) -> Option<Result<T, ReadError>> + 'a>;

/// The values that `kind` may have in one place of a recipe.
pub(crate) struct KindSet<'a, T> {
    /// What the kinds are kinds of: `node`, `loss`.
    pub what: &'static str,
    pub kinds: Vec<&'static str>,
    about: Lookup<'a, &'static str>,
    schema: Lookup<'a, Schema>,
    read: Reader<'a, T>,
}

impl<T> KindSet<'_, T> {
    /// One sentence about a kind.
    pub fn about(&self, kind: &str) -> Option<&'static str> {
        (self.about)(kind)
    }

    /// The options of a kind.
    pub fn schema(&self, kind: &str) -> Option<Schema> {
        (self.schema)(kind)
    }

    /// Reads the options of a kind (without the key `kind`); `None` for an unknown kind.
    pub fn read(&self, kind: &str, options: &Tree) -> Option<Result<T, ReadError>> {
        (self.read)(kind, options)
    }
}

macro_rules! kind_sets {
    ($($name:ident: $config:ident = $what:literal;)+) => { $(
        pub(crate) fn $name() -> KindSet<'static, $config> {
            KindSet {
                what: $what,
                kinds: $config::KINDS.to_vec(),
                about: Box::new($config::about),
                schema: Box::new($config::schema),
                read: Box::new(|kind, options| $config::read(kind, options)),
            }
        }
    )+ };
}

kind_sets! {
    sources: SourceConfig = "data source";
    transforms: TransformConfig = "transform";
    losses: LossConfig = "loss";
    optimisers: OptimiserConfig = "optimiser";
    tasks: TaskConfig = "task";
}

/// Built-in nodes and those that outside crates brought along.
pub(crate) fn nodes(extensions: &[NodeExtension]) -> KindSet<'_, NodeKind> {
    let find = |kind: &str| extensions.iter().find(|extension| extension.kind == kind);
    let outside = extensions.iter().map(|extension| extension.kind);
    KindSet {
        what: "node",
        kinds: BuiltinNode::KINDS.iter().copied().chain(outside).collect(),
        about: Box::new(move |kind| {
            BuiltinNode::about(kind).or_else(|| find(kind).map(|extension| extension.about))
        }),
        schema: Box::new(move |kind| {
            BuiltinNode::schema(kind).or_else(|| find(kind).map(NodeExtension::schema))
        }),
        read: Box::new(move |kind, options| {
            if let Some(read) = BuiltinNode::read(kind, options) {
                return Some(read.map(NodeKind::Builtin));
            }
            let extension = find(kind)?;
            let read = extension.read(options.to_json());
            Some(read.map_err(|error| blame(extension, options, &error.to_string())))
        }),
    }
}

/// What an outside node says about its options, at the option that it is about: without that one it
/// says something else.
fn blame(extension: &NodeExtension, options: &Tree, message: &str) -> ReadError {
    let schema = extension.schema();
    let keys = Shape::new(&schema).keys().map(str::to_owned).collect();
    let blamed = options.entries().iter().find(|entry| {
        let mut without = options.clone();
        without.remove(&entry.key);
        let again = extension.read(without.to_json());
        again.map_or_else(|error| error.to_string() != message, |_| true)
    });
    ReadError::from_text(message, keys, blamed.map(|entry| entry.key.as_str()))
}
