//! At most 256 colours for pictures that have more: median cut (Heckbert 1982) over a histogram of five
//! bits a channel.

/// A palette and what each colour of five bits a channel is in it.
pub struct Palette {
    pub colours: Vec<[u8; 3]>,
    lookup: Vec<u8>,
}

/// The bin of a colour.
fn bin(rgb: [u8; 3]) -> usize {
    let [r, g, b] = rgb.map(|c| usize::from(c >> 3));
    (r << 10) | (g << 5) | b
}

/// A channel of a bin, 0 to 31.
fn channel(bin: usize, index: usize) -> usize {
    (bin >> (10 - 5 * index)) & 31
}

/// Bins that will be one colour.
struct Part {
    bins: Vec<usize>,
    /// Pixels in them, by the widest channel's spread: what is cut next.
    weight: u64,
    widest: usize,
}

impl Part {
    fn new(bins: Vec<usize>, counts: &[[u64; 4]]) -> Self {
        let spread = |index: usize| {
            let values = || bins.iter().map(|&bin| channel(bin, index));
            values().max().unwrap_or(0) - values().min().unwrap_or(0)
        };
        let widest = (0..3).max_by_key(|&index| spread(index)).unwrap_or(0);
        let pixels: u64 = bins.iter().map(|&bin| counts[bin][3]).sum();
        // The root, so that small things of their own colour are not lost in large flat ones.
        let weight = pixels.isqrt() * spread(widest) as u64;
        Self {
            bins,
            weight,
            widest,
        }
    }

    /// Cuts at the middle pixel of the widest channel.
    fn cut(mut self, counts: &[[u64; 4]]) -> [Self; 2] {
        self.bins
            .sort_by_key(|&bin| (channel(bin, self.widest), bin));
        let pixels: u64 = self.bins.iter().map(|&bin| counts[bin][3]).sum();
        let mut before = 0;
        let middle = self.bins.iter().position(|&bin| {
            before += counts[bin][3];
            2 * before >= pixels
        });
        let most = self.bins.len() - 1;
        let upper = self.bins.split_off((middle.unwrap_or(0) + 1).min(most));
        [Self::new(self.bins, counts), Self::new(upper, counts)]
    }
}

impl Palette {
    /// Of all pixels (RGB) together.
    pub fn of<'a>(pictures: impl Iterator<Item = &'a [u8]>) -> Self {
        // Sums of the channels and the number of pixels a bin.
        let mut counts = vec![[0_u64; 4]; 1 << 15];
        for pixel in pictures.flat_map(|picture| picture.chunks_exact(3)) {
            let rgb = [pixel[0], pixel[1], pixel[2]];
            let count = &mut counts[bin(rgb)];
            for (sum, value) in count.iter_mut().zip(rgb) {
                *sum += u64::from(value);
            }
            count[3] += 1;
        }
        let used = (0..counts.len()).filter(|&bin| counts[bin][3] > 0);
        let mut parts = vec![Part::new(used.collect(), &counts)];
        while parts.len() < 256 {
            let heaviest = (0..parts.len()).max_by_key(|&i| parts[i].weight);
            let Some(index) = heaviest.filter(|&i| parts[i].weight > 0) else {
                break;
            };
            let halves = parts.swap_remove(index).cut(&counts);
            parts.extend(halves);
        }
        let mut lookup = vec![0; 1 << 15];
        let mut colours = Vec::with_capacity(parts.len());
        for (index, part) in (0_u8..=255).zip(&parts) {
            let mut sums = [0_u64; 4];
            for &bin in &part.bins {
                lookup[bin] = index;
                for (sum, value) in sums.iter_mut().zip(counts[bin]) {
                    *sum += value;
                }
            }
            let pixels = sums[3].max(1);
            colours.push([0, 1, 2].map(|c| ((sums[c] + pixels / 2) / pixels) as u8));
        }
        Self { colours, lookup }
    }

    /// The number of each pixel's colour.
    pub fn indices(&self, rgb: &[u8]) -> Vec<u8> {
        let pixels = rgb.chunks_exact(3);
        pixels
            .map(|p| self.lookup[bin([p[0], p[1], p[2]])])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_colours_stay_and_many_move_little() {
        let few: Vec<u8> = [[10, 20, 30], [200, 100, 50], [0, 0, 0]].concat();
        let palette = Palette::of([&few[..]].into_iter());
        let back = |palette: &Palette, rgb: &[u8]| -> Vec<u8> {
            let indices = palette.indices(rgb).into_iter();
            indices
                .flat_map(|i| palette.colours[usize::from(i)])
                .collect()
        };
        assert_eq!(palette.colours.len(), 3);
        assert_eq!(back(&palette, &few), few);
        let many: Vec<u8> = (0..64 * 64)
            .flat_map(|i| [(i % 64 * 4) as u8, (i / 64 * 4) as u8, (i % 7 * 30) as u8])
            .collect();
        let palette = Palette::of([&many[..], &few[..]].into_iter());
        assert_eq!(palette.colours.len(), 256);
        let found = back(&palette, &many);
        let error = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b));
        let sum: u64 = found.iter().zip(&many).map(error).sum();
        assert!(sum / (many.len() as u64) < 12, "{sum}");
    }
}
