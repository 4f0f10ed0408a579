//! Lines of a stream, as they arrive.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// One line without its end. What is no UTF-8 is replaced by U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub text: String,
    /// Where the first byte is that is no UTF-8, from 1.
    pub replaced: Option<usize>,
    /// Bytes behind the longest length, which are not in `text`.
    pub cut: usize,
}

impl Line {
    pub fn new(text: &str, longest: usize) -> Self {
        let mut end = text.len().min(longest);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            text: text[..end].to_owned(),
            replaced: None,
            cut: text.len() - end,
        }
    }
}

/// Reads lines without ever holding more than the longest length of one.
pub(crate) struct Lines<R> {
    input: BufReader<R>,
    longest: usize,
}

impl<R: Read> Lines<R> {
    pub fn new(input: BufReader<R>, longest: usize) -> Self {
        Self { input, longest }
    }

    /// The next line, and the lines behind it that have arrived already, at most `count`; none at the
    /// end. It never waits for a second line, so that it works in a pipe and at a keyboard.
    pub fn waiting(&mut self, count: usize) -> io::Result<Option<Vec<Line>>> {
        let mut lines = Vec::new();
        while lines.len() < count.max(1) {
            let more = lines.is_empty() || self.input.buffer().contains(&b'\n');
            match if more { self.line()? } else { None } {
                Some(line) => lines.push(line),
                None => break,
            }
        }
        Ok((!lines.is_empty()).then_some(lines))
    }

    fn line(&mut self) -> io::Result<Option<Line>> {
        let (mut bytes, mut cut, mut begun) = (Vec::new(), 0, false);
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            };
            if buffer.is_empty() && !begun {
                return Ok(None);
            }
            begun = true;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            // One more, so that the end of a line with `\r\n` does not count.
            let room = (self.longest + 1)
                .saturating_sub(bytes.len())
                .min(part.len());
            bytes.extend_from_slice(&part[..room]);
            cut += part.len() - room;
            let (used, done) = (part.len() + usize::from(end.is_some()), end.is_some());
            let last = done || buffer.is_empty();
            self.input.consume(used);
            if last {
                break;
            }
        }
        if cut == 0 && bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let line = Line::new(&String::from_utf8_lossy(&bytes), self.longest);
        let wrong = std::str::from_utf8(&bytes).err();
        // Where the line was cut, its last character may be half of one.
        let wrong = wrong.filter(|error| cut == 0 || error.error_len().is_some());
        Ok(Some(Line {
            cut: line.cut + cut,
            replaced: wrong.map(|error| error.valid_up_to() + 1),
            ..line
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], capacity: usize) -> Vec<Vec<(String, usize)>> {
        let found = read(bytes, capacity).into_iter();
        let of = |waiting: Vec<Line>| waiting.into_iter().map(|l| (l.text, l.cut)).collect();
        found.map(of).collect()
    }

    fn read(bytes: &[u8], capacity: usize) -> Vec<Vec<Line>> {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, bytes), 5);
        let mut found = Vec::new();
        while let Some(waiting) = lines.waiting(3).unwrap() {
            found.push(waiting);
        }
        found
    }

    #[test]
    fn no_line_is_lost_and_none_is_waited_for() {
        let text = b"one\r\n\nabcdefgh\n\xff!\nlast";
        let expected = ["one", "", "abcde", "\u{fffd}!", "last"];
        for capacity in [1, 4, 7, 64] {
            let found = lines(text, capacity).concat();
            let texts: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
            assert_eq!(texts, expected, "{capacity}");
            let cut: Vec<usize> = found.iter().map(|(_, cut)| *cut).collect();
            assert_eq!(cut, [0, 0, 3, 0, 0], "{capacity}");
        }
        let replaced = |bytes| read(bytes, 64).concat()[0].replaced;
        assert_eq!(replaced(b"ab\xff\xfe\n"), Some(3));
        assert_eq!(replaced("a\u{fffd}b\n".as_bytes()), None);
        // A character that lies half beyond the longest line is not at fault.
        assert_eq!(replaced("abcdeä\n".as_bytes()), None);
        // All that is there comes together, three at most; what has no end yet is not waited for.
        let sizes: Vec<usize> = lines(text, 64).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 1, 1]);
    }
}
