//! Prefixes that share their beginnings, as a tree: an entry a token, so that extending one copies
//! nothing.

use super::Hypothesis;

/// All prefixes of one row of a batch. A prefix is the position of its last entry; the empty one is
/// `None`.
#[derive(Debug, Default)]
pub(super) struct Tree {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    parent: Option<usize>,
    token: i64,
    /// Attention weights over the source when the token was said.
    alignment: Option<Vec<f32>>,
}

impl Tree {
    /// Adds a token behind a prefix and gives the new prefix.
    pub fn push(&mut self, parent: Option<usize>, token: i64, alignment: Option<&[f32]>) -> usize {
        self.entries.push(Entry {
            parent,
            token,
            alignment: alignment.map(<[f32]>::to_vec),
        });
        self.entries.len() - 1
    }

    /// The last token of a prefix.
    pub fn token(&self, prefix: Option<usize>) -> Option<i64> {
        self.entries.get(prefix?).map(|entry| entry.token)
    }

    /// All tokens of a prefix, from the first on.
    pub fn tokens(&self, prefix: Option<usize>) -> Vec<i64> {
        let mut tokens: Vec<i64> = self.upwards(prefix).map(|entry| entry.token).collect();
        tokens.reverse();
        tokens
    }

    /// The prefix as a hypothesis; one that is `finished` ends with the end symbol.
    pub fn hypothesis(
        &self,
        prefix: Option<usize>,
        log_probability: f64,
        score: f64,
        finished: bool,
    ) -> Hypothesis {
        let mut tokens = self.tokens(prefix);
        if finished {
            tokens.pop();
        }
        let weights = self.upwards(prefix).filter_map(|e| e.alignment.clone());
        let mut alignment: Vec<Vec<f32>> = weights.collect();
        alignment.reverse();
        Hypothesis {
            tokens,
            log_probability,
            score,
            finished,
            alignment,
        }
    }

    fn upwards(&self, prefix: Option<usize>) -> impl Iterator<Item = &Entry> {
        let mut next = prefix;
        std::iter::from_fn(move || {
            let entry = self.entries.get(next?)?;
            next = entry.parent;
            Some(entry)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn prefixes_share_their_beginning() {
        let mut tree = Tree::default();
        let a = tree.push(None, 5, Some(&[1.0]));
        let b = tree.push(Some(a), 6, Some(&[0.5]));
        let c = tree.push(Some(a), 7, Some(&[0.25]));
        assert_eq!(tree.tokens(Some(b)), [5, 6]);
        assert_eq!(tree.tokens(Some(c)), [5, 7]);
        assert_eq!(tree.token(Some(c)), Some(7));
        assert_eq!(tree.token(None), None);
        let ended = tree.hypothesis(Some(c), -1.0, -0.5, true);
        assert_eq!(ended.tokens, [5]);
        assert_eq!(ended.alignment, [[1.0], [0.25]]);
    }
}
