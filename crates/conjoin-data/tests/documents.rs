//! Parallel text of what Debian installs: `apt-get install libreoffice-help-en-us
//! libreoffice-help-de debian-handbook`.

use conjoin_data::corpus::{DEBIAN_HANDBOOK, Documents, LIBREOFFICE_HELP, Layout, Parts, distinct};
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

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
        for side in [0, 1] {
            let of = |pair: &(String, String)| runs([&pair.0, &pair.1][side]);
            let held_out: Vec<Vec<u64>> = held_out.iter().map(of).collect();
            // A part of the training part: the others are filtered alike.
            for pair in parts.train.iter().step_by(29) {
                let runs = of(pair);
                let near = held_out.iter().position(|other| is_near(&runs, other));
                assert_eq!(near, None, "{name}: {pair:?}");
            }
        }
    }
    let counts = parts.counts;
    assert!(
        counts.train_near > 1000 && counts.valid_near > 100,
        "{counts:?}"
    );
    // Translations are about as long as what they translate: nothing has slipped.
    let slipped = parts.train.iter().filter(|(source, target)| {
        let (a, b) = (source.chars().count() as f64, target.chars().count() as f64);
        a.max(b) > 40.0 && (a / b > 3.0 || b / a > 3.0)
    });
    let slipped = slipped.count();
    assert!(slipped * 200 < parts.train.len(), "{slipped}");
}

/// Hashes of the different runs of five letters, sorted, by the definition that `conjoin data
/// libreoffice-help --help` gives.
fn runs(text: &str) -> Vec<u64> {
    let folded = text.nfkc().flat_map(char::to_lowercase);
    let letters: Vec<char> = folded.filter(|c| c.is_alphabetic()).collect();
    let hash = |run: &[char]| {
        let mut hasher = DefaultHasher::new();
        run.hash(&mut hasher);
        hasher.finish()
    };
    let runs: BTreeSet<u64> = letters.windows(5).map(hash).collect();
    runs.into_iter().collect()
}

/// Whether seven tenths of all runs are shared, of segments that have enough of them.
fn is_near(a: &[u64], b: &[u64]) -> bool {
    let (fewer, more) = (a.len().min(b.len()), a.len().max(b.len()));
    if fewer < 8 || (fewer as f64) < 0.7 * more as f64 {
        return false; // compared for equality alone; or too unlike in size
    }
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        shared += usize::from(a[i] == b[j]);
        let (left, right) = (a[i], b[j]);
        i += usize::from(left <= right);
        j += usize::from(right <= left);
    }
    shared as f64 >= 0.7 * (a.len() + b.len() - shared) as f64
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
