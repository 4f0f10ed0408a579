//! The way in: a recipe as text, checked into a plan.

use crate::check::{self, Meaning};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span};
use crate::overrides::Override;
use crate::read::Reader;
use crate::sections::{self, Arm};
use crate::suggest;
use crate::syntax;
use crate::tree::{self, Tree};
use conjoin_graph::NodeExtension;
use conjoin_tasks::TaskConfig;
use conjoin_train::Plan;
use std::sync::Arc;
use toml_edit::DocumentMut;

/// A recipe with its overrides applied, not checked yet.
#[derive(Debug, Clone)]
pub struct Recipe {
    sources: Arc<[Source]>,
    tree: Tree,
    resolved: String,
    /// Its weights are there already.
    trained: bool,
}

/// A recipe without mistakes, and the plan of one of its arms.
#[derive(Debug)]
pub struct Checked {
    pub plan: Plan,
    pub task: TaskConfig,
    /// The arm that `plan` is of; `None` where the recipe has no `[arms]`.
    pub arm: Option<String>,
    /// All arms with their stages, the default one first.
    pub arms: Vec<(String, Arm)>,
    /// What is probably not meant but works.
    pub warnings: Diagnostics,
    /// The text with the overrides applied, as a run stores it.
    pub resolved: String,
    meaning: Meaning,
}

/// Checks a recipe. `file` is its name in messages, `overrides` are the texts behind `--set`,
/// `extensions` the node kinds of outside crates, `arm` the one that the plan is made of (by default
/// the recipe's own default).
///
/// # Errors
/// Every mistake, in the order of the text.
pub fn check(
    text: &str,
    file: &str,
    overrides: &[String],
    extensions: &[NodeExtension],
    arm: Option<&str>,
) -> Result<Checked, Diagnostics> {
    Recipe::parse(text, file, overrides)?.check(extensions, arm)
}

/// As [`check()`], for the recipe of a run whose weights are to be used and not trained: overrides may wire it
/// otherwise, so that a stage no longer depends on what it trained, or that data comes where `[oracle]` names the
/// truth.
///
/// # Errors
/// As [`check()`], but for what only matters where stages are run.
pub fn check_trained(
    text: &str,
    file: &str,
    overrides: &[String],
    extensions: &[NodeExtension],
    arm: Option<&str>,
) -> Result<Checked, Diagnostics> {
    let recipe = Recipe::parse(text, file, overrides)?;
    Recipe {
        trained: true,
        ..recipe
    }
    .check(extensions, arm)
}

impl Recipe {
    /// Parses the text and applies the overrides.
    ///
    /// # Errors
    /// Every mistake of syntax, and overrides of what is not there.
    pub fn parse(text: &str, file: &str, overrides: &[String]) -> Result<Self, Diagnostics> {
        let own = Source {
            name: file.to_owned(),
            text: text.to_owned(),
        };
        let sets = overrides.iter().map(|text| Source {
            name: format!("--set {text}"),
            text: text.clone(),
        });
        let sources: Arc<[Source]> = std::iter::once(own).chain(sets).collect();
        let mut found = Vec::new();
        let mut tree = syntax::parse(text, &mut found);
        let fine = found.is_empty();
        let parsed: Vec<Override> = overrides
            .iter()
            .enumerate()
            .filter_map(|(index, text)| Override::parse(text, index + 1, &mut found))
            .collect();
        if fine {
            found.extend(
                parsed
                    .iter()
                    .filter_map(|one| one.apply(&mut tree).err().map(|error| *error)),
            );
        }
        if !found.is_empty() {
            return Err(Diagnostics::new(sources, found));
        }
        match edited(text, &parsed) {
            Ok(resolved) => Ok(Self {
                sources,
                tree,
                resolved,
                trained: false,
            }),
            Err(message) => {
                let found = Diagnostic::new("syntax", Span::new(0, 0..0), message);
                Err(Diagnostics::new(sources, vec![found]))
            }
        }
    }

    /// The text with the overrides applied; comments stay.
    pub fn resolved(&self) -> &str {
        &self.resolved
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Checks everything; see [`check`].
    ///
    /// # Errors
    /// Every mistake, in the order of the text.
    pub fn check(
        self,
        extensions: &[NodeExtension],
        arm: Option<&str>,
    ) -> Result<Checked, Diagnostics> {
        let mut reader = Reader::new(self.tree, Vec::new());
        let parts = sections::read(&mut reader, extensions);
        let meaning = check::check(parts, &mut reader, self.trained);
        let arms = meaning.arms();
        let name = arm.or(meaning.default_arm()).map(str::to_owned);
        let chosen = name
            .as_ref()
            .and_then(|name| arms.iter().find(|(known, _)| known == name));
        if let (Some(name), None) = (arm, chosen) {
            reader.report(unknown_arm(name, &arms, &reader.tree));
        }
        if let Some((name, arm)) = chosen {
            epochs_of_the_arm(name, arm, &mut reader);
        }
        let found = Diagnostics::new(self.sources, reader.found);
        if found.has_errors() {
            return Err(found);
        }
        let Some(task) = meaning.task().cloned() else {
            return Err(found);
        };
        Ok(Checked {
            plan: meaning.plan(chosen.map(|(_, arm)| arm)),
            task,
            arm: name,
            arms,
            warnings: found,
            resolved: self.resolved,
            meaning,
        })
    }
}

impl Checked {
    /// The plan of another arm.
    pub fn plan_of(&self, arm: &str) -> Option<Plan> {
        let (_, arm) = self.arms.iter().find(|(name, _)| name == arm)?;
        Some(self.meaning.plan(Some(arm)))
    }
}

/// An arm asked for from outside the text.
fn unknown_arm(name: &str, arms: &[(String, Arm)], tree: &Tree) -> Diagnostic {
    let span: Span = tree.span_at(&tree::place!["arms"]);
    let message = format!("there is no arm \"{name}\"");
    let help = suggest::help(name, "arms", arms.iter().map(|(name, _)| name));
    Diagnostic::new("unknown-name", span, message).help(help)
}

/// Warns where an override sets the length of a stage that the arm has a length of its own for.
fn epochs_of_the_arm(name: &str, arm: &Arm, reader: &mut Reader) {
    let stages = reader.tree.get("stages").map_or(&[][..], Tree::items);
    let named = |tree: &Tree| tree.get("name").and_then(Tree::as_str).map(str::to_owned);
    let stages: Vec<Option<String>> = stages.iter().map(named).collect();
    for (index, stage) in stages.into_iter().enumerate() {
        let Some(stage) = stage.filter(|stage| arm.epochs.contains_key(stage)) else {
            continue;
        };
        for key in ["epochs", "steps"] {
            let place = tree::place!["stages", index, key];
            let Some(set) = reader.tree.at(&place).filter(|tree| tree.span.source > 0) else {
                continue;
            };
            let span = set.span.clone();
            let own = reader
                .tree
                .span_at(&tree::place!["arms", name, "epochs", &stage]);
            // Who sets the arm's length too knows of it.
            if own.source > 0 {
                continue;
            }
            let message = format!(
                "has no effect: arm \"{name}\" runs stage \"{stage}\" for {} epochs",
                arm.epochs[&stage]
            );
            let help = format!("set arms.{name}.epochs.{stage} instead");
            let report = Diagnostic::new("no-effect", span, message).help(help);
            reader.report(report.also(own, "this length wins").warning());
        }
    }
}

/// Applies overrides to the text itself.
fn edited(text: &str, overrides: &[Override]) -> Result<String, String> {
    if overrides.is_empty() {
        return Ok(text.to_owned());
    }
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    for one in overrides {
        one.edit(&mut document);
    }
    Ok(document.to_string())
}
