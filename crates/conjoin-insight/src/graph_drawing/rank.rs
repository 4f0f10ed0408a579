//! Which row each node stands in.

/// Rows of the nodes, and which wires run against them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranking {
    pub(super) rank: Vec<usize>,
    /// Wires that run upwards: those that close a cycle, such as a decoder fed with its own output.
    pub(super) reversed: Vec<bool>,
}

/// Ranks `nodes` nodes. Where a cycle must be broken, a wire that is not `firm` yields first.
pub(super) fn rank(
    nodes: usize,
    edges: &[(usize, usize)],
    firm: impl Fn(usize) -> bool,
) -> Ranking {
    let mut reversed = vec![false; edges.len()];
    let mut accepted: Vec<(usize, usize)> = Vec::new();
    let firm_first = (0..edges.len())
        .filter(|&e| firm(e))
        .chain((0..edges.len()).filter(|&e| !firm(e)));
    for edge in firm_first {
        let (from, to) = edges[edge];
        if from == to {
            continue;
        }
        reversed[edge] = reaches(&accepted, to, from);
        accepted.push(if reversed[edge] {
            (to, from)
        } else {
            (from, to)
        });
    }
    let mut rank = longest_paths(nodes, &accepted);
    shorten(&mut rank, &accepted);
    Ranking { rank, reversed }
}

fn reaches(edges: &[(usize, usize)], from: usize, to: usize) -> bool {
    let mut seen = vec![from];
    let mut next = 0;
    while let Some(&node) = seen.get(next) {
        if node == to {
            return true;
        }
        next += 1;
        for &(_, target) in edges.iter().filter(|&&(source, _)| source == node) {
            if !seen.contains(&target) {
                seen.push(target);
            }
        }
    }
    false
}

/// The longest path that leads to each node of an acyclic graph.
fn longest_paths(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut rank = vec![0; nodes];
    // No path is longer than the number of nodes.
    for _ in 0..nodes {
        for &(from, to) in edges {
            rank[to] = rank[to].max(rank[from] + 1);
        }
    }
    rank
}

/// Moves nodes down towards their readers while that lengthens no wire on balance, so that a data
/// column stands just above what reads it.
fn shorten(rank: &mut [usize], edges: &[(usize, usize)]) {
    loop {
        let mut moved = false;
        for node in 0..rank.len() {
            let incoming = edges.iter().filter(|&&(_, to)| to == node).count();
            let readers = || {
                edges
                    .iter()
                    .filter(|&&(from, _)| from == node)
                    .map(|&(_, to)| to)
            };
            let Some(lowest) = readers().map(|to| rank[to] - 1).min() else {
                continue;
            };
            if lowest > rank[node] && readers().count() >= incoming {
                rank[node] = lowest;
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_just_above_their_readers() {
        // 0 -> 1 -> 2 -> 3, and a column 4 -> 3.
        let ranking = rank(5, &[(0, 1), (1, 2), (2, 3), (4, 3)], |_| true);
        assert_eq!(ranking.rank, [0, 1, 2, 3, 2]);
    }

    #[test]
    fn a_scheduled_wire_yields_and_cycles_end() {
        // The feedback 2 -> 1 comes first and still yields to the firm wires.
        let edges = [(2, 1), (0, 1), (1, 2), (2, 2)];
        let ranking = rank(3, &edges, |edge| edge != 0);
        assert_eq!(ranking.reversed, [true, false, false, false]);
        assert_eq!(ranking.rank, [0, 1, 2]);
    }
}
