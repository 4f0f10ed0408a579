//! Circles along a box, as the vehicle's and the obstacles' shape.

/// The circles that cover a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cover {
    length: f64,
    width: f64,
    pub count: usize,
    pub radius: f64,
}

impl Cover {
    /// As many circles as the box is longer than wide, at most `most`. A box without length is a circle.
    pub fn new(length: f64, width: f64, most: usize) -> Self {
        let (length, width) = (length.max(0.0), width.max(0.0));
        let wanted = (length / width.max(1e-9) - 0.25).ceil();
        let count = (wanted as usize).clamp(1, most.max(1));
        Self {
            length,
            width,
            count,
            radius: (length / (2 * count) as f64).hypot(0.5 * width),
        }
    }

    /// Where a circle lies, as a share of the length from the middle.
    pub fn share(self, circle: usize) -> f64 {
        (2 * circle + 1) as f64 / (2 * self.count) as f64 - 0.5
    }

    pub fn offset(self, circle: usize) -> f64 {
        self.length * self.share(circle)
    }

    /// Derivatives of the radius towards length and width.
    pub fn slopes(self) -> [f64; 2] {
        let radius = self.radius.max(1e-9);
        let parts = (self.count * self.count) as f64;
        [
            self.length / (4.0 * parts * radius),
            self.width / (4.0 * radius),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_cover_the_box() {
        for (length, width, count) in [(4.5, 1.9, 3), (0.6, 0.6, 1), (12.0, 2.5, 3), (0.0, 2.0, 1)]
        {
            let cover = Cover::new(length, width, 3);
            assert_eq!(cover.count, count);
            // Every point of the edge lies in a circle, the corners on one.
            for i in 0..=100 {
                let x = length * (f64::from(i) / 100.0 - 0.5);
                let inside = |c: usize| (x - cover.offset(c)).hypot(0.5 * width) - cover.radius;
                let best = (0..count).map(inside).fold(f64::INFINITY, f64::min);
                assert!(best < 1e-9, "{length} {x} {best}");
            }
        }
        assert_eq!(Cover::new(0.0, 2.0, 3).radius, 1.0);
        let moved = |l: f64, w: f64| Cover::new(l, w, 3).radius;
        let [by_length, by_width] = Cover::new(4.5, 1.9, 3).slopes();
        let h = 1e-6;
        assert!((by_length - (moved(4.5 + h, 1.9) - moved(4.5 - h, 1.9)) / (2.0 * h)).abs() < 1e-8);
        assert!((by_width - (moved(4.5, 1.9 + h) - moved(4.5, 1.9 - h)) / (2.0 * h)).abs() < 1e-8);
    }
}
