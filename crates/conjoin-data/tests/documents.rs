//! Parallel text of what Debian installs: `apt-get install libreoffice-help-en-us
//! libreoffice-help-de debian-handbook`.

use conjoin_data::corpus::{DEBIAN_HANDBOOK, Documents, LIBREOFFICE_HELP, Layout, Parts, distinct};
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

/// The documents, or `None` with a line that the test harness does not capture.
fn documents(test: &str, layout: &Layout, packages: &str) -> Option<Documents> {
    let found = Documents::find(layout, None, "en-us", "de");
    if found.is_err() {
        let mut stderr = std::io::stderr();
        let _ = writeln!(
            stderr,
            "SKIPPED {test}: {} lacks English or German ({packages})",
            Path::new(layout.root).display()
        );
    }
    found.ok()
}

#[test]
fn the_help_gives_some_ten_thousands_of_pairs_without_leaks() {
    let test = "the_help_gives_some_ten_thousands_of_pairs_without_leaks";
    let packages = "libreoffice-help-en-us, libreoffice-help-de";
    let Some(documents) = documents(test, &LIBREOFFICE_HELP, packages) else {
        return;
    };
    let found = documents.align().unwrap();
    assert!(found.pages.len() > 2000, "{}", found.pages.len());
    assert!(found.pages_unmatched * 50 < found.pages.len());
    assert!(found.blocks_unmatched * 10 < found.blocks);
    let parts = Parts::new(&found.pages);
    assert!(
        (25_000..60_000).contains(&parts.train.len()),
        "{}",
        parts.train.len()
    );
    for (held_out, name) in [(&parts.valid, "valid"), (&parts.test, "test")] {
        assert!(
            (1000..6000).contains(&held_out.len()),
            "{name}: {}",
            held_out.len()
        );
        let fold = |text: &String| text.to_lowercase();
        let sources: HashSet<String> = held_out.iter().map(|(s, _)| fold(s)).collect();
        let targets: HashSet<String> = held_out.iter().map(|(_, t)| fold(t)).collect();
        let leak = |(source, target): &&(String, String)| {
            sources.contains(&fold(source)) || targets.contains(&fold(target))
        };
        assert_eq!(parts.train.iter().find(leak), None, "{name}");
    }
    // Translations are about as long as what they translate: nothing has slipped.
    let slipped = parts.train.iter().filter(|(source, target)| {
        let (a, b) = (source.chars().count() as f64, target.chars().count() as f64);
        a.max(b) > 40.0 && (a / b > 3.0 || b / a > 3.0)
    });
    let slipped = slipped.count();
    assert!(slipped * 200 < parts.train.len(), "{slipped}");
}

#[test]
fn the_handbook_gives_some_thousands_of_pairs() {
    let test = "the_handbook_gives_some_thousands_of_pairs";
    let Some(documents) = documents(test, &DEBIAN_HANDBOOK, "debian-handbook") else {
        return;
    };
    let pairs = distinct(&documents.align().unwrap().pages);
    assert!((3000..12_000).contains(&pairs.len()), "{}", pairs.len());
    let both = pairs
        .iter()
        .filter(|(source, target)| source.contains("Debian") && target.contains("Debian"));
    let one = pairs.iter().filter(|(source, _)| source.contains("Debian"));
    assert!(both.count() * 10 > one.count() * 9);
}
