//! From where the vehicle stands to where it stood.

/// From the frame of one pose to that of another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    cosine: f64,
    sine: f64,
    offset: [f64; 2],
}

impl Move {
    pub(super) fn new(from: [f64; 3], to: [f64; 3]) -> Self {
        let turn = |[x, y]: [f64; 2], (sine, cosine): (f64, f64)| {
            [cosine * x - sine * y, sine * x + cosine * y]
        };
        let (sine, cosine) = (from[2] - to[2]).sin_cos();
        Self {
            cosine,
            sine,
            offset: turn([from[0] - to[0], from[1] - to[1]], (-to[2]).sin_cos()),
        }
    }

    pub(super) fn of(self, [x, y]: [f64; 2]) -> [f64; 2] {
        [
            self.cosine * x - self.sine * y + self.offset[0],
            self.sine * x + self.cosine * y + self.offset[1],
        ]
    }
}
