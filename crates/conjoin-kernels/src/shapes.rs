//! Messages for arguments that do not fit: operation, argument, what was found and what was expected.

/// Checks the sizes of an argument.
///
/// # Panics
/// If they are not the expected ones.
#[track_caller]
pub(crate) fn expect(operation: &str, argument: &str, found: &[usize], expected: &[usize]) {
    assert!(
        found == expected,
        "{operation}: {argument} is {found:?}, expected {expected:?}"
    );
}

/// Checks that there is one length for each of `rows`, none above `most`.
///
/// # Panics
/// If not.
#[track_caller]
pub(crate) fn expect_lengths(operation: &str, lengths: &[usize], rows: usize, most: usize) {
    assert!(
        lengths.len() == rows && lengths.iter().all(|&length| length <= most),
        "{operation}: lengths is {lengths:?}, expected {rows} of at most {most}"
    );
}
