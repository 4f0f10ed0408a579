//! Blocks of a page and of its translation, matched by structure.

use super::html::Block;
use std::collections::HashMap;

/// Matched blocks, and how many of the first page have no partner.
///
/// If both pages have the same elements in the same order, blocks match one by one. Otherwise
/// elements with an id that stands once in each page are fixed points (as many as keep their order),
/// and between two of them blocks match if the elements there are the same.
pub(super) fn align<'a>(
    from: &'a [Block],
    to: &'a [Block],
) -> (Vec<(&'a Block, &'a Block)>, usize) {
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    let ends = (from.len(), to.len());
    let same = same_elements(from, to);
    let points = if same {
        Vec::new()
    } else {
        fixed_points(from, to)
    };
    for (a, b) in points.into_iter().chain([ends]) {
        if same_elements(&from[i..a], &to[j..b]) {
            pairs.extend(from[i..a].iter().zip(&to[j..b]));
        }
        if (a, b) != ends {
            pairs.push((&from[a], &to[b]));
            (i, j) = (a + 1, b + 1);
        }
    }
    let left = from.len() - pairs.len();
    (pairs, left)
}

fn same_elements(a: &[Block], b: &[Block]) -> bool {
    let elements = |blocks: &'_ [Block]| -> Vec<String> {
        blocks.iter().map(|block| block.element.clone()).collect()
    };
    a.len() == b.len() && elements(a) == elements(b)
}

/// The most fixed points that stand in the same order in both pages.
fn fixed_points(from: &[Block], to: &[Block]) -> Vec<(usize, usize)> {
    let places = |blocks: &[Block]| {
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, block) in blocks.iter().enumerate().filter(|(_, block)| block.named) {
            places.entry(block.element.clone()).or_default().push(place);
        }
        places.retain(|_, all| all.len() == 1);
        places
    };
    let (from, to) = (places(from), places(to));
    let mut points: Vec<(usize, usize)> = from
        .iter()
        .filter_map(|(element, at)| Some((at[0], to.get(element)?[0])))
        .collect();
    points.sort_unstable();
    longest_rising(&points)
}

/// The longest selection whose second numbers rise (the first ones do already).
fn longest_rising(points: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // The last point of the best selection of each length, and the point before each.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(points.len());
    for (i, point) in points.iter().enumerate() {
        let length = ends.partition_point(|&end| points[end].1 < point.1);
        before.push(length.checked_sub(1).map(|previous| ends[previous]));
        if length == ends.len() {
            ends.push(i);
        } else {
            ends[length] = i;
        }
    }
    let mut chosen = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(i) = next {
        chosen.push(points[i]);
        next = before[i];
    }
    chosen.reverse();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(blocks: &str) -> Vec<Block> {
        let block = |(i, element): (usize, &str)| Block {
            element: element.to_owned(),
            named: element.contains('#'),
            text: i.to_string(),
        };
        blocks.split(' ').enumerate().map(block).collect()
    }

    fn told(from: &str, to: &str) -> (String, usize) {
        let (from, to) = (page(from), page(to));
        let (pairs, left) = align(&from, &to);
        let tell = |(a, b): &(&Block, &Block)| format!("{}{}", a.text, b.text);
        (pairs.iter().map(tell).collect::<Vec<_>>().join(" "), left)
    }

    #[test]
    fn the_same_structure_matches_one_by_one() {
        assert_eq!(told("h p p", "h p p"), ("00 11 22".to_owned(), 0));
    }

    #[test]
    fn without_fixed_points_a_difference_leaves_everything_out() {
        assert_eq!(told("h p p", "h p"), (String::new(), 3));
    }

    #[test]
    fn between_fixed_points_only_equal_runs_match() {
        assert_eq!(
            told("p a#1 p p b#2 p", "p a#1 p b#2 p"),
            ("00 11 43 54".to_owned(), 2)
        );
    }

    #[test]
    fn points_that_change_places_are_no_points() {
        assert_eq!(
            told("a#1 p b#2 q c#3", "b#2 p a#1 q c#3"),
            ("20 44".to_owned(), 3)
        );
    }

    #[test]
    fn the_longest_rise_is_found() {
        let points = [(0, 5), (1, 1), (2, 2), (3, 0), (4, 3)];
        assert_eq!(longest_rising(&points), [(1, 1), (2, 2), (4, 3)]);
        assert!(longest_rising(&[]).is_empty());
    }
}
