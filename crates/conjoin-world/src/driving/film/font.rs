//! Letters of three by five pixels.

/// Rows from the top, three bits each, the left one first.
fn glyph(letter: char) -> [u8; 5] {
    match letter.to_ascii_uppercase() {
        'A' => [2, 5, 7, 5, 5],
        'B' => [6, 5, 6, 5, 6],
        'C' => [3, 4, 4, 4, 3],
        'D' => [6, 5, 5, 5, 6],
        'E' => [7, 4, 6, 4, 7],
        'F' => [7, 4, 6, 4, 4],
        'G' => [3, 4, 5, 5, 3],
        'H' => [5, 5, 7, 5, 5],
        'I' => [7, 2, 2, 2, 7],
        'J' => [1, 1, 1, 5, 2],
        'K' => [5, 5, 6, 5, 5],
        'L' => [4, 4, 4, 4, 7],
        'M' => [5, 7, 7, 5, 5],
        'N' => [6, 5, 5, 5, 5],
        'O' => [2, 5, 5, 5, 2],
        'P' => [6, 5, 6, 4, 4],
        'Q' => [2, 5, 5, 6, 3],
        'R' => [6, 5, 6, 5, 5],
        'S' => [3, 4, 2, 1, 6],
        'T' => [7, 2, 2, 2, 2],
        'U' => [5, 5, 5, 5, 7],
        'V' => [5, 5, 5, 5, 2],
        'W' => [5, 5, 7, 7, 5],
        'X' => [5, 5, 2, 5, 5],
        'Y' => [5, 5, 2, 2, 2],
        'Z' => [7, 1, 2, 4, 7],
        '0' => [7, 5, 5, 5, 7],
        '1' => [2, 6, 2, 2, 7],
        '2' => [6, 1, 2, 4, 7],
        '3' => [6, 1, 2, 1, 6],
        '4' => [5, 5, 7, 1, 1],
        '5' => [7, 4, 6, 1, 6],
        '6' => [3, 4, 7, 5, 7],
        '7' => [7, 1, 2, 2, 2],
        '8' => [7, 5, 7, 5, 7],
        '9' => [7, 5, 7, 1, 6],
        '.' => [0, 0, 0, 0, 2],
        '-' => [0, 0, 7, 0, 0],
        '/' => [1, 1, 2, 4, 4],
        _ => [0; 5],
    }
}

/// Calls `set` with every pixel of a text, `size` pixels a dot, from its upper left corner on.
pub fn write(text: &str, size: usize, mut set: impl FnMut(usize, usize)) {
    for (i, letter) in text.chars().enumerate() {
        for (row, bits) in glyph(letter).into_iter().enumerate() {
            for column in (0..3).filter(|column| (bits >> (2 - column)) & 1 == 1) {
                for dot in 0..size * size {
                    let x = (i * 4 + column) * size + dot % size;
                    set(x, row * size + dot / size);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_side_by_side() {
        let mut rows = vec![vec![' '; 7]; 5];
        write("1L", 1, |x, y| rows[y][x] = '#');
        let rows: Vec<String> = rows.into_iter().map(String::from_iter).collect();
        assert_eq!(
            rows,
            [" #  #  ", "##  #  ", " #  #  ", " #  #  ", "### ###"]
        );
        let mut count = 0;
        write("-", 2, |_, _| count += 1);
        assert_eq!(count, 12);
    }
}
