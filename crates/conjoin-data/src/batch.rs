//! Host arrays that a loader hands over: one padded array a column, with the rows' lengths.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Elements of an [`Array`], row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum ArrayData {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

/// A dense row-major array on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub data: ArrayData,
}

/// One column of a batch: the first dimension is the batch; shorter rows are padded at the end of
/// the second dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub array: Array,
    /// Valid entries of each row along dimension 1, where the column is ragged.
    pub lengths: Option<Arc<[usize]>>,
}

/// What one training or evaluation step reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    pub columns: BTreeMap<String, Column>,
    /// Position of each row in its source.
    pub indices: Vec<usize>,
}

impl Batch {
    /// Rows in the batch.
    pub fn size(&self) -> usize {
        self.indices.len()
    }
}
