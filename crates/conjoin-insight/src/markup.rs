//! HTML and SVG as a tree of elements.
//!
//! Text and attribute values are escaped when the tree is written, so a hostile name cannot become
//! markup. The output is well-formed XML and valid HTML5 at once.

use std::fmt::{Display, Write};

/// Elements that HTML closes by themselves; all others are written with an end tag.
const VOID: [&str; 4] = ["meta", "img", "br", "col"];

/// Elements that consist of attributes alone in SVG.
const EMPTY_IN_SVG: [&str; 5] = ["rect", "line", "path", "circle", "use"];

/// One element with its attributes and children.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    tag: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Child>,
}

#[derive(Debug, Clone, PartialEq)]
enum Child {
    Element(Element),
    Text(String),
    /// Not escaped: style sheets of our own, known when this crate is compiled.
    Constant(&'static str),
}

/// An element without attributes and children.
pub fn el(tag: &'static str) -> Element {
    Element {
        tag,
        attributes: Vec::new(),
        children: Vec::new(),
    }
}

impl Element {
    /// Sets an attribute. A later one of the same name replaces the earlier one.
    pub fn set(mut self, name: &'static str, value: impl Display) -> Self {
        let value = value.to_string();
        match self.attributes.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((name, value)),
        }
        self
    }

    /// Appends text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.children.push(Child::Text(text.into()));
        self
    }

    /// Appends a style sheet that is part of this crate.
    pub(crate) fn constant(mut self, text: &'static str) -> Self {
        self.children.push(Child::Constant(text));
        self
    }

    /// Appends a child.
    pub fn with(mut self, child: Self) -> Self {
        self.children.push(Child::Element(child));
        self
    }

    /// Appends children.
    pub fn all(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children
            .extend(children.into_iter().map(Child::Element));
        self
    }

    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The element as text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(self.tag);
        for (name, value) in &self.attributes {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            escape(value, out);
            out.push('"');
        }
        if VOID.contains(&self.tag) || (self.is_empty() && EMPTY_IN_SVG.contains(&self.tag)) {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for child in &self.children {
            match child {
                Child::Element(element) => element.write(out),
                Child::Text(text) => escape(text, out),
                Child::Constant(text) => out.push_str(text),
            }
        }
        out.push_str("</");
        out.push_str(self.tag);
        out.push('>');
    }
}

/// Writes text so that it means itself in element content and in quoted attributes. Characters
/// that XML cannot hold become U+FFFD.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

/// A coordinate with at most one decimal, which is finer than any screen at 1:1.
pub(crate) fn px(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // `-0` would be written with its sign.
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

/// Appends `L` or `M` commands to a path.
pub(crate) fn path_point(path: &mut String, command: char, x: f64, y: f64) {
    // Writing to a string cannot fail.
    let _ = write!(path, "{command}{} {}", px(x), px(y));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let html = el("p")
            .set("title", "\" onmouseover=\"alert(1)")
            .text("</p><script>alert('&')</script>\u{0}")
            .render();
        assert_eq!(
            html,
            "<p title=\"&quot; onmouseover=&quot;alert(1)\">&lt;/p&gt;&lt;script&gt;\
             alert(&#39;&amp;&#39;)&lt;/script&gt;\u{fffd}</p>"
        );
    }

    #[test]
    fn empty_elements_are_closed_as_html_wants() {
        assert_eq!(el("br").render(), "<br/>");
        assert_eq!(el("div").render(), "<div></div>");
        assert_eq!(el("rect").set("x", px(-0.04)).render(), "<rect x=\"0\"/>");
    }

    #[test]
    fn a_later_attribute_wins() {
        assert_eq!(
            el("p").set("id", 1).set("id", 2).render(),
            "<p id=\"2\"></p>"
        );
    }
}
