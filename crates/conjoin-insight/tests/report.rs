//! The report as a file: well-formed, self-contained, safe, and only as long as there is content.

mod support;

use conjoin_insight::report::{ImageSample, ReportError};
use conjoin_insight::{DrawState, Report, RunLog};
use roxmltree::Document;
use std::path::Path;

/// The tree of the page. HTML written by this crate is well-formed XML after its first line.
fn parse(html: &str) -> Document<'_> {
    let body = html.strip_prefix("<!DOCTYPE html>\n").expect("a doctype");
    Document::parse(body).unwrap()
}

fn sections(html: &str) -> Vec<String> {
    let document = parse(html);
    let ids = document
        .descendants()
        .filter(|node| node.has_tag_name("section"));
    ids.map(|node| node.attribute("id").unwrap().to_owned())
        .collect()
}

#[test]
fn a_full_report_has_every_section() {
    let html = support::report().html().unwrap();
    // Kept for looking at: target/tmp/report.html and graph.svg.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join("report.html"), &html).unwrap();
    std::fs::write(folder.join("graph.svg"), support::drawing().svg().unwrap()).unwrap();
    let expected = [
        "notes",
        "stages",
        "comparison",
        "lengths",
        "runs",
        "graph",
        "curves",
        "scores",
        "sequences",
        "attention",
        "images",
        "episodes",
        "classes",
        "interfaces",
        "gates",
        "time",
        "reproduce",
    ];
    assert_eq!(sections(&html), expected);
    for number in ["NaN", "inf\"", "Infinity"] {
        assert!(!html.contains(number), "{number} in the report");
    }
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
}

#[test]
fn ids_are_unique_and_links_lead_somewhere() {
    let html = support::report().html().unwrap();
    let document = parse(&html);
    let mut ids: Vec<&str> = document
        .descendants()
        .filter_map(|n| n.attribute("id"))
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id occurs twice");
    for link in document.descendants().filter_map(|n| n.attribute("href")) {
        match link.strip_prefix('#') {
            Some(id) => assert!(ids.contains(&id), "{link}"),
            // The reports of compared runs lie beside this one.
            None => assert_eq!(link, "joined-7/report.html"),
        }
    }
    for path in document
        .descendants()
        .filter_map(|n| n.attribute("clip-path"))
    {
        let id = path
            .strip_prefix("url(#")
            .and_then(|p| p.strip_suffix(')'))
            .unwrap();
        assert!(ids.contains(&id), "{path}");
    }
}

#[test]
fn nothing_is_loaded_from_outside() {
    let html = support::report().html().unwrap();
    let document = parse(&html);
    for node in document.descendants() {
        assert!(!["script", "link", "iframe", "object"].contains(&node.tag_name().name()));
        for name in ["src", "srcset", "data"] {
            if let Some(address) = node.attribute(name) {
                assert!(address.starts_with("data:image/png;base64,"), "{address}");
            }
        }
        if let Some(style) = node.attribute("style") {
            assert!(!style.contains("url("), "{style}");
        }
    }
    assert!(!html.contains("@import"));
}

#[test]
fn every_picture_has_a_title_for_screen_readers() {
    let html = support::report().html().unwrap();
    let document = parse(&html);
    let pictures = document
        .descendants()
        .filter(|node| node.tag_name().name() == "svg");
    let mut count = 0;
    for picture in pictures {
        assert!(!picture.attribute("aria-label").unwrap().is_empty());
        count += 1;
    }
    assert!(count > 10, "{count} pictures");
    assert!(
        document
            .descendants()
            .filter(|node| node.has_tag_name("img"))
            .all(|node| !node.attribute("alt").unwrap().is_empty())
    );
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>&lt;\u{0}\u{202e}";
    let mut report = support::report();
    report.name = hostile.to_owned();
    report.command = hostile.to_owned();
    report.recipe = hostile.to_owned();
    report.headlines[0].value = hostile.to_owned();
    report.headlines[0].printed = vec![hostile.to_owned()];
    report.sequences[0].input = hostile.to_owned();
    report.sequences[1].predicted = vec![hostile.to_owned()];
    report.attention[0].inputs[0] = hostile.to_owned();
    report.attention[0].title = hostile.to_owned();
    report.images[0].truth = hostile.to_owned();
    report.classes.as_mut().unwrap().classes[0] = hostile.to_owned();
    report.log.warnings.push(hostile.to_owned());
    report.log.interfaces[0].port = hostile.to_owned();
    for step in &mut report.log.steps {
        step.stage = hostile.to_owned();
        step.terms.insert(hostile.to_owned(), 1.0);
    }
    let graph = report.graph.as_mut().unwrap();
    graph.nodes[0].kind = hostile.to_owned();
    graph.edges[3].label = hostile.to_owned();
    let html = report.html().unwrap();
    let document = parse(&html);
    for node in document.descendants() {
        assert_ne!(node.tag_name().name(), "script");
        assert!(
            node.attributes()
                .all(|attribute| !attribute.name().starts_with("on"))
        );
    }
    let heading = document
        .descendants()
        .find(|node| node.has_tag_name("h1"))
        .unwrap();
    assert_eq!(
        heading.text(),
        Some(hostile.replace('\u{0}', "\u{fffd}").as_str())
    );
}

#[test]
fn an_empty_run_gives_an_empty_report() {
    let html = Report::default().html().unwrap();
    assert!(sections(&html).is_empty());
    assert!(html.contains("<h1>run</h1>"));
}

#[test]
fn sections_appear_only_with_content() {
    let report = Report {
        log: support::log(),
        ..Report::default()
    };
    let expected = ["notes", "curves", "scores", "interfaces", "gates", "time"];
    assert_eq!(sections(&report.html().unwrap()), expected);
    let report = Report {
        command: "conjoin train x.toml".to_owned(),
        ..Report::default()
    };
    assert_eq!(sections(&report.html().unwrap()), ["reproduce"]);
}

#[test]
fn a_run_that_diverged_is_still_reported() {
    let mut report = support::report();
    for step in report.log.steps.iter_mut().skip(60) {
        step.loss = f64::NAN;
        step.terms
            .values_mut()
            .for_each(|term| *term = f64::INFINITY);
        step.grad_norm = Some(f64::NAN);
    }
    for record in &mut report.log.interfaces {
        record.std = f64::NAN;
    }
    let html = report.html().unwrap();
    assert!(sections(&html).contains(&"curves".to_owned()));
    let document = parse(&html);
    let drawn = document
        .descendants()
        .filter_map(|node| node.attribute("d"));
    assert!(
        drawn
            .into_iter()
            .all(|path| !path.contains("NaN") && !path.contains("inf"))
    );
}

#[test]
fn a_resumed_run_is_read_once() {
    let log = support::log();
    let steps: Vec<u64> = log.steps.iter().map(|step| step.global_step).collect();
    assert_eq!(steps, (1..=150).collect::<Vec<u64>>());
    assert!(log.resumed);
    assert_eq!(log.stages.len(), 3);
    assert_eq!(log.timings.len(), 3);
    assert_eq!(log.stage_scores("test").len(), 2);
    let best = &log.stage_scores("test")[1];
    assert_eq!((best.0.as_str(), best.1["wer"]), ("joint", 0.3742));
    assert!(RunLog::read(Path::new("no/such/file")).is_err());
}

#[test]
fn a_broken_image_is_an_error() {
    let mut report = support::report();
    report.images[2] = ImageSample {
        pixels: vec![0; 5],
        ..report.images[2].clone()
    };
    assert!(matches!(
        report.html(),
        Err(ReportError::Image { index: 2, .. })
    ));
}

#[test]
fn the_drawing_is_a_file_of_its_own() {
    let drawing = support::drawing();
    let svg = drawing.svg().unwrap();
    let document = Document::parse(&svg).unwrap();
    assert_eq!(
        document.root_element().tag_name().namespace(),
        Some("http://www.w3.org/2000/svg")
    );
    let class = |name: &str| {
        let with = |node: &roxmltree::Node<'_, '_>| node.attribute("class") == Some(name);
        document.descendants().filter(with).count()
    };
    let columns = drawing
        .nodes
        .iter()
        .filter(|n| n.state == DrawState::Column)
        .count();
    // One more in the legend.
    assert_eq!(class("box column"), columns + 1);
    assert_eq!(class("wire dashed"), 1 + 1);
    assert_eq!(class("stop"), 2 + 2);
    assert!(svg.contains("329.7 k") || svg.contains("recurrent · 330 k"));
}
