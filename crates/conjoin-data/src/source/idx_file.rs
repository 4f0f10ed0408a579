//! The IDX format: two zero bytes, a type (8: unsigned byte), the number of dimensions, each size as
//! a big-endian u32, then the elements. Gzip is told by its own magic, not by the name.

use crate::DataError;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// More elements than this are refused before any memory is taken: a header is only a claim.
const MAX_BYTES: usize = 1 << 31;

/// Memory grows with what a file really holds, in steps of this.
const STEP: usize = 1 << 20;

/// An array of bytes from a file.
#[derive(Debug)]
pub(super) struct IdxArray {
    pub sizes: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Reads a file of unsigned bytes with `dims.len()` dimensions; `Some` sizes must be met exactly.
///
/// # Errors
/// The file cannot be read, is no IDX file of that kind, or is longer or shorter than its header
/// says.
pub(super) fn read(path: &Path, dims: &[Option<usize>]) -> Result<IdxArray, DataError> {
    let io = |e| DataError::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let mut magic = [0; 2];
    let zipped = match file.read_exact(&mut magic) {
        Ok(()) => magic == [0x1f, 0x8b],
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => false,
        Err(e) => return Err(io(e)),
    };
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let file = BufReader::new(file);
    if zipped {
        decode(path, MultiGzDecoder::new(file), dims)
    } else {
        decode(path, file, dims)
    }
}

fn decode(
    path: &Path,
    mut reader: impl Read,
    dims: &[Option<usize>],
) -> Result<IdxArray, DataError> {
    let wrong = |found: String, expected: String| {
        DataError::format(path.display().to_string(), found, expected)
    };
    let header_length = 4 + 4 * dims.len();
    let header = read_up_to(path, &mut reader, header_length)?;
    let kind = [0, 0, 8, dims.len() as u8];
    if header.get(..4).is_some_and(|magic| magic != kind) {
        return Err(wrong(
            format!("the first bytes {:02x?}", &header[..4]),
            format!(
                "{kind:02x?} (IDX, unsigned bytes, {} dimensions)",
                dims.len()
            ),
        ));
    }
    if header.len() < header_length {
        return Err(wrong(
            format!("{} bytes", header.len()),
            format!("an IDX header of {header_length} bytes"),
        ));
    }
    let sizes: Vec<usize> = header[4..]
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect();
    if sizes
        .iter()
        .zip(dims)
        .any(|(&size, dim)| dim.is_some_and(|dim| dim != size))
    {
        let text = |dim: &Option<usize>| dim.map_or_else(|| "any".to_owned(), |d| d.to_string());
        let expected: Vec<String> = dims.iter().map(text).collect();
        return Err(wrong(
            format!("sizes {sizes:?} in the header"),
            format!("[{}]", expected.join(", ")),
        ));
    }
    let count = sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    let count = count.filter(|&count| count <= MAX_BYTES).ok_or_else(|| {
        wrong(
            format!("sizes {sizes:?} in the header"),
            format!("at most {MAX_BYTES} elements"),
        )
    })?;
    let bytes = read_up_to(path, &mut reader, count)?;
    if bytes.len() < count {
        return Err(wrong(
            format!("a file that ends after {} of its elements", bytes.len()),
            format!("{count} for sizes {sizes:?} in the header"),
        ));
    }
    if !read_up_to(path, &mut reader, 1)?.is_empty() {
        return Err(wrong(
            "more bytes after the last element".to_owned(),
            format!("{count} elements for sizes {sizes:?} in the header"),
        ));
    }
    Ok(IdxArray { sizes, bytes })
}

/// Reads `count` bytes, or what is there before the end.
fn read_up_to(path: &Path, reader: &mut impl Read, count: usize) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::with_capacity(count.min(STEP));
    match reader.take(count as u64).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        // A cut gzip stream ends like a cut plain file: the caller compares what came.
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(bytes),
        Err(e) => Err(DataError::io(path, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn idx(sizes: &[u32], elements: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
        bytes.extend(elements);
        bytes
    }

    fn zip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read_bytes(bytes: &[u8], dims: &[Option<usize>]) -> Result<IdxArray, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let place = file.path().display().to_string();
        read(file.path(), dims).map_err(|e| e.to_string().replace(&place, "FILE"))
    }

    const DIMS: [Option<usize>; 3] = [None, Some(2), Some(2)];

    #[test]
    fn plain_and_zipped_files_agree() {
        let bytes = idx(&[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]);
        for file in [bytes.clone(), zip(&bytes)] {
            let array = read_bytes(&file, &DIMS).unwrap();
            assert_eq!(array.sizes, [2, 2, 2]);
            assert_eq!(array.bytes, [1, 2, 3, 4, 5, 6, 7, 8]);
        }
    }

    #[test]
    fn damage_is_named() {
        let whole = idx(&[2, 2, 2], &[0; 8]);
        let cases: [(Vec<u8>, &str); 7] = [
            (
                vec![],
                "FILE: found 0 bytes, expected an IDX header of 16 bytes",
            ),
            (
                whole[..9].to_vec(),
                "FILE: found 9 bytes, expected an IDX header of 16 bytes",
            ),
            (
                b"\x89PNG and so on and on".to_vec(),
                "FILE: found the first bytes [89, 50, 4e, 47], expected [00, 00, 08, 03] (IDX, \
                 unsigned bytes, 3 dimensions)",
            ),
            (
                whole[..20].to_vec(),
                "FILE: found a file that ends after 4 of its elements, expected 8 for sizes [2, 2, \
                 2] in the header",
            ),
            (
                [whole.clone(), vec![7]].concat(),
                "FILE: found more bytes after the last element, expected 8 elements for sizes [2, \
                 2, 2] in the header",
            ),
            (
                idx(&[2, 3, 2], &[0; 12]),
                "FILE: found sizes [2, 3, 2] in the header, expected [any, 2, 2]",
            ),
            (
                idx(&[u32::MAX, 2, 2], &[0; 8]),
                "FILE: found sizes [4294967295, 2, 2] in the header, expected at most 2147483648 \
                 elements",
            ),
        ];
        for (bytes, message) in cases {
            assert_eq!(read_bytes(&bytes, &DIMS).unwrap_err(), message);
        }
    }

    #[test]
    fn a_header_that_promises_much_takes_no_memory() {
        // 2 GiB are claimed and nothing follows: the buffer grows with the data alone.
        let bytes = zip(&idx(&[1 << 29, 2, 2], &[]));
        assert!(
            read_bytes(&bytes, &DIMS)
                .unwrap_err()
                .contains("ends after 0")
        );
    }

    #[test]
    fn a_cut_gzip_stream_is_a_cut_file() {
        let noise: Vec<u8> = (0..400u32)
            .map(|i| (i.wrapping_mul(2654435761) >> 24) as u8)
            .collect();
        let zipped = zip(&idx(&[100, 2, 2], &noise));
        let error = read_bytes(&zipped[..zipped.len() / 2], &DIMS).unwrap_err();
        assert!(error.contains("a file that ends after"), "{error}");
    }
}
