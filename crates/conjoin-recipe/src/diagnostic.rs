//! What is wrong with a recipe and where: one [`Diagnostic`] a mistake, all of them in one
//! [`Diagnostics`], as plain lines, as JSON, or drawn with the lines at fault.

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource};
use serde::Serialize;
use std::fmt;
use std::io::IsTerminal;
use std::ops::Range;
use std::sync::Arc;

/// A piece of text that the user wrote: the recipe, or one `--set`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// How messages call it: the path of the file, or `--set KEY=VALUE`.
    pub name: String,
    pub text: String,
}

/// Bytes of one of the sources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Position among the sources; the recipe itself is the first.
    pub source: usize,
    pub start: usize,
    pub end: usize,
}

impl Span {
    pub(crate) fn new(source: usize, range: Range<usize>) -> Self {
        Self {
            source,
            start: range.start,
            end: range.end,
        }
    }
}

/// Whether a run can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    /// Probably not what was meant, but it works.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// A stable name of the sort of mistake, such as `unknown-key`.
    pub code: &'static str,
    /// What was found and what was expected.
    pub message: String,
    /// What to do about it: the nearest valid name, or what there is to choose from.
    pub help: Option<String>,
    pub span: Span,
    /// Another place that belongs to the story, with a word about it.
    pub also: Option<(Span, String)>,
}

impl Diagnostic {
    pub(crate) fn new(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            help: None,
            span,
            also: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    pub(crate) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.also = Some((span, label.into()));
        self
    }

    pub(crate) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

/// All mistakes of a recipe, in the order of the text.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    sources: Arc<[Source]>,
    list: Vec<Diagnostic>,
}

/// One mistake as `--json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The recipe's file name, or the `--set` at fault.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub severity: Severity,
    pub code: &'static str,
    pub message: String,
    pub help: Option<String>,
}

impl Diagnostics {
    /// Sorts by place and drops repetitions.
    pub(crate) fn new(sources: Arc<[Source]>, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by(|a, b| (&a.span, a.severity).cmp(&(&b.span, b.severity)));
        let mut seen = std::collections::BTreeSet::new();
        list.retain(|d| seen.insert((d.span.clone(), d.code, d.message.clone())));
        Self { sources, list }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Whether anything keeps the recipe from running.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// The mistakes with file, line and column.
    pub fn reports(&self) -> Vec<Report> {
        self.list
            .iter()
            .map(|diagnostic| {
                let (file, line, column) = self.place(&diagnostic.span);
                Report {
                    file: file.to_owned(),
                    line,
                    column,
                    severity: diagnostic.severity,
                    code: diagnostic.code,
                    message: diagnostic.message.clone(),
                    help: diagnostic.help.clone(),
                }
            })
            .collect()
    }

    /// Every mistake drawn for standard error: in colour where that is a terminal and `NO_COLOR` is
    /// not set.
    pub fn render(&self) -> String {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        self.draw(colour, 100)
    }

    /// Every mistake with its lines of text; `colour` for terminals, `width` in columns.
    pub fn draw(&self, colour: bool, width: usize) -> String {
        let theme = if colour {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .with_links(false)
            .with_context_lines(1);
        let mut text = String::new();
        for diagnostic in &self.list {
            let drawn = self.drawn(diagnostic);
            if handler.render_report(&mut text, &drawn).is_err() {
                text.push_str(&diagnostic.message);
            }
            text.push('\n');
        }
        text
    }

    fn drawn(&self, diagnostic: &Diagnostic) -> Drawn {
        let mut labels = Vec::new();
        let mut label = |span: &Span, text: Option<String>, primary: bool| {
            if span.source == diagnostic.span.source {
                let length = span.end.saturating_sub(span.start);
                let range = (span.start, length);
                labels.push(if primary {
                    LabeledSpan::new_primary_with_span(text, range)
                } else {
                    LabeledSpan::new_with_span(text, range)
                });
            }
        };
        label(&diagnostic.span, None, true);
        if let Some((span, text)) = &diagnostic.also {
            label(span, Some(text.clone()), false);
        }
        let source = self.sources.get(diagnostic.span.source);
        Drawn {
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
            code: diagnostic.code,
            severity: diagnostic.severity,
            labels,
            source: source.map(|s| NamedSource::new(&s.name, s.text.clone())),
        }
    }

    /// File, line and column (both from 1) of the first byte of a span.
    fn place(&self, span: &Span) -> (&str, usize, usize) {
        let Some(source) = self.sources.get(span.source) else {
            return ("", 1, 1);
        };
        let before = source.text.get(..span.start).unwrap_or(&source.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (&source.name, line, column)
    }
}

/// One line a mistake: `file:line:column: message (help)`.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for report in self.reports() {
            let Report {
                file,
                line,
                column,
                message,
                ..
            } = &report;
            let warning = if report.severity == Severity::Warning {
                "warning: "
            } else {
                ""
            };
            write!(f, "{file}:{line}:{column}: {warning}{message}")?;
            if let Some(help) = &report.help {
                write!(f, " ({help})")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A diagnostic with its text, as miette draws it.
#[derive(Debug)]
struct Drawn {
    message: String,
    help: Option<String>,
    code: &'static str,
    severity: Severity,
    labels: Vec<LabeledSpan>,
    source: Option<NamedSource<String>>,
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Drawn {}

impl miette::Diagnostic for Drawn {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.source
            .as_ref()
            .map(|source| source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}
