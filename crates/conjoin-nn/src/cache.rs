//! Keys and values of a sequence that grows.
//!
//! Shapes: `[B, C, D]` with room for C positions, of which the first `length` are filled.

use crate::multi_head::KeysValues;
use burn::tensor::Tensor;

/// Room that a cache begins with.
const ROOM: usize = 16;

/// Keys and values of all positions so far, of one layer.
#[derive(Debug, Clone)]
pub struct Cache {
    /// `[B, C, D]`
    pub content: KeysValues,
    /// Positions that are filled.
    pub length: usize,
}

impl Cache {
    /// Adds keys and values `[B, n, D]` of `n` more positions. The room doubles when it is used
    /// up, so that a step seldom copies what is there.
    pub fn append(cache: Option<Self>, new: KeysValues) -> Self {
        let [rows, count, size] = new.keys.dims();
        let Some(Self { content, length }) = cache else {
            let empty = || Tensor::zeros([rows, 0, size], &new.keys.device());
            let content = KeysValues {
                keys: empty(),
                values: empty(),
            };
            return Self::append(Some(Self { content, length: 0 }), new);
        };
        let write = |old: Tensor<3>, new: Tensor<3>| {
            let room = old.dims()[1];
            let needed = length + count;
            let roomy = if needed > room {
                let more = needed.max(2 * room).max(ROOM) - room;
                let zeros = Tensor::zeros([rows, more, size], &old.device());
                Tensor::cat(vec![old, zeros], 1)
            } else {
                old
            };
            roomy.slice_assign([0..rows, length..needed], new)
        };
        Self {
            content: KeysValues {
                keys: write(content.keys, new.keys),
                values: write(content.values, new.values),
            },
            length: length + count,
        }
    }
}
