//! Named arrays of numbers in a safetensors file, with the integers that optimisers count in.

use crate::TrainError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::path::Path;

/// Elements of a stored array.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

/// Flat arrays by name, in a fixed order.
pub type Arrays = BTreeMap<String, Numbers>;

/// Encodes arrays as one safetensors file; equal arrays give equal bytes.
///
/// # Errors
/// The library refuses a name.
pub fn encode(arrays: &Arrays, path: &Path) -> Result<Vec<u8>, TrainError> {
    let failed = |e: safetensors::SafeTensorError| {
        TrainError::io(path, "encode", std::io::Error::other(e.to_string()))
    };
    let bytes: Vec<(&String, Dtype, usize, Vec<u8>)> = arrays
        .iter()
        .map(|(name, numbers)| match numbers {
            Numbers::F32(v) => {
                let bytes = v.iter().flat_map(|x| x.to_le_bytes()).collect();
                (name, Dtype::F32, v.len(), bytes)
            }
            Numbers::I64(v) => {
                let bytes = v.iter().flat_map(|x| x.to_le_bytes()).collect();
                (name, Dtype::I64, v.len(), bytes)
            }
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, dtype, len, bytes)| {
            let view = TensorView::new(*dtype, vec![*len], bytes)?;
            Ok((name.as_str(), view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    safetensors::serialize(views, None).map_err(failed)
}

/// The inverse of [`encode`].
///
/// # Errors
/// The file is not what `encode` writes; `path` is for the message.
pub fn decode(bytes: &[u8], path: &Path) -> Result<Arrays, TrainError> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| TrainError::damaged(path, format!("not a safetensors file: {e}")))?;
    file.tensors()
        .into_iter()
        .map(|(name, view)| {
            let numbers = match view.dtype() {
                Dtype::F32 => Numbers::F32(chunks(view.data(), f32::from_le_bytes)),
                Dtype::I64 => Numbers::I64(chunks(view.data(), i64::from_le_bytes)),
                other => {
                    let problem = format!("{name}: element type {other:?}");
                    return Err(TrainError::damaged(path, problem));
                }
            };
            Ok((name, numbers))
        })
        .collect()
}

fn chunks<const N: usize, T>(bytes: &[u8], convert: fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|b| convert(*b))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_survive_bit_for_bit() {
        let arrays: Arrays = [
            ("n/w/step".to_owned(), Numbers::I64(vec![i64::MAX])),
            (
                "n/w/m".to_owned(),
                Numbers::F32(vec![1e-42, -0.0, 3.5, f32::MAX]),
            ),
            ("n/none".to_owned(), Numbers::F32(vec![])),
        ]
        .into();
        let path = Path::new("optimiser.safetensors");
        let bytes = encode(&arrays, path).unwrap();
        let back = decode(&bytes, path).unwrap();
        assert_eq!(encode(&back, path).unwrap(), bytes);
        let Numbers::F32(m) = &back["n/w/m"] else {
            panic!()
        };
        assert_eq!(m[1].to_bits(), (-0.0f32).to_bits());
        assert!(decode(&bytes[..bytes.len() - 1], path).is_err());
    }
}
