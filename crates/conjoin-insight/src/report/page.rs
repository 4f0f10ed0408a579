//! The page around the sections, and the pieces that sections are made of.

use crate::markup::{Element, el};
use crate::theme;

const STYLE: &str = include_str!("style.css");

/// Nothing may be loaded from anywhere; styles and pictures are inside the file.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// A part of the report with its heading.
pub(crate) struct Section {
    id: &'static str,
    title: &'static str,
    body: Vec<Element>,
}

impl Section {
    pub(crate) fn new(id: &'static str, title: &'static str) -> Self {
        Self {
            id,
            title,
            body: Vec::new(),
        }
    }

    /// A sentence that says how to read what follows.
    pub(crate) fn lead(self, text: impl Into<String>) -> Self {
        self.with(el("p").set("class", "lead").text(text))
    }

    pub(crate) fn with(mut self, element: Element) -> Self {
        self.body.push(element);
        self
    }

    pub(crate) fn all(mut self, elements: impl IntoIterator<Item = Element>) -> Self {
        self.body.extend(elements);
        self
    }
}

/// The whole file.
pub(crate) fn page(title: &str, header: Element, sections: Vec<Section>) -> String {
    let head = el("head")
        .with(el("meta").set("charset", "utf-8"))
        .with(
            el("meta")
                .set("http-equiv", "Content-Security-Policy")
                .set("content", POLICY),
        )
        .with(
            el("meta")
                .set("name", "viewport")
                .set("content", "width=device-width, initial-scale=1"),
        )
        .with(
            el("meta")
                .set("name", "color-scheme")
                .set("content", "light dark"),
        )
        .with(el("title").text(format!("{title} · conjoin report")))
        .with(el("style").constant(theme::STYLE).constant(STYLE));
    let links = sections.iter().map(|section| {
        el("a")
            .set("href", format!("#{}", section.id))
            .text(section.title)
    });
    let mut main = el("main").with(header);
    if sections.len() > 2 {
        main = main.with(el("nav").set("aria-label", "Sections").all(links));
    }
    let main = main.all(sections.into_iter().map(|section| {
        el("section")
            .set("id", section.id)
            .with(el("h2").text(section.title))
            .all(section.body)
    }));
    let html = el("html")
        .set("lang", "en")
        .with(head)
        .with(el("body").with(main));
    format!("<!DOCTYPE html>\n{}\n", html.render())
}

/// A table. The first column holds text, the others numbers unless `text_columns` says otherwise.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<Element>>,
    text_columns: Vec<usize>,
}

impl Table {
    pub(crate) fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self {
            head: head.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
            text_columns: vec![0],
        }
    }

    /// Columns that are aligned at the left, besides the first.
    pub(crate) fn text_columns(mut self, columns: &[usize]) -> Self {
        self.text_columns.extend(columns);
        self
    }

    pub(crate) fn row(&mut self, cells: Vec<Element>) {
        self.rows.push(cells);
    }

    pub(crate) fn build(self) -> Element {
        let class = |column: usize| {
            if self.text_columns.contains(&column) {
                "t"
            } else {
                "n"
            }
        };
        let head = self.head.iter().enumerate().map(|(column, title)| {
            el("th")
                .set("scope", "col")
                .set("class", class(column))
                .text(title.as_str())
        });
        let head = el("thead").with(el("tr").all(head));
        let rows = self.rows.into_iter().map(|cells| {
            el("tr").all(
                cells
                    .into_iter()
                    .enumerate()
                    .map(|(column, cell)| el("td").set("class", class(column)).with(cell)),
            )
        });
        let body = el("tbody").all(rows);
        scroll(el("table").with(head).with(body))
    }
}

/// Text in a cell.
pub(crate) fn plain(text: impl Into<String>) -> Element {
    el("span").text(text)
}

/// The value that stands out in a column.
pub(crate) fn strong(text: impl Into<String>) -> Element {
    el("strong").text(text)
}

/// Less important text.
pub(crate) fn muted(text: impl Into<String>) -> Element {
    el("span").set("class", "muted").text(text)
}

/// Names of modules, ports and files.
pub(crate) fn code(text: impl Into<String>) -> Element {
    el("code").text(text)
}

/// A mark that is read by its word, and only supported by its colour.
pub(crate) fn badge(text: impl Into<String>, good: bool) -> Element {
    el("span")
        .set("class", if good { "badge good" } else { "badge bad" })
        .text(text)
}

/// A share as a small bar with its text.
pub(crate) fn meter(share: f64, text: impl Into<String>) -> Element {
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let fill = el("i")
        .set("style", format!("width:{:.1}%", share * 100.0))
        .text("");
    el("span")
        .set("class", "meter")
        .with(el("b").with(fill))
        .with(plain(text))
}

/// A picture with its title above it.
pub(crate) fn figure(title: impl Into<String>, picture: Element) -> Element {
    el("figure")
        .with(el("figcaption").text(title))
        .with(scroll(picture))
}

/// Wide content scrolls by itself, and the page does not.
pub(crate) fn scroll(content: Element) -> Element {
    el("div").set("class", "scroll").with(content)
}

/// Figures side by side where there is room.
pub(crate) fn grid(figures: impl IntoIterator<Item = Element>) -> Element {
    el("div").set("class", "grid").all(figures)
}

pub(crate) fn code_block(text: &str) -> Element {
    el("pre").with(el("code").text(text))
}

/// Content that opens on demand.
pub(crate) fn folded(title: impl Into<String>, content: Element) -> Element {
    el("details").with(el("summary").text(title)).with(content)
}
