//! A page of HTML as a list of blocks of text.
//!
//! Tags are read by a tokenizer after the HTML standard; of the tree only the open blocks are kept,
//! which is all that running text needs.

use crate::text::one_space;
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{StartTag, Token, Tokenizer};

/// Text that stands by itself: a paragraph, a heading, a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// The element: its tag, class and id. Translations of a page have the same ones.
    pub element: String,
    /// Whether the element has an id.
    pub named: bool,
    /// With single spaces.
    pub text: String,
}

/// Elements that end the text before them.
const BLOCKS: [&str; 33] = [
    "address",
    "article",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "main",
    "ol",
    "p",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
    "ul",
];

/// Elements whose text is none of the page's own: code, navigation, scripts.
const LEFT_OUT: [&str; 13] = [
    "aside", "button", "footer", "head", "header", "label", "nav", "noscript", "pre", "script",
    "style", "svg", "title",
];

/// Classes and ids of navigation.
const NAVIGATION: [&str; 5] = ["docnav", "toc", "banner", "navheader", "navfooter"];

/// The blocks of a page that have text, in order.
pub(super) fn blocks(page: &str) -> Vec<Block> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut reader = Reader::default();
    for token in Tokenizer::new_with_emitter(page, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => reader.start(&tag),
            Token::EndTag(tag) => reader.end(&String::from_utf8_lossy(&tag.name)),
            Token::String(text) => reader.text(&String::from_utf8_lossy(&text)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
    reader.flush();
    reader.blocks
}

#[derive(Debug, Default)]
struct Reader {
    blocks: Vec<Block>,
    /// Open blocks: tag, element, whether it has an id.
    open: Vec<(String, String, bool)>,
    text: String,
    /// An element that is left out, and how many of its tag are open within.
    left_out: Option<(String, usize)>,
}

impl Reader {
    fn start(&mut self, tag: &StartTag<()>) {
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        if let Some((outer, depth)) = &mut self.left_out {
            *depth += usize::from(*outer == name && !tag.self_closing);
            return;
        }
        let attribute = |wanted: &str| {
            let found = tag.attributes.get(wanted.as_bytes());
            found
                .map(|value| String::from_utf8_lossy(value).into_owned())
                .unwrap_or_default()
        };
        let (class, id) = (attribute("class"), attribute("id"));
        // LibreOffice's help holds a text for each system and program, all of them hidden until a
        // script shows the right one; the default one is read.
        if tag.attributes.contains_key("hidden".as_bytes()) && !id.starts_with("default") {
            self.left_out = (!tag.self_closing).then_some((name, 1));
            return;
        }
        let mut marks = class.split_whitespace().chain([id.as_str()]);
        if LEFT_OUT.contains(&name.as_str()) || marks.any(|mark| NAVIGATION.contains(&mark)) {
            self.flush();
            self.left_out = (!tag.self_closing).then_some((name, 1));
            return;
        }
        if name == "br" {
            self.text.push(' ');
        }
        if !BLOCKS.contains(&name.as_str()) {
            return;
        }
        self.flush();
        // A paragraph ends where another block begins.
        if self.open.last().is_some_and(|(last, ..)| last == "p") {
            self.open.pop();
        }
        if name != "hr" {
            let element = format!("{name}.{class}#{id}");
            self.open.push((name, element, !id.is_empty()));
        }
    }

    fn end(&mut self, name: &str) {
        if let Some((outer, depth)) = &mut self.left_out {
            *depth -= usize::from(outer == name);
            if *depth == 0 {
                self.left_out = None;
            }
            return;
        }
        if BLOCKS.contains(&name) {
            self.flush();
            if let Some(place) = self.open.iter().rposition(|(open, ..)| open == name) {
                self.open.truncate(place);
            }
        }
    }

    fn text(&mut self, text: &str) {
        if self.left_out.is_none() {
            self.text.push_str(text);
        }
    }

    /// Ends the text at hand.
    fn flush(&mut self) {
        let text = one_space(&std::mem::take(&mut self.text));
        if text.is_empty() {
            return;
        }
        let (element, named) = match self.open.last() {
            Some((_, element, named)) => (element.clone(), *named),
            None => (String::new(), false),
        };
        self.blocks.push(Block {
            element,
            named,
            text,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(page: &str) -> Vec<String> {
        let tell = |block: &Block| format!("{} {}", block.element, block.text);
        blocks(page).iter().map(tell).collect()
    }

    #[test]
    fn running_text_stays_together_and_blocks_end_it() {
        let page = "<!DOCTYPE html><html><head><title>x</title></head><body>\
            <nav><div>menu</div></nav><h1 id=\"a\">One  <em>head</em>ing</h1>\
            <p class='c d'>First<br>line &amp; <a href=x>link</a>.<p>Second\
            <ul><li>item<p>inner</p>rest</li></ul><pre>code</pre>\
            <script>if (a < b) { p(\"<p>no</p>\") }</script><table><tr><td>cell<td>next</table>";
        assert_eq!(
            told(page),
            [
                "h1.#a One heading",
                "p.c d# First line & link.",
                "p.# Second",
                "li.# item",
                "p.# inner",
                "li.# rest",
                "td.# cell",
                "td.# next",
            ]
        );
    }

    #[test]
    fn navigation_is_left_out_with_all_that_is_in_it() {
        let page = "<ul class=\"docnav top\"><li>Prev<ul><li>x</ul></ul><p>text</p>\
            <div id=banner>b<div>c</div></div>end";
        assert_eq!(told(page), ["p.# text", " end"]);
    }

    #[test]
    fn of_hidden_texts_the_default_one_is_read() {
        let page = "<p>Choose <span class=switchinline><span hidden=true id=MAC1 class=MAC>\
            <span>Preferences</span></span><span hidden=true id=default1>Tools</span></span>.</p>";
        assert_eq!(told(page), ["p.# Choose Tools."]);
    }

    #[test]
    fn broken_pages_are_read_as_far_as_they_make_sense() {
        assert_eq!(told("</p></div>a<p>b</li>c"), [" a", "p.# b", "p.# c"]);
        assert_eq!(told("<p>a<script>never closed <p>b"), ["p.# a"]);
        assert!(told("").is_empty());
    }
}
